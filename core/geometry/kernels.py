"""Compiled inner loops of the exact neighbour search. Imports numba: import lazily."""

from typing import no_type_check

import numpy as np

from core.work.compiled import compiled

OVERFLOW = -1
"""Stands in place of a count if too many candidates lie close to the k-th; `settle` then looks at all others."""


# The tests' shape checker would wrap the functions that numba must compile: no_type_check stops it.
@compiled
@no_type_check
def keep_best(tile, first, k, margin, values, ids, counts, thresholds):
    """Add to each row's candidates the entries of `tile` that may be among its k largest.

    tile (row, column) float32; its first column has the number `first`. values, ids (row, room): the candidates so
    far, of which each row has `counts`. thresholds (row,): the least value of a new candidate. When a row has no room
    for another chunk of 64, candidates that cannot be among its k largest are dropped.
    """
    room = values.shape[1]
    for r in range(tile.shape[0]):
        n, least = counts[r], thresholds[r]
        for start in range(0, tile.shape[1], 64):
            part = tile[r, start : min(start + 64, tile.shape[1])]
            hits = 0
            for t in range(len(part)):
                hits += part[t] >= least
            if hits == 0:
                continue
            if n + 64 > room:
                n, least = drop_hopeless(values[r], ids[r], n, k, margin)
                if n + 64 > room:
                    n, least = OVERFLOW, np.float32(np.inf)
                    break
            for t in range(len(part)):  # without branches, which processors would predict wrongly
                values[r, n] = part[t]
                ids[r, n] = first + start + t
                n += part[t] >= least
        counts[r], thresholds[r] = n, least


@compiled
@no_type_check
def drop_hopeless(values, ids, n, k, margin):
    """Keep the candidates within `margin` of the k-th largest, or over it; return their number and that limit."""
    if n < k:
        return n, np.float32(-1.5)
    least = np.float32(kth_largest(values[:n].copy(), k) - margin)
    kept = 0
    for c in range(n):
        values[kept], ids[kept] = values[c], ids[c]
        kept += values[c] >= least
    return kept, least


@compiled
@no_type_check
def kth_largest(values, k):
    """Return the k-th largest value by partition around pivots; this changes the order of `values`."""
    low, high, target = 0, len(values) - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < target < i:
            break
        low, high = (low, j) if target <= j else (i, high)
    return values[target]


@compiled
@no_type_check
def drop_all_hopeless(values, ids, counts, k, margin):
    """Drop hopeless candidates once more, at the end, in every row that did not overflow."""
    for r in range(len(counts)):
        if counts[r] != OVERFLOW:
            counts[r], _ = drop_hopeless(values[r], ids[r], counts[r], k, margin)


@compiled
@no_type_check
def transpose(tile, out):
    """Write tile (row, column) into out (column, row), in squares that fit the processor's first cache."""
    for i in range(0, tile.shape[0], 16):
        for j in range(0, tile.shape[1], 16):
            for column in range(j, min(j + 16, tile.shape[1])):
                for row in range(i, min(i + 16, tile.shape[0])):
                    out[column, row] = tile[row, column]


@compiled
@no_type_check
def exact_cosines(rows, scales, others, other_scales, ids, counts, values):
    """Write the cosines of each row's candidates into `values`, summed in float64.

    rows, others (n, d) float32. scales, other_scales: 1 / length of each row (0 for a zero row). ids (row, room):
    numbers of the candidates among `others`; each row uses the first `counts` of them. values (row, room).
    """
    for r in range(len(rows)):
        for c in range(counts[r]):
            j = ids[r, c]
            values[r, c] = dot(rows[r], others[j]) * scales[r] * other_scales[j]


@compiled
@no_type_check
def dot(a, b):
    """Inner product of two float32 vectors, summed in float64."""
    total = 0.0
    for t in range(len(a)):
        total += np.float64(a[t]) * np.float64(b[t])
    return total


@compiled
@no_type_check
def pair_dots(rows, others, ends_a, ends_b, out):
    """Write the inner products, summed in float64, of row ends_a[p] with other ends_b[p] for every pair p."""
    for p in range(len(ends_a)):
        out[p] = dot(rows[ends_a[p]], others[ends_b[p]])
