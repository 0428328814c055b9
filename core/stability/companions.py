"""Which statistics of features go with returning: rank correlations with intervals and false discovery rates."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from core.maths.correlation import pearson
from core.maths.significance import benjamini_hochberg, log10_normal_tails

_Z = 1.959963984540054
FEWEST = 10
"""Features that a correlation needs."""


def companions(
    share: Float[np.ndarray, " d_sae"], statistics: Mapping[str, Float[np.ndarray, " d_sae"]]
) -> pd.DataFrame:
    """One row per statistic, the strongest first: companion, companion_correlation, its interval, q, and features.

    The correlation is Spearman's (1904) over the features for which both are known and finite. Its interval and p are
    those of Fisher's z with the error of Bonett & Wright (2000), features as independent draws; q is Benjamini and
    Hochberg's (1995) over these statistics. A statistic that is known of few features, or constant, has no row.
    """
    rows = []
    for name, values in statistics.items():
        known = np.isfinite(share) & np.isfinite(values)
        r = rank_correlation(share[known], values[known].astype(float))
        if np.isfinite(r):
            rows.append((name, r, *_interval(r, int(known.sum())), _z(r, int(known.sum())), int(known.sum())))
    names = ["companion", "companion_correlation", "companion_low", "companion_high", "z", "companion_features"]
    table = pd.DataFrame(rows, columns=names)
    log10_p = log10_normal_tails(table["z"].to_numpy(dtype=float))
    q = 10.0 ** benjamini_hochberg(log10_p[:, None])[:, 0]
    table.insert(4, "companion_q", q)
    order = np.argsort(-np.abs(table["companion_correlation"].to_numpy(dtype=float)), kind="stable")
    return table.drop(columns="z").iloc[order].reset_index(drop=True)


def rank_correlation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Return Spearman's correlation, ties at their mean rank; NaN for few pairs or where one is constant."""
    from scipy.stats import rankdata

    if len(x) < FEWEST:
        return float("nan")
    return pearson(rankdata(x), rankdata(y))


def _error(r: float, n: int) -> float:
    """The standard error of Fisher's z of a rank correlation (Bonett & Wright 2000)."""
    return float(np.sqrt((1 + r**2 / 2) / (n - 3)))


def _interval(r: float, n: int) -> tuple[float, float]:
    z, half = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15)), _Z * _error(r, n)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def _z(r: float, n: int) -> float:
    """Return Fisher's z over the error that it has where there is no correlation."""
    return float(np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15)) / _error(0.0, n))
