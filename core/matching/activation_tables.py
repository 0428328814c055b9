"""Matches by activation as tidy tables: best pairs, one feature's list, histograms and medians."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import check_same_space
from core.matching.activations import ActivationMatch

WAYS = ("A in B", "B in A")
UNIVERSAL = 0.5
"""A feature with a larger excess correlation is universal (Gurnee et al. 2024)."""
_PAIRS = 4096


def best_table(match: ActivationMatch, way: str = WAYS[0]) -> pd.DataFrame:
    """One row per feature of A (or, by `way`, of B) that has a match, the best match first.

    feature_a, feature_b, activation_correlation, active_tokens_a, active_tokens_b.
    """
    corr, idx = ways(match)[way]
    features = np.flatnonzero(idx[:, 0] >= 0)
    order = features[np.argsort(-corr[features, 0], kind="stable")]
    return _pairs(match, way, order, idx[order, 0], corr[order, 0])


def matches_of(match: ActivationMatch, feature: int, way: str = WAYS[0]) -> pd.DataFrame:
    """One row per match of one feature, with match_rank before the columns of `best_table`."""
    corr, idx = ways(match)[way]
    matched = idx[feature] >= 0
    n = int(matched.sum())
    table = _pairs(match, way, np.full(n, feature), idx[feature][matched], corr[feature][matched])
    table.insert(0, "match_rank", np.arange(1, n + 1))
    return table


def ways(match: ActivationMatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, for each way, the correlations and the numbers of the matched features."""
    return {WAYS[0]: (match.a_in_b_corr, match.a_in_b_idx), WAYS[1]: (match.b_in_a_corr, match.b_in_a_idx)}


def _pairs(
    match: ActivationMatch,
    way: str,
    own: Int[np.ndarray, " pair"],
    other: Int[np.ndarray, " pair"],
    corr: Float[np.ndarray, " pair"],
) -> pd.DataFrame:
    a, b = (own, other) if way == WAYS[0] else (other, own)
    return pd.DataFrame(
        {
            "feature_a": a.astype(np.int64),
            "feature_b": b.astype(np.int64),
            "activation_correlation": corr.astype(float),
            "active_tokens_a": match.a_count[a],
            "active_tokens_b": match.b_count[b],
        }
    )


def with_decoder_cosines(table: pd.DataFrame, a: Dictionary, b: Dictionary) -> pd.DataFrame:
    """Add decoder_cosine of each row's pair, summed in float64; 0 where a direction is zero.

    Raises DoesNotFitError unless both dictionaries write to the same space.
    """
    check_same_space(a, b, "decoder")
    cosine = np.empty(len(table))
    for start in range(0, len(table), _PAIRS):
        part = table.iloc[start : start + _PAIRS]
        x, y = a.W_dec[part["feature_a"]].astype(float), b.W_dec[part["feature_b"]].astype(float)
        length = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        dots = np.einsum("ij,ij->i", x, y)
        cosine[start : start + len(part)] = np.divide(dots, length, out=np.zeros(len(part)), where=length > 0)
    return table.assign(decoder_cosine=cosine)


def excess_table(match: ActivationMatch, rotated: Float[np.ndarray, " d_sae_a"]) -> pd.DataFrame:
    """Add rotated_correlation and excess_correlation (the difference) to `best_table` of A in B.

    `rotated` is the best correlation of each feature of A with random mixtures (core.matching.baselines).
    """
    table = best_table(match)
    chance = rotated[table["feature_a"]].astype(float)
    return table.assign(
        rotated_correlation=chance, excess_correlation=table["activation_correlation"].to_numpy() - chance
    )


def universal_share(match: ActivationMatch, rotated: Float[np.ndarray, " d_sae_a"]) -> float:
    """Return the share of the features of `excess_table` with an excess correlation over UNIVERSAL."""
    return float((excess_table(match, rotated)["excess_correlation"] > UNIVERSAL).mean())


def medians(series: Mapping[str, Float[np.ndarray, " value"]]) -> dict[str, float]:
    """Return the median of the finite values of each series; NaN if it has none."""
    return {
        name: float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else np.nan
        for name, values in series.items()
    }
