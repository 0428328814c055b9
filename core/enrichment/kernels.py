"""Compiled inner loops of token-set enrichment. Imports numba: import lazily."""

from typing import no_type_check

import numpy as np

from core.work.compiled import compiled


# The tests' shape checker would wrap the functions that numba must compile: no_type_check stops it.
@compiled(fastmath=set())
@no_type_check
def sort_descending(bits, keys, spare, counts):
    """Fill `keys` with (order of value) << 31 | token, largest value first; ties: lower token first.

    A radix sort in three passes takes the same time for all values. Sorting into bins of equal width would not: one
    outlier would leave all other values in one bin. bits (token,) int32: the bits of float32 values. keys, spare
    (token,) int64; counts (3, 2048) int64. Returns True if all values are finite.
    """
    n_tokens = len(bits)
    counts.fill(0)
    for t in range(n_tokens):
        signed = np.int64(bits[t])
        ascending = signed ^ ((signed >> 31) & 0x7FFFFFFF)
        order = 0x7FFFFFFF - (ascending + (ascending == -1))  # -0.0 has the bits just under 0.0, but is equal
        keys[t] = (order << 31) | t
        counts[0, order & 2047] += 1
        counts[1, (order >> 11) & 2047] += 1
        counts[2, order >> 22] += 1
    for digit in range(3):
        before = 0
        for value in range(2048):
            count = counts[digit, value]
            counts[digit, value] = before
            before += count
    _pass(keys, spare, counts[0], 31)
    _pass(spare, keys, counts[1], 42)
    _pass(keys, spare, counts[2], 53)
    for i in range(n_tokens):
        keys[i] = spare[i]
    # Infinity has the largest magnitude, and the bits of NaN lie beyond it; so either can only be first or last.
    return (keys[0] >> 31) > 0x7FFFFFFF - 0x7F800000 and (keys[-1] >> 31) < 0x7FFFFFFF + 0x7F800001


@compiled(fastmath=set())
@no_type_check
def _pass(source, target, places, shift):
    for i in range(len(source)):
        key = source[i]
        digit = (key >> shift) & 2047
        target[places[digit]] = key
        places[digit] += 1


@compiled(fastmath=set())
@no_type_check
def running_sum_extremes(values, least_range, spans, sets, sizes, low, high, ranks, blank):
    """Walk down each feature's tokens from the largest logit weight, for all token sets at once.

    After p of V tokens, j of them in a set of k, the running sum is j/k - (p - j)/(V - k) = (jV - pk) / (k(V - k)).
    The numerator is a whole number, so nothing is rounded. Between tokens of the set (hits) the sum falls: its largest
    value is 0 or comes right after a hit, and its least is 0 or comes right before one. Tokens with equal values, at
    ranks `start` to `end` - 1, are one step.

    Reads values (feature, token) float32: logit weights; sets and spans: the sets of token t are sets[b:e] with
    b << 32 | e = spans[t]; sizes (set,): k. Writes low, high (feature, set) int64: the extremes of jV - pk; ranks:
    twice the sum of the members' mid-ranks, counted from 0 at the largest value; blank (feature,) bool: True if a value
    is not finite or the range is not over least_range (feature,). Other results of blank features are meaningless.
    """
    n_features, n_tokens = values.shape
    bits = values.view(np.int32)
    keys, spare = np.empty(n_tokens, np.int64), np.empty(n_tokens, np.int64)
    counts = np.empty((3, 2048), np.int64)
    # A row for each set, side by side in memory: jV, k, least, largest, twice the ranks.
    state = np.empty((len(sizes), 5), np.int64)
    for i in range(n_features):
        finite = sort_descending(bits[i], keys, spare, counts)
        spread = values[i, keys[0] & 0x7FFFFFFF] - values[i, keys[-1] & 0x7FFFFFFF]
        blank[i] = not (finite and spread > least_range[i])
        state.fill(0)
        for s in range(len(sizes)):
            state[s, 1] = sizes[s]
        # Read spans before the walk: in it, the processor would have to wait for these scattered reads.
        for p in range(n_tokens):
            spare[p] = spans[keys[p] & 0x7FFFFFFF]
        start = 0
        while start < n_tokens:
            end = start + 1
            while end < n_tokens and keys[end] >> 31 == keys[start] >> 31:
                end += 1
            for p in range(start, end):
                for m in range(spare[p] >> 32, spare[p] & 0xFFFFFFFF):
                    s = sets[m]
                    before, k = state[s, 0], state[s, 1]
                    # Among equal values only the first hit can set `least`, only the last `largest`.
                    state[s, 0] = before + n_tokens
                    state[s, 2] = min(state[s, 2], before - start * k)
                    state[s, 3] = max(state[s, 3], before + n_tokens - end * k)
                    state[s, 4] += start + end - 1
            start = end
        for s in range(len(sizes)):
            low[i, s], high[i, s], ranks[i, s] = state[s, 2], state[s, 3], state[s, 4]


@compiled
@no_type_check
def draw_extremes(picks, n_tokens, largest):
    """Write the largest |jV - pk| for k members at random ranks, one value per row of `picks`.

    picks (draw, k) int64: the i-th is uniform over 0 to V - i - 1 and counts only ranks that are not yet taken, so that
    all sets of k ranks are equally likely. largest (draw,) int64.
    """
    draws, k = picks.shape
    ranks = np.empty(k, np.int64)
    for d in range(draws):
        for i in range(k):
            rank, at = picks[d, i], 0
            while at < i and ranks[at] <= rank:
                rank += 1
                at += 1
            for m in range(i, at, -1):
                ranks[m] = ranks[m - 1]
            ranks[at] = rank
        most = np.int64(0)
        for j in range(k):
            most = max(most, ranks[j] * k - j * n_tokens, (j + 1) * n_tokens - (ranks[j] + 1) * k)
        largest[d] = most
