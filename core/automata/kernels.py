"""Compiled loops over sparse activations that count what follows a feature. Imports numba: import lazily.

scipy's sparse products gave the same numbers in several times as many seconds.
"""

from typing import no_type_check

from core.work.compiled import compiled


# The tests' shape checker would wrap the functions that numba must compile: no_type_check stops it.
@compiled(fastmath=False)
@no_type_check
def follow(start, by_feature, by_token, number, order, place, count):
    """Write for features from `start` on, a row each, how often all features follow them.

    by_feature: ends, tokens; by_token: ends, features. The text has token order[k] as its k-th, so token t stands at
    place[t]. `number` is the stretch of each place. count (feature, d_sae).
    """
    feature_ends, tokens = by_feature
    ends, features = by_token
    last = len(number) - 1
    for i in range(len(count)):
        f, counted = start + i, count[i]
        counted[:] = 0
        for p in range(feature_ends[f - 1] if f > 0 else 0, feature_ends[f]):
            at = place[tokens[p]]
            if at < last and number[at + 1] == number[at]:
                after = order[at + 1]
                for q in range(ends[after - 1] if after > 0 else 0, ends[after]):
                    counted[features[q]] += 1


@compiled(fastmath=False)
@no_type_check
def expect(start, by_feature, by_token, by_stretch, number, length, mean, together):
    """Write for features from `start` on, a row each, the mean of `follow` over all orders of each stretch's tokens.

    by_stretch: ends, features, and on how many tokens of the stretch each fires. `length` are the tokens of each
    stretch. mean, together (feature, d_sae); the second is on how many tokens both fire.
    """
    feature_ends, tokens = by_feature
    ends, features = by_token
    stretch_ends, stretch_features, stretch_tokens = by_stretch
    for i in range(len(mean)):
        f, expected, both = start + i, mean[i], together[i]
        expected[:] = 0
        both[:] = 0
        stop, here = feature_ends[f], 0
        for p in range(feature_ends[f - 1] if f > 0 else 0, stop):
            t = tokens[p]
            s = number[t]
            n = length[s]
            here += 1
            for q in range(ends[t - 1] if t > 0 else 0, ends[t]):
                expected[features[q]] -= 1 / n
                both[features[q]] += 1
            if p + 1 == stop or number[tokens[p + 1]] != s:
                for q in range(stretch_ends[s - 1] if s > 0 else 0, stretch_ends[s]):
                    expected[stretch_features[q]] += here * stretch_tokens[q] / n
                here = 0
