"""Where token-set enrichment meets Streamlit's caches, and the notes that all its figures share."""

import numpy as np

from core.enrichment.enrichment import Enrichment, enrichment_by
from core.enrichment.inputs import usable_sets
from core.enrichment.nulls import SMALL
from core.logit_weights.statistics import random_directions
from core.logit_weights.study import LogitStudy
from core.logit_weights.unembedding import residual_directions, source_key
from core.token_sets.sets import TokenSets
from core.work.calls import Call, call, silent_call
from ui.studies import compute, logit_weights, token_sets

RANDOM = 1024
"""The number of random directions behind the 99 % line of each set."""


def enrichment_of(study: LogitStudy, sets: TokenSets) -> Enrichment:
    """Return every feature's enrichment in every set with a logit weight for some tokens, but not for all.

    One job computes all sets, because q is over all features and sets. Raises LoupeError.
    """
    n, dictionary = study.dictionary.d_sae, study.dictionary
    directions = silent_call(residual_directions, dictionary, study.model, study.settings)
    return _result(study, sets, dictionary.sha256, n, f"{n:,} features", directions)


def random_enrichment(study: LogitStudy, sets: TokenSets) -> Enrichment:
    """Return the enrichment of RANDOM random directions in the same sets, for comparison."""
    name = f"{RANDOM:,} random directions"
    directions = silent_call(random_directions, RANDOM, study.model.d_model, seed=0)
    return _result(study, sets, f"{name}, seed 0", RANDOM, name, directions)


def _result(study: LogitStudy, sets: TokenSets, content: str, n: int, of: str, directions: Call) -> Enrichment:
    settings = study.settings
    tokens = study_tokens(study) if settings.skip_unused else np.arange(study.model.d_vocab)
    usable = usable_sets(sets, tokens)
    device = logit_weights.device_for(n, study.model)
    work = call(enrichment_by, directions, logit_weights.processed_unembedding(study), usable, device=device)
    key = Enrichment.key(content, source_key(study.model, settings), settings, usable.sha256, device=device)
    return compute.result(Enrichment, key, f"{len(usable)} token sets in {of}", work)


def told() -> dict[str, object]:
    """Return what the same in Python needs: whether the sets are those of the library alone."""
    others = token_sets.own_texts() or token_sets.is_on("ts_raw") or token_sets.is_on("ts_pos")
    return {"library_alone": not others}


def study_tokens(study: LogitStudy) -> np.ndarray:
    """Return the ids of the tokens with a logit weight, in the order of `logit_weights.full_weights`."""
    return logit_weights.processed_unembedding(study).tokens


def method(scores: Enrichment) -> str:
    """Return how p and q are computed, with the numbers of this result."""
    return (
        f"p: Kolmogorov-Smirnov, under {SMALL} tokens {scores.draws:,} draws (seed {scores.seed}); "
        f"q: Benjamini-Hochberg over {scores.n_tests:,} pairs of feature and set"
    )


def provenance(study: LogitStudy, scores: Enrichment, **more: str | int) -> dict:
    """Return what a table of enrichment was computed from."""
    settings = study.provenance["settings"] | {"seed": scores.seed, "draws": scores.draws}
    settings |= {"n_sets": len(scores.set_names), "n_tokens": scores.n_tokens} | more
    return study.provenance | {"method": "token-set enrichment", "settings": settings}
