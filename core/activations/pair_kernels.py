"""Compiled loops over sparse activations of two dictionaries on the same tokens. Imports numba: import lazily."""

from typing import no_type_check

import numpy as np

from core.work.compiled import compiled

_CHUNK = 64


# The tests' shape checker would wrap the functions that numba must compile: no_type_check stops it.
@compiled(fastmath=False)
@no_type_check
def by_feature(ends, features, acts, slots, tokens, values):
    """Sort activations by feature, tokens ascending. `slots` says where each feature begins, and then where it ends."""
    start = 0
    for t in range(len(ends)):
        for p in range(start, ends[t]):
            slot = slots[features[p]]
            tokens[slot] = t
            values[slot] = acts[p]
            slots[features[p]] = slot + 1
        start = ends[t]


@compiled(fastmath=False)
@no_type_check
def moments(feature_ends, values, n_tokens, mean, spread):
    """Write each feature's mean over all tokens and the sum of squared deviations from it, silent tokens included."""
    start = 0
    for i in range(len(feature_ends)):
        total, square, stop = 0.0, 0.0, feature_ends[i]
        for p in range(start, stop):
            total += np.float64(values[p])
        mean[i] = total / n_tokens
        for p in range(start, stop):
            square += (np.float64(values[p]) - mean[i]) ** 2
        spread[i] = square + (n_tokens - (stop - start)) * mean[i] ** 2
        start = stop


@compiled(fastmath=False)
@no_type_check
def offer(value, number, best, numbers):
    """Put a number into a list if it belongs there: largest value first; ties: lower number first."""
    at = len(best)
    while at > 0 and (value > best[at - 1] or (value == best[at - 1] and number < numbers[at - 1])):
        at -= 1
    for j in range(len(best) - 1, at, -1):
        best[j] = best[j - 1]
        numbers[j] = numbers[j - 1]
    if at < len(best):
        best[at] = value
        numbers[at] = number


@compiled
@no_type_check
def correlate(first, stop, a, a_mean, a_inverse, b, b_mean, b_inverse, scratch, rows, row_ids, columns, column_ids):
    """Correlate features `first` to `stop` of A with all of B, and let both sides keep their best.

    a: feature_ends, tokens, values; b: ends, features, acts. *_inverse: 1 / root of the sum of squared deviations,
    NaN for what is left out. scratch (3, feature of B): the last line is the least value that each column keeps.
    rows (feature of A, k) and columns (feature of B, k) with their ids, best first.
    """
    feature_ends, tokens, values = a
    ends, features, acts = b
    product, corr, least = scratch[0], scratch[1], scratch[2]
    n, n_tokens, last = len(product), len(ends), rows.shape[1] - 1
    for i in range(first, stop):
        if np.isnan(a_inverse[i]):
            continue
        product[:] = 0
        for p in range(feature_ends[i - 1] if i > 0 else 0, feature_ends[i]):
            t, value = tokens[p], np.float64(values[p])
            for q in range(ends[t - 1] if t > 0 else 0, ends[t]):
                product[features[q]] += value * np.float64(acts[q])
        total, inverse, row, ids = n_tokens * a_mean[i], a_inverse[i], rows[i], row_ids[i]
        for start in range(0, n, _CHUNK):
            end = min(start + _CHUNK, n)
            hits, bar = 0, row[last]
            for j in range(start, end):
                r = (product[j] - total * b_mean[j]) * (inverse * b_inverse[j])
                corr[j] = r
                # NaN is never a hit; a later number does not displace an equal value of the row.
                hits += (r > bar) | (r >= least[j])
            if hits == 0:
                continue
            for j in range(start, end):
                if corr[j] > row[last]:
                    offer(corr[j], j, row, ids)
                if corr[j] >= least[j]:
                    offer(corr[j], i, columns[j], column_ids[j])
                    least[j] = columns[j, last]


@compiled
@no_type_check
def masked(i, a, b, a_square, b_square, scratch, score):
    """Write the masked cosine of feature i of A with all of B; 0 where the two are never active together.

    a_square, b_square: sums of squared activations over all tokens. scratch (3, feature of B).
    """
    feature_ends, tokens, values = a
    ends, features, acts = b
    product, a_there, b_here = scratch[0], scratch[1], scratch[2]
    scratch[:] = 0
    for p in range(feature_ends[i - 1] if i > 0 else 0, feature_ends[i]):
        t, f = tokens[p], np.float64(values[p])
        for q in range(ends[t - 1] if t > 0 else 0, ends[t]):
            j, g = features[q], np.float64(acts[q])
            product[j] += f * g
            a_there[j] += f * f
            b_here[j] += g * g
    for j in range(len(score)):
        score[j] = 0
        if a_there[j] > 0:
            where_a = product[j] / np.sqrt(a_square[i] * b_here[j])
            where_b = product[j] / np.sqrt(a_there[j] * b_square[j])
            score[j] = max(where_a, where_b)


@compiled
@no_type_check
def mix(ends, columns, values, matrix, out):
    """Write the product of a sparse matrix, row r with the entries ends[r - 1] to ends[r], and a dense one."""
    start = 0
    for r in range(len(ends)):
        line = out[r]
        line[:] = 0
        for p in range(start, ends[r]):
            row, weight = matrix[columns[p]], np.float64(values[p])
            for j in range(len(line)):
                line[j] += weight * row[j]
        start = ends[r]
