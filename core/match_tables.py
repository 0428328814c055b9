"""Two matched dictionaries as tidy tables: pairs, shares over a threshold, best cosines by rank, labels."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from core.match_labels import LABELS, Relation
from core.match_null import random_ratio
from core.match_statistics import share_above
from core.matching import Matching
from core.neighbors import Between

THRESHOLDS = np.linspace(0, 1, 101)


def pair_table(matching: Matching) -> pd.DataFrame:
    """One row per pair: feature_a, feature_b, match_score, decoder_cosine, encoder_cosine, alignment."""
    return pd.DataFrame(
        {
            "feature_a": matching.a,
            "feature_b": matching.b,
            "match_score": matching.score.astype(float),
            "decoder_cosine": matching.decoder.astype(float),
            "encoder_cosine": matching.encoder.astype(float),
            "alignment": matching.alignment,
        }
    )


def ratio_table(values: Mapping[str, Float[np.ndarray, " feature"]]) -> pd.DataFrame:
    """Share of the values, NaN aside, over each threshold from 0 to 1: match_series, match_threshold, matching_ratio.

    `values` are best similarities of features, under the name of the series.
    """
    parts = [_curve(name, share_above(found, THRESHOLDS)) for name, found in values.items()]
    return pd.concat(parts, ignore_index=True)


def random_ratio_table(n_others: int, d: int, name: str) -> pd.DataFrame:
    """Return the same of random directions, in closed form."""
    return _curve(name, random_ratio(n_others, d, THRESHOLDS))


def rank_table(between: Between, *, most: int = 4) -> pd.DataFrame:
    """One row per feature and rank of its best matches: match_way, feature, match_rank, rth_match_cosine."""
    ways = {"A in B": between.a_in_b_cos, "B in A": between.b_in_a_cos}
    parts = []
    for way, cos in ways.items():
        n, ranks = len(cos), min(most, cos.shape[1])
        columns = {"feature": np.repeat(np.arange(n), ranks), "match_rank": np.tile(np.arange(1, ranks + 1), n)}
        values = {"rth_match_cosine": cos[:, :ranks].ravel().astype(float)}
        parts.append(pd.DataFrame({"match_way": way} | columns | values))
    return pd.concat(parts, ignore_index=True).dropna(ignore_index=True)


def label_table(relation: Relation) -> pd.DataFrame:
    """One row per feature that is not left out: feature, match_label, parent (-1 without), siblings, merged_from."""
    table = pd.DataFrame(
        {
            "feature": np.arange(len(relation.label)),
            "match_label": np.array(LABELS)[relation.label],
            "parent": relation.parent,
            "siblings": relation.siblings,
            "merged_from": relation.merged_from,
        }
    )
    return table[relation.label >= 0].reset_index(drop=True)


def _curve(name: str, share: Float[np.ndarray, " threshold"]) -> pd.DataFrame:
    return pd.DataFrame({"match_series": name, "match_threshold": THRESHOLDS, "matching_ratio": share})
