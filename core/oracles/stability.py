"""Oracles of which features return in other dictionaries. `directions` are those of A, `others` a list of those of B.

`threshold` is the t asked for, `used` the threshold used for each of the others. Chance is Imhof's (1961) integral for
the sign of a quadratic form in normal variables. A copy is a feature like any other, but no direction of its own that
chance draws.
"""

import numpy as np

from core.oracles.directions import cosine, counted, directed, unit

_LEVEL, _GRID = 0.01, 2000


def return_count(directions, others, used, feature):
    if feature not in directed(directions):
        return None
    return sum(_best(directions, B, feature) > t for B, t in zip(others, used, strict=True))


def return_share(directions, others, used, feature):
    count = return_count(directions, others, used, feature)
    return None if count is None else count / len(others)


def return_low(directions, others, used, feature):
    count = return_count(directions, others, used, feature)
    return None if count is None else _wilson(count, len(others))[0]


def return_high(directions, others, used, feature):
    count = return_count(directions, others, used, feature)
    return None if count is None else _wilson(count, len(others))[1]


def return_chance(directions, others, used, feature):
    if feature not in directed(directions):
        return None
    return np.mean([_chance(directions[feature], B, t) for B, t in zip(others, used, strict=True)])


def mean_return_cosine(directions, others, feature):
    return np.mean([_best(directions, B, feature) for B in others]) if feature in directed(directions) else None


def return_threshold(directions, others, threshold, other):
    return max(threshold, chance_threshold(directions, others, other))


def chance_threshold(directions, others, other):
    low, high = 0, _GRID
    while high - low > 1:
        middle = (low + high) // 2
        mean = np.mean([_chance(directions[i], others[other], middle / _GRID) for i in counted(directions)])
        low, high = (low, middle) if mean <= _LEVEL else (middle, high)
    return high / _GRID


def returning_features(directions, others, used, times):
    return sum(return_count(directions, others, used, i) == times for i in directed(directions))


def random_features(directions, others, used, times):
    expected = 0.0
    for feature in directed(directions):
        of_times = np.array([1.0])
        for B, t in zip(others, used, strict=True):
            p = _chance(directions[feature], B, t)
            of_times = np.convolve(of_times, [1 - p, p])
        expected += of_times[times]
    return expected


def returned_share(directions, others, used, other):
    return _returned(directions, others, used, other) / len(directed(directions))


def returned_low(directions, others, used, other):
    return _wilson(_returned(directions, others, used, other), len(directed(directions)))[0]


def returned_high(directions, others, used, other):
    return _wilson(_returned(directions, others, used, other), len(directed(directions)))[1]


def random_share(directions, others, used, other):
    return np.mean([_chance(directions[i], others[other], used[other]) for i in directed(directions)])


def _best(directions, B, feature):
    return max(cosine(directions[feature], B[j]) for j in directed(B))


def _returned(directions, others, used, other):
    return sum(_best(directions, others[other], i) > used[other] for i in directed(directions))


def _chance(row, B, t):
    from scipy.integrate import quad

    rows = np.array([unit(B[j]) for j in counted(B)])
    values, axes = np.linalg.eigh(rows.T @ rows / len(rows))
    root = axes * np.sqrt(np.maximum(values, 0))
    u = unit(row)
    lambdas = np.linalg.eigvalsh(root.T @ (np.outer(u, u) - t**2 * np.eye(len(u))) @ root)

    def integrand(s):
        return np.sin(np.arctan(lambdas * s).sum() / 2) / (s * np.prod((1 + (lambdas * s) ** 2) ** 0.25))

    over = 0.5 + quad(integrand, 0, np.inf, limit=500, epsabs=1e-11, epsrel=1e-10)[0] / np.pi
    return 1 - (1 - max(over, 0) / 2) ** len(rows)


def _wilson(count, n, z=1.959963984540054):
    share, w = count / n, 1 + z**2 / n
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (middle - half) / w, (middle + half) / w
