"""Oracles of the spans of features that return in neither of two dictionaries, A and B.

`directions` are those of A and `others` those of B; `used` is the threshold used for A's features in B, and `used_back`
that for B's in A. `drawn` are the features of B that were drawn, `planes` bases (d, rank) of the subspaces drawn.
"""

import numpy as np

from core.oracles.directions import cosine, counted, directed, unit

_HELD = 0.9


def leftover_a(directions, others, used):
    return len(_left(directions, others, used))


def leftover_b(directions, others, used_back):
    return len(_left(others, directions, used_back))


def rank_a(directions, others, used):
    return _span(directions, _left(directions, others, used)).shape[1]


def rank_b(directions, others, used_back):
    return _span(others, _left(others, directions, used_back)).shape[1]


def span_overlap(directions, others, used, used_back):
    one, other = _span(directions, _left(directions, others, used)), _span(others, _left(others, directions, used_back))
    return np.mean(_cosines(one, other) ** 2)


def random_overlap(directions, others, used, used_back):
    return max(rank_a(directions, others, used), rank_b(directions, others, used_back)) / directions.shape[1]


def random_overlap_std(directions, others, used, used_back):
    r, s, d = rank_a(directions, others, used), rank_b(directions, others, used_back), directions.shape[1]
    return np.sqrt(2 * r * (d - r) * s * (d - s) / (d**2 * (d - 1) * (d + 2))) / min(r, s)


def overlap_of_others(directions, others, used, drawn):
    return np.mean(_cosines(_span(directions, _left(directions, others, used)), _span(others, drawn)) ** 2)


def principal_cosine(directions, others, used, used_back, drawn, planes, span_series, angle_rank):
    return np.mean(_drawn(directions, others, used, used_back, drawn, planes, span_series, angle_rank))


def principal_low(directions, others, used, used_back, drawn, planes, span_series, angle_rank):
    found = _drawn(directions, others, used, used_back, drawn, planes, span_series, angle_rank)
    return _percentile(found, 0.025)


def principal_high(directions, others, used, used_back, drawn, planes, span_series, angle_rank):
    found = _drawn(directions, others, used, used_back, drawn, planes, span_series, angle_rank)
    return _percentile(found, 0.975)


def _drawn(directions, others, used, used_back, drawn, planes, span_series, angle_rank):
    """Return the cosine of one rank, for random subspaces of each that was drawn."""
    own = _span(directions, _left(directions, others, used))
    spans = {
        "left over": [_span(others, _left(others, directions, used_back))],
        "as many features of B": [_span(others, drawn)],
        "random subspaces": planes,
    }
    return [_cosines(own, span)[angle_rank - 1] for span in spans[span_series]]


def _left(directions, others, used):
    there = directed(others)
    return [i for i in directed(directions) if max(cosine(directions[i], others[j]) for j in there) <= used]


def _span(directions, chosen):
    """Return as few axes as hold the share of the squared length, those with equal shares together."""
    chosen = np.array(chosen)[counted(np.asarray(directions)[chosen])]
    rows = np.array([unit(directions[i]) for i in chosen])
    shares, axes = np.linalg.eigh(rows.T @ rows / len(rows))
    shares, axes = shares[::-1], axes[:, ::-1]
    rank = next(n for n in range(1, len(shares) + 1) if sum(shares[:n]) >= _HELD - 1e-12)
    while rank < len(shares) and shares[rank - 1] - shares[rank] < 1e-6 * shares[0]:
        rank += 1
    return axes[:, :rank]


def _cosines(one, other):
    """Return the singular values of the product of two bases, as roots of the eigenvalues of its square."""
    product = one.T @ other if one.shape[1] <= other.shape[1] else other.T @ one
    return np.sqrt(np.maximum(np.linalg.eigvalsh(product @ product.T)[::-1], 0))


def _percentile(values, share):
    values, at = sorted(values), share * (len(values) - 1)
    low = int(at)
    return values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low])
