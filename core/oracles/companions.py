"""Oracles of which statistics go with returning.

`share` is the return share of each feature, and `statistics` holds lists
of numbers by their names, for the same features; NaN is not known.
"""

from math import atanh, erfc, sqrt, tanh

import numpy as np

from core.oracles.directions import pearson


def companion_features(share, statistics, companion):
    return len(_pairs(share, statistics, companion))


def companion_correlation(share, statistics, companion):
    one, other = zip(*_pairs(share, statistics, companion), strict=True)
    return pearson(_ranks(one), _ranks(other))


def companion_low(share, statistics, companion):
    return _end(share, statistics, companion, -1.959963984540054)


def companion_high(share, statistics, companion):
    return _end(share, statistics, companion, 1.959963984540054)


def companion_q(share, statistics, companion):
    p = {name: _p(share, statistics, name) for name in statistics}
    ordered, m = sorted(p.values()), len(p)
    return min(ordered[j] * m / (j + 1) for j in range(m) if ordered[j] >= p[companion])


def explained_share(acts, x, W_dec, feature):
    """`acts` (row, position, feature) are f, x (row, position, dimension)."""
    f = acts[:, 1:, feature].ravel()
    later = x[:, 1:].reshape(-1, x.shape[-1])
    written = np.mean((f - np.mean(f)) ** 2) * sum(np.asarray(W_dec[feature], np.float64) ** 2)
    return written / np.mean(((later - later.mean(axis=0)) ** 2).sum(axis=1))


def _pairs(share, statistics, companion):
    pairs = zip(share, statistics[companion], strict=True)
    return [pair for pair in pairs if np.isfinite(pair).all()]


def _ranks(values):
    return np.array([sum(v < one for v in values) + (1 + sum(v == one for v in values)) / 2 for one in values])


def _end(share, statistics, companion, z):
    r = companion_correlation(share, statistics, companion)
    n = companion_features(share, statistics, companion)
    return tanh(atanh(r) + z * sqrt((1 + r**2 / 2) / (n - 3)))


def _p(share, statistics, companion):
    r = companion_correlation(share, statistics, companion)
    return erfc(abs(atanh(r)) * sqrt(companion_features(share, statistics, companion) - 3) / sqrt(2))
