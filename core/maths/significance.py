"""Significance: false discovery rates, tails of the normal distribution in logarithms, intervals of a share."""

import numpy as np
from jaxtyping import Float, Int, Num

_CHUNK = 2**20
"""Number of values in one block of work."""
_FAR, _SMALL = -650.0, 1e-17
"""Logarithms below the first are near the end of what a float holds; terms below the second do not count."""
_Z = 1.959963984540054
"""A standard normal lies between -_Z and _Z in 95 % of draws."""


def log10_normal_tails(z: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return log10 of the probability that a standard normal is at least as far from 0 as z, on either side."""
    from scipy.special import log_ndtr

    return np.minimum((np.log(2) + log_ndtr(-np.abs(z))) / np.log(10), 0.0)


def log10_poisson_tails(count: Int[np.ndarray, " n"], mean: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return log10 of the probability that a Poisson variable with this mean is at least `count`. Never underflows."""
    from scipy.special import gammainc, gammaln

    count, mean = np.broadcast_arrays(count.astype(float), mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.log(np.where(count > 0, gammainc(np.maximum(count, 1), mean), 1.0))
        first = np.where(count > 0, count * np.log(mean) - mean - gammaln(count + 1), 0.0)
    # Below what a float holds, the sum over k >= count is a multiple of its first term.
    far = plain < _FAR
    term, total, k = np.ones(far.sum()), np.ones(far.sum()), 0
    while term.max(initial=0.0) > _SMALL:
        k += 1
        term = term * mean[far] / (count[far] + k)
        total += term
    log = plain.copy()
    log[far] = first[far] + np.log(total)
    return np.minimum(log / np.log(10), 0.0)


def benjamini_hochberg(
    log10_p: Float[np.ndarray, "d_sae n_sets"], *, n_tests: int | None = None
) -> Float[np.ndarray, "d_sae n_sets"]:
    """Return log10 q, the smallest false discovery rate at which each would be called (Benjamini & Hochberg 1995).

    All finite values are one family of m tests: q of the i-th smallest p is the least p m / j over j >= i. NaN
    stays NaN and is not counted as a test. Where the m tests are `n_tests`, and only those with p up to some bound are
    given, q is right up to that bound. The function needs twice the memory of the result besides it.
    """
    ascending = log10_p[~np.isnan(log10_p)]
    ascending.sort()
    m, least = n_tests or len(ascending), np.inf
    n = len(ascending)
    log10_q = np.empty_like(ascending)
    for stop in range(n, 0, -_CHUNK):
        part = slice(max(0, stop - _CHUNK), stop)
        q = ascending[part] + np.log10(m / np.arange(part.start + 1, stop + 1))
        log10_q[part] = np.minimum(np.minimum.accumulate(q[::-1])[::-1], least)
        least = log10_q[part.start]
    result = np.full_like(log10_p, np.nan)
    rows = max(1, _CHUNK // max(1, log10_p.shape[1]))
    for start in range(0, len(log10_p), rows):
        p = log10_p[start : start + rows]
        known = np.argsort(p, axis=None)[: p.size - np.count_nonzero(np.isnan(p))]  # NaN comes last
        # In sorted order, neighbouring values read the same cache lines.
        result[start : start + rows].flat[known] = log10_q[np.searchsorted(ascending, p.flat[known], side="left")]
    return result


def wilson(
    count: Num[np.ndarray, " n"], of: Num[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return the 95 % interval of a share count / of (Wilson 1927), which holds the share; NaN where `of` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = count / of
        middle = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
        half = _Z / (1 + _Z**2 / of) * np.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    # Rounding would put a share of 0 or 1 outside.
    return np.clip(middle - half, 0, share), np.clip(middle + half, share, 1)
