"""Compiled inner loops of the exact positional statistics. Imports numba: import lazily."""

from typing import no_type_check

import numpy as np

from core.work.compiled import compiled


# The tests' shape checker would wrap the functions that numba must compile: no_type_check stops it.
@compiled
@no_type_check
def add_to_buckets(a, need, buckets):
    """Sort tokens by the number of positions they fire at, without visiting every token at every position.

    Token t fires at position p if a_t > need_p. With the positions sorted by `need` it fires at the
    first k of them and is added to bucket k - 1. Most chunks of 64 tokens fire nowhere and cost one
    comparison per token; what fires at one position only (an outlier, such as GPT-2's position 0) is
    summed up without a search.

    a (feature, token) float32: token part of the pre-activation. need (feature, pos + 1) float32:
    ascending, infinity last. buckets (feature, pos, 3): number of tokens, sum of a, sum of a^2; added to.
    """
    n_tokens, n_pos = a.shape[1], need.shape[1] - 1
    candidates = np.empty(65, np.int64)
    for i in range(a.shape[0]):
        needs, least, more = need[i], need[i, 0], need[i, 1]
        for start in range(0, n_tokens, 64):
            row = a[i, start : min(start + 64, n_tokens)]
            hits = 0
            for t in range(len(row)):
                hits += row[t] > least
            if hits == 0:
                continue
            first = second = 0.0
            for t in range(len(row)):
                x = np.float64(row[t]) if (row[t] > least) & (row[t] <= more) else 0.0
                first += x
                second += x * x
            # First collect, then search, both without branches, which the processor would mispredict.
            several = 0
            for t in range(len(row)):
                candidates[several] = t
                several += row[t] > more
            buckets[i, 0, 0] += hits - several
            buckets[i, 0, 1] += first
            buckets[i, 0, 2] += second
            for c in range(several):
                value = row[candidates[c]]
                k = 2
                left = n_pos - 2
                while left > 0:
                    half = (left + 1) >> 1
                    k += half * (needs[k + half - 1] < value)
                    left -= half
                x = np.float64(value)
                buckets[i, k - 1, 0] += 1.0
                buckets[i, k - 1, 1] += x
                buckets[i, k - 1, 2] += x * x


@compiled
@no_type_check
def add_spread(a, first_token, centre, squares, largest, largest_token):
    """Add to `squares` the sum over tokens of (a - centre)^2, and update the largest a and its token.

    a (feature, token) float32, for tokens `first_token` onwards; the others by feature.
    """
    n_tokens = a.shape[1]
    for i in range(a.shape[0]):
        middle, top = centre[i], largest[i]
        for start in range(0, n_tokens, 256):
            row = a[i, start : min(start + 256, n_tokens)]
            part = np.float32(0)  # float32 within a chunk, so that the loop fills whole vectors
            larger = 0
            for t in range(len(row)):
                part += (row[t] - middle) * (row[t] - middle)
                larger += row[t] > top
            squares[i] += part
            if larger > 0:
                for t in range(len(row)):
                    if row[t] > top:
                        top = row[t]
                        largest_token[i] = first_token + start + t
        largest[i] = top


@compiled
@no_type_check
def add_moments(x, first, last, by_position, by_sample):
    """Add sums, sums of squares and non-zero counts over samples, and over positions first to last - 1.

    x (sample, pos, feature) float32; by_position (3, pos, feature) and by_sample (3, sample, feature)
    float64. Chunks of features keep the sums in the nearest cache.
    """
    n_samples, _, d_sae = x.shape
    for p in range(first, last):
        for start in range(0, d_sae, 1024):
            part = slice(start, min(start + 1024, d_sae))
            for r in range(n_samples):
                _add(x[r, p, part], by_position[0, p, part], by_position[1, p, part], by_position[2, p, part])
                _add(x[r, p, part], by_sample[0, r, part], by_sample[1, r, part], by_sample[2, r, part])


@compiled
@no_type_check
def _add(values, sums, squares, counts):
    for i in range(len(values)):
        value = np.float64(values[i])
        sums[i] += value
        squares[i] += value * value
        counts[i] += values[i] != 0
