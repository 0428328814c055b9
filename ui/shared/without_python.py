"""Why a figure has no code in Python: the reasons, by the names of its files, that its Save menu gives.

Every figure is here or in ui.shared.same_in_python; a test goes through all of them.
"""

import re

_TYPED = "it rests on what was typed, chosen or edited on this page"
_BESIDE_CHANCE = "the page draws chance or controls beside it, which no call of sae_loupe gives"
_COUNTS = "it counts or bins numbers for which other cards have code"
_LIST = "the whole list comes from several analyses; sae.table() has their columns"
_SERIES = "it compares several dictionaries; each can be opened and asked alone"
_NO_CALL = "no call of sae_loupe computes it"
_LONG = "no call of sae_loupe computes it, as it runs the model for minutes"
_OTHERS = "the numbers are another tool's files"
_KEPT = "it lists what people keep in this app"
_RUNS = "it shows what a run wrote; its folder holds the numbers"

REASONS = {
    # Feature, Activations
    r"feature-\d+-contexts": "the contexts were searched here",
    r"feature-\d+-sets": "the tab Enrichment of Logit weights has code for all sets",
    r"feature-\d+-match": _NO_CALL,
    r"(feature-\d+|direction)-proxy-.+": _TYPED,
    r"feature-\d+-(paths|automaton|before|after)|self-excitation|automaton-.+|loops": _NO_CALL,
    r"direction-.+": "no dictionary on disk holds a direction of your own",
    r"feature-notes|selection-members|neuronpedia-(list|export)": _KEPT,
    r"features-means-histogram|feature-\d+-activation-bins": _COUNTS,
    r"layers-.+": _SERIES,
    r"losses-by-position|error-by-position": _LONG,
    # Map, geometry
    r"layer-(maps|steps)": _SERIES,
    r"clusters-.+|map-neighbors-\d+|feature-map-chosen": _NO_CALL,
    r"distances-.+|shared-neighbors-.+|nearest-cosine-.+": _BESIDE_CHANCE,
    r"composed-.+": _NO_CALL,
    # Logit weights, token sets
    r"logit-(?!feature-\d+-(top|bottom)|(excess-)?kurtosis-skewness).+": _COUNTS,
    r"enrichment-.+-against-.+|features-by-.+": _BESIDE_CHANCE,
    r"running-sum-.+": _NO_CALL,
    r"token-sets": _TYPED,
    # Interventions, text
    r"causal-atlas.*|attribution-.+|continuations|dose-response|edited-text|edit-effect|logit-difference": _TYPED,
    r"what-(gains|loses)": _TYPED,
    r"own-text-.+|two-(prompts|texts)-.+": _TYPED,
    # Matching, splitting, stability
    r"match-(?!list-matched).+": _BESIDE_CHANCE,
    r"pair-.+": _NO_CALL,
    r"ratio-.+|overlap-of-three|splitting-.+|split-most|children-.+|became-by-width|sibling.*": _SERIES,
    r"goes-with-returning|returning-.+|returned-.+|return-counts|left-over|life-.+|stable-core": _SERIES,
    # Overview, positions, runs
    r"all-features": _LIST,
    r"separation|halves-.+|recipes|selection-.+": _COUNTS,
    r"position-(peaks|curves-.+|\d+-curves|helix|self-similarity)|beyond-curves|only-beyond|repairs-\d+": _NO_CALL,
    r"variance-shares|positional-by-width|max-cosine|cosine-.+|unit-.+|token-\d+-.+": _NO_CALL,
    r"feature-\d+-tokens": "at layer 0 the page Positions asks every token, without a text",
    r"dashboard-.+": _OTHERS,
    r"sweep-.+|run-.+|ground-truth.*": _RUNS,
}
"""The reason by a regular expression that the whole name of a figure's files matches. The first that fits holds."""


def why_not(figure: str) -> str | None:
    """Return why a figure has no code; None for a name that is not in the table."""
    return next((reason for name, reason in REASONS.items() if re.fullmatch(name, figure)), None)
