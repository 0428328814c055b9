"""Oracles of what fires next. `acts` are f (token, feature); `stretch` (token,) numbers the stretch of each token.

Tokens stand in the order of the text; those that are in no stretch are left out. `ids` (token,) are their token ids,
`L` (feature, token id) logit weights. `tests` says which pairs are tested: `least_tokens` and `least_together`; `rule`
which of them are edges: `q`, `least_count`, `least_ratio` and `turns`. A `path` is its features with arrows between.
"""

from itertools import pairwise

import numpy as np

_SHUFFLES, _PROMOTED = 20, 20


def step_tokens(acts, stretch, feature):
    return np.count_nonzero(acts[_with_next(stretch), feature])


def step_count(acts, stretch, feature, next_feature):
    first = _with_next(stretch)
    return np.count_nonzero((acts[first, feature] != 0) & (acts[first + 1, next_feature] != 0))


def step_share(acts, stretch, feature, next_feature):
    return step_count(acts, stretch, feature, next_feature) / step_tokens(acts, stretch, feature)


def step_lift(acts, stretch, feature, next_feature):
    return _lift(step_count(acts, stretch, feature, next_feature), acts, stretch, feature, next_feature)


def shuffled_lift(acts, stretch, feature, next_feature):
    return _lift(_shuffled_mean(acts, stretch, feature, next_feature), acts, stretch, feature, next_feature)


def step_q(acts, stretch, feature, next_feature, tests):
    tested = _tested(acts, stretch, tests)
    pairs = [(f, g) for f in tested for g in tested if f != g]
    p = [_p(acts, stretch, *pair, tests["least_together"]) for pair in pairs]
    return _q(p)[pairs.index((feature, next_feature))]


def logit_edge(acts, ids, L, feature, next_feature):
    best = sorted(range(L.shape[1]), key=lambda v: (-L[feature, v], v))[:_PROMOTED]
    return sum(max(L[feature, v], 0) * acts[ids == v, next_feature].mean() for v in best if (ids == v).any())


def chance_logit_edge(acts, ids, L, next_feature):
    return np.mean([logit_edge(acts, ids, L, f, next_feature) for f in range(len(L))])


def self_count(acts, stretch, feature):
    return step_count(acts, stretch, feature, feature)


def self_lift(acts, stretch, feature):
    return step_lift(acts, stretch, feature, feature)


def self_shuffled_lift(acts, stretch, feature):
    return shuffled_lift(acts, stretch, feature, feature)


def self_q(acts, stretch, feature, tests):
    tested = _tested(acts, stretch, tests)
    if feature not in tested:
        return np.nan
    return _q([_p(acts, stretch, f, f, 0) for f in tested])[tested.index(feature)]


def n_next(acts, stretch, feature, tests, rule):
    return len(_next(acts, stretch, feature, tests, rule))


def n_previous(acts, stretch, feature, tests, rule):
    return sum(f == feature for _, f in _edges(acts, stretch, tests, rule))


def n_loops(acts, stretch, feature, tests, rule):
    edges = _edges(acts, stretch, tests, rule)
    return sum((feature, g) in edges and (g, feature) in edges for g in range(acts.shape[1]))


def next_feature(acts, stretch, feature, tests, rule):
    after = _next(acts, stretch, feature, tests, rule)
    return max(after, key=lambda g: step_lift(acts, stretch, feature, g)) if after else None


def loop_lift(acts, stretch, feature, next_feature):
    return min(step_lift(acts, stretch, f, g) for f, g in _both_ways(feature, next_feature))


def shuffled_loop_lift(acts, stretch, feature, next_feature):
    return min(shuffled_lift(acts, stretch, f, g) for f, g in _both_ways(feature, next_feature))


def back_count(acts, stretch, feature, next_feature):
    return step_count(acts, stretch, next_feature, feature)


def loop_q(acts, stretch, feature, next_feature, tests):
    return max(step_q(acts, stretch, f, g, tests) for f, g in _both_ways(feature, next_feature))


def path_count(acts, stretch, path):
    features = _features(path)
    starts = [t for t in range(len(stretch) - len(features) + 1) if stretch[t] == stretch[t + len(features) - 1]]
    return sum(all(acts[t + n, f] != 0 for n, f in enumerate(features)) for t in starts)


def path_shuffled(acts, stretch, path):
    orders = (np.random.default_rng([0, n]).random(len(stretch)) for n in range(_SHUFFLES))
    return np.mean([path_count(acts[np.lexsort((order, stretch))], stretch, path) for order in orders])


def path_lift(acts, stretch, path):
    return min(step_lift(acts, stretch, *step) for step in _steps(path))


def path_q(acts, stretch, path, tests):
    return max(
        self_q(acts, stretch, f, tests) if f == g else step_q(acts, stretch, f, g, tests) for f, g in _steps(path)
    )


def _with_next(stretch):
    return np.array([t for t in range(len(stretch) - 1) if stretch[t] == stretch[t + 1]])


def _shuffled_mean(acts, stretch, f, g):
    mean = 0.0
    for number in set(stretch.tolist()):
        on_f, on_g = (acts[stretch == number, one] != 0 for one in (f, g))
        mean += (on_f.sum() * on_g.sum() - (on_f & on_g).sum()) / len(on_f)
    return mean


def _lift(count, acts, stretch, f, g):
    pairs = _with_next(stretch)
    first, second = step_tokens(acts, stretch, f), np.count_nonzero(acts[pairs + 1, g])
    return count * len(pairs) / (first * second) if first and second else np.nan


def _tested(acts, stretch, tests):
    pairs = _with_next(stretch)
    firsts, seconds = (acts[pairs] != 0).sum(0), (acts[pairs + 1] != 0).sum(0)
    return [f for f in range(acts.shape[1]) if min(firsts[f], seconds[f]) >= tests["least_tokens"]]


def _p(acts, stretch, f, g, least):
    from scipy.stats import poisson

    count = step_count(acts, stretch, f, g)
    return poisson.sf(count - 1, _shuffled_mean(acts, stretch, f, g)) if count >= least else 1.0


def _q(p):
    n = len(p)
    return [min(n * one / sum(other <= one for other in p) for one in p if one >= mine) for mine in p]


def _edges(acts, stretch, tests, rule):
    tested = _tested(acts, stretch, tests)
    pairs = [(f, g) for f in tested for g in tested if f != g]
    q = _q([_p(acts, stretch, *pair, tests["least_together"]) for pair in pairs])
    return {pair for pair, one in zip(pairs, q, strict=True) if one <= rule["q"] and _keeps(acts, stretch, *pair, rule)}


def _keeps(acts, stretch, f, g, rule):
    count = step_count(acts, stretch, f, g)
    on_f, on_g = acts[:, f] != 0, acts[:, g] != 0
    apart = (on_f & on_g).mean() < on_f.mean() * on_g.mean() or not rule["turns"]
    often = count >= rule["least_count"] and count >= rule["least_ratio"] * _shuffled_mean(acts, stretch, f, g)
    return apart and often


def _next(acts, stretch, feature, tests, rule):
    return sorted(g for f, g in _edges(acts, stretch, tests, rule) if f == feature)


def _both_ways(f, g):
    return (f, g), (g, f)


def _features(path):
    return [int(one) for one in path.split("→")]


def _steps(path):
    features = _features(path)
    return list(pairwise(features))
