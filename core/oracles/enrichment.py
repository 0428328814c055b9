"""Oracles of token-set enrichment. `logits` are (feature, token); `members` holds the tokens of each set by name."""

from functools import lru_cache
from itertools import combinations

import numpy as np


def tokens_passed(logits, feature, weight):
    """`weight` is the logit weight of the last token passed, NaN before the first."""
    return sum(bool(weight <= L) for L in logits[feature])


def running_sum(logits, members, feature, token_set, tokens_passed):
    return _heights(logits[feature], members[token_set])[tokens_passed]


def es_high(logits, members, feature, token_set):
    return _extremes(logits[feature], members[token_set])[1]


def es_low(logits, members, feature, token_set):
    return _extremes(logits[feature], members[token_set])[0]


def enrichment_score(logits, members, feature, token_set):
    low, high = _extremes(logits[feature], members[token_set])
    return high if high >= -low else low


def display_score(logits, members, feature, token_set):
    score = enrichment_score(logits, members, feature, token_set)
    return np.sign(score) * (min(-np.log(1 - abs(score)), 16) if abs(score) < 1 else 16)


def es_random(random_logits, members, token_set):
    scores = [abs(enrichment_score(random_logits, members, i, token_set)) for i in range(len(random_logits))]
    return np.quantile(scores, 0.99)


def auc(logits, members, feature, token_set):
    L, inside = logits[feature], members[token_set]
    outside = np.array([L[t] for t in range(len(L)) if t not in inside])
    wins = sum((outside < L[t]).sum() + 0.5 * (outside == L[t]).sum() for t in inside)
    return wins / (len(inside) * len(outside))


def auc_z(logits, members, feature, token_set):
    n, k = logits.shape[1], len(members[token_set])
    return (auc(logits, members, feature, token_set) - 0.5) / np.sqrt((n + 1) / (12 * k * (n - k)))


def p_value(logits, members, feature, token_set):
    """For a set under 30 tokens the draws become all sets of its size, each counted once: keep it very small."""
    n, k = logits.shape[1], len(members[token_set])
    score = abs(enrichment_score(logits, members, feature, token_set))
    if k >= 30 and n - k >= 30:
        return _kolmogorov(score * np.sqrt(k * (n - k) / n))
    return np.mean(_all_scores(n, k) >= score - 1e-9)


def log10_p(logits, members, feature, token_set):
    return np.log10(p_value(logits, members, feature, token_set))


def q_value(logits, members, feature, token_set):
    pairs = [(i, name) for i in range(len(logits)) if np.ptp(logits[i]) for name in members]
    p = {pair: p_value(logits, members, *pair) for pair in pairs}
    ranked = sorted(p.values())
    rank = next(j for j, value in enumerate(ranked) if value >= p[feature, token_set])
    return min(value * len(pairs) / (j + 1) for j, value in enumerate(ranked) if j >= rank)


def log10_q(logits, members, feature, token_set):
    return np.log10(q_value(logits, members, feature, token_set))


def score_x(logits, members, feature, set_x):
    return display_score(logits, members, feature, set_x)


def score_y(logits, members, feature, set_y):
    return display_score(logits, members, feature, set_y)


def score_difference(logits, members, feature, set_x, set_y):
    return score_x(logits, members, feature, set_x) - score_y(logits, members, feature, set_y)


def _heights(L, inside):
    """Return the running sum after p tokens, for every p at which the logit weight changes."""
    k, n, height, heights = len(inside), len(L), 0.0, {0: 0.0}
    ranking = sorted(range(n), key=lambda t: -L[t])
    for p, token in enumerate(ranking, start=1):
        height += 1 / k if token in inside else -1 / (n - k)
        if p == n or L[ranking[p]] != L[token]:
            heights[p] = height
    return heights


def _extremes(L, inside):
    heights = _heights(L, inside).values()
    return min(heights), max(heights)


def _kolmogorov(x):
    m = np.arange(1, 2000)
    return 2 * np.sum((-1.0) ** (m - 1) * np.exp(-2 * m**2 * x**2))


@lru_cache(maxsize=8)
def _all_scores(n, k):
    """Return the size of ES of every set of k of n tokens in a ranking without ties."""
    ranking = -np.arange(n)
    found = [_extremes(ranking, set(inside)) for inside in combinations(range(n), k)]
    return np.array([max(high, -low) for low, high in found])
