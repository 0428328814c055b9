"""Where splitting and many dictionaries meet Streamlit: series of widths, nearest features, logit weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import Entry, entries
from core.dictionaries.sources.choices import with_setting
from core.dictionaries.spaces import DictionarySide
from core.geometry.neighbors import Between
from core.logit_weights.statistics import logit_weights
from core.logit_weights.unembedding import LogitSettings, residual_directions, source_key
from core.matching.activations import EDGE
from core.matching.matrix import (
    FACTORS,
    MatchMatrix,
    factor_pairs,
    match_matrix,
    turned,
    wanted_pair,
    without_implied_k,
)
from core.maths.assignment import Edges
from core.splitting.graph import Links, cosine_links, edge_links, parent_links, wider_entries
from core.splitting.tables import children_table, promoted_tokens
from core.splitting.tables import most_split as most_split_of
from core.work.calls import call
from core.work.progress import Progress
from ui.studies import compute, matching_activations, opened
from ui.studies import logit_weights as logit_weights_studies

LOGITS = LogitSettings(unit_rows=True)
"""Decoder rows at length 1, so that features of different dictionaries can be compared."""
USUAL = 8
"""The most dictionaries that are chosen at first."""


@dataclass(frozen=True, eq=False)
class Series:
    """A coarse dictionary, wider ones, and the threshold for children."""

    dictionaries: tuple[Dictionary, ...]
    threshold: float

    @property
    def coarse(self) -> Dictionary:
        return self.dictionaries[0]

    @property
    def wider(self) -> tuple[Dictionary, ...]:
        return self.dictionaries[1:]

    @property
    def widths(self) -> list[int]:
        return [dictionary.d_sae for dictionary in self.dictionaries]

    @cached_property
    def provenance(self) -> dict:
        settings = {"threshold": self.threshold}
        return tables.provenance(
            dictionary=self.dictionaries, method="decoder cosines between widths", settings=settings
        )

    def provenance_by(self, rule: str) -> dict:
        """Return the provenance of children found by a rule; one by activations names its text."""
        if rule != TOGETHER:
            return self.provenance | {"settings": self.provenance["settings"] | {"rule": rule}}
        steps = zip(self.dictionaries, self.wider, strict=False)
        read = [matching_activations.shared(narrow, wide) for narrow, wide in steps]
        texts, hashes = (dict.fromkeys(part) for part in zip(*((one.text, one.names[-1]) for one in read), strict=True))
        settings = {"rule": rule, "edge": EDGE, "text": "; ".join(texts), "rows_sha256": "; ".join(hashes)}
        return self.provenance | {"method": "masked cosines of activations between widths", "settings": settings}

    def note(self, *more: str, rule: str = "") -> str:
        """Return what a figure was computed from."""
        widths = ", ".join(f"{width:,}" for width in self.widths)
        masked = f"masked cosine of activations over {EDGE:.2f}"
        how = masked if rule == TOGETHER else f"decoder cosine over {self.threshold:.2f}"
        return " · ".join([f"{widths} features", how, *([rule.lower()] if rule else []), *more])


def listed() -> list[Entry]:
    """Return the levels of a Matryoshka dictionary, else those that differ from the picked one in the width alone."""
    picked = opened.dictionary()
    return levels(picked) or wider_entries(entries(compute.workspace()), picked.id)


def levels(picked: Dictionary) -> list[Entry]:
    """Return each level of the picked dictionary, which may be one of them, by width; empty where it has none."""
    choice = next((choice for choice in picked.origin.choices if choice.name == "features"), None)
    found = []
    for value in choice.values if choice else ():
        id = with_setting(picked.id, "features", value)
        n = int(value) if value else opened.dictionary(id).d_sae
        found.append(Entry(id=id, title=choice.values[value], d_sae=n))
    return sorted(found, key=lambda entry: entry.d_sae)


def between(a: Dictionary, b: Dictionary) -> Between:
    """Return the nearest features by decoder, both ways, of dictionaries in one space (raises LoupeError)."""
    between = compute.wanted(wanted_pair(a, b))  # one result for both orders
    return between if a.sha256 <= b.sha256 else turned(between)


def from_coarse(series: Series) -> dict[int, Between]:
    """Return the nearest features of the coarse dictionary and of each wider one, by width."""
    return {wide.d_sae: between(series.coarse, wide) for wide in series.wider}


def most_split(series: Series) -> int | None:
    """Return the feature with the most children in the next wider dictionary; None if none has two."""
    next_wider = series.wider[0]
    table = children_table({next_wider.d_sae: between(series.coarse, next_wider)}, threshold=series.threshold)
    found = most_split_of(table)
    return None if found is None else found[0]


def links(series: Series, rule: str) -> list[Links]:
    """Return how children are found at each step of a series, by one of RULES."""
    steps = zip(series.dictionaries, series.wider, strict=False)
    return [RULES[rule](narrow, wide, series.threshold) for narrow, wide in steps]


def by_parent(narrow: Dictionary, wide: Dictionary, threshold: float) -> Links:
    return parent_links(between(narrow, wide), threshold=threshold)


def by_cosine(narrow: Dictionary, wide: Dictionary, threshold: float) -> Links:
    return cosine_links(narrow.W_dec, wide.W_dec, threshold=threshold)


def by_activations(narrow: Dictionary, wide: Dictionary, threshold: float) -> Links:
    """Join features that are active together. Masked cosine has a threshold of its own."""
    edges = matching_activations.masked_edges(matching_activations.shared(narrow, wide))
    return edge_links(Edges(edges.a, edges.b, edges.score, narrow.d_sae, wide.d_sae), threshold=edges.edge)


TOGETHER = "Active together"
RULES = {"One parent each": by_parent, "All over the threshold": by_cosine, TOGETHER: by_activations}
"""How the edges of a graph are found."""


def logits(dictionary: Dictionary, features: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return logit weights of some features and the tokens they are of (raises LoupeError)."""
    model = opened.model_of(dictionary)
    unembedding = logit_weights_studies.unembedding_of(model, LOGITS)
    numbers = [int(feature) for feature in features]
    key = f"logits {dictionary.sha256} {source_key(model, LOGITS)} {numbers}"

    def work(_: Progress) -> np.ndarray:
        return logit_weights(residual_directions(dictionary, model, LOGITS), unembedding, numbers, center=LOGITS.center)

    return compute.transient(key, f"Logit weights of {len(numbers)} features", work), unembedding.tokens


def promoted(dictionary: Dictionary, features: Sequence[int]) -> list[list[str]]:
    """Return the tokens each feature promotes most, as text (raises LoupeError)."""
    weights, tokens = logits(dictionary, features)
    texts = opened.model_of(dictionary).token_strings
    return promoted_tokens(weights, tokens, texts)


def matrix(
    dictionaries: Sequence[Dictionary], side: DictionarySide, left_out: Sequence[tuple[int, int]] = ()
) -> MatchMatrix:
    """Return the ratios of all pairs. Each pair is stored, so another choice computes only new pairs."""
    key = f"match matrix {side} {','.join(dictionary.sha256 for dictionary in dictionaries)} {left_out}"
    work = call(match_matrix, dictionaries, side, store=compute.store(), left_out=left_out)
    return compute.transient(key, f"Matching {len(dictionaries)} dictionaries", work)


def usual_set(picked: Dictionary) -> list[str]:
    """Return the picked dictionary, its pairs for each factor, and others at its hook, from one source."""
    listed, source = entries(compute.workspace()), picked.id.partition("/")[0]
    kin = [
        entry
        for entry in listed
        if entry.id.partition("/")[0] == source and entry.hook_name == picked.config.hook_name and entry.id != picked.id
    ]
    chosen = [picked.id] if any(entry.id == picked.id for entry in listed) else []
    return [*chosen, *by_relevance(picked, kin)][:USUAL]


def by_relevance(picked: Dictionary, kin: Sequence[Entry]) -> list[str]:
    """Return ids. Dictionaries that differ from the picked one in one factor come first, in the order of FACTORS."""

    def place(entry: Entry) -> int:
        pairs = factor_pairs(without_implied_k([picked.origin.labels, entry.labels]))
        return FACTORS.index(pairs[0][0]) if pairs else len(FACTORS)

    return [entry.id for entry in sorted(kin, key=place)]
