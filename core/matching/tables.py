"""Two matched dictionaries as tidy tables: pairs, shares over a threshold, best cosines by rank, labels."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.matching.labels import LABELS, Relation
from core.matching.null import random_ratio
from core.matching.numbers import share_above
from core.matching.pairs import Matching, shared

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
    """Share of the values over each threshold from 0 to 1: match_series, match_threshold, matching_ratio.

    `values` holds, by name of the series, the best similarities of features. NaN does not count.
    """
    parts = [_curve(name, share_above(best, THRESHOLDS)) for name, best in values.items()]
    return pd.concat(parts, ignore_index=True)


def random_ratio_table(n_others: int, d: int, name: str) -> pd.DataFrame:
    """Return the columns of `ratio_table` for a direction among n_others random ones, in closed form."""
    return _curve(name, random_ratio(n_others, d, THRESHOLDS))


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


def with_agreement(table: pd.DataFrame, decoder: Matching, encoder: Matching) -> pd.DataFrame:
    """Add to a table of pairs `agreement`: whether matching by decoder and by encoder both make this pair."""
    agree = shared(decoder, encoder, threshold=-np.inf)
    made = pd.MultiIndex.from_arrays([decoder.a[agree], decoder.b[agree]])
    return table.assign(agreement=pd.MultiIndex.from_frame(table[["feature_a", "feature_b"]]).isin(made))


def unmatched_table(
    features: Int[np.ndarray, " feature"],
    best: Float[np.ndarray, " d_sae"],
    partner: Int[np.ndarray, " d_sae"],
    end: Literal["a", "b"],
) -> pd.DataFrame:
    """List features of A or B without a match, the least similar first.

    Columns: feature_a or feature_b, best_match (-1 if no feature is similar at all), best_similarity. `best` and
    `partner` hold these for all features of the dictionary.
    """
    columns = {"best_match": partner[features], "best_similarity": best[features].astype(float)}
    return pd.DataFrame({f"feature_{end}": features} | columns).sort_values(
        "best_similarity", kind="stable", ignore_index=True
    )


def decile_table(
    density: Float[np.ndarray, " d_sae"], best: Float[np.ndarray, " d_sae"], *, threshold: float
) -> pd.DataFrame:
    """Split the features that fire into ten groups of nearly equal size by density, the rarest first.

    Columns: density_decile (1 to 10), features_in_bin, density (the largest in the group), mmcs (the mean of `best`),
    matching_ratio (the share over the threshold). Features with NaN and empty groups are left out.
    """
    known = np.flatnonzero((density > 0) & ~np.isnan(best))
    order = known[np.argsort(density[known], kind="stable")]
    at = np.array([threshold])
    rows = [
        (i, len(group), density[group].max(), best[group].mean(dtype=float), share_above(best[group], at)[0])
        for i, group in enumerate(np.array_split(order, 10), start=1)
        if len(group)
    ]
    return pd.DataFrame(rows, columns=["density_decile", "features_in_bin", "density", "mmcs", "matching_ratio"])


def _curve(name: str, share: Float[np.ndarray, " threshold"]) -> pd.DataFrame:
    return pd.DataFrame({"match_series": name, "match_threshold": THRESHOLDS, "matching_ratio": share})
