"""Compiled inner loops of the token pass. Imports numba: import lazily."""

from math import frexp
from typing import no_type_check

import numpy as np

from core.activations.measures import LOWEST_EXPONENT, N_BINS
from core.maths.exact_sums import FRACTION_BITS
from core.work.compiled import compiled

HALF_ROOT = 0.5**0.5


# The tests' shape checker would wrap the functions that numba must compile: no_type_check stops it.
@compiled
@no_type_check
def compress(z, cutoff, scale, offset, ends, features, acts):
    """Write the activations of gated features: scale * z + offset where z > cutoff. Return how many there are.

    z (token, feature) float32; ends (token): where each token's entries end in `features`, `acts`. Most
    chunks of 64 features are silent and cost one comparison a feature.
    """
    n, d_sae = 0, z.shape[1]
    for t in range(z.shape[0]):
        for start in range(0, d_sae, 64):
            stop = min(start + 64, d_sae)
            row, least = z[t, start:stop], cutoff[start:stop]
            hits = 0
            for i in range(len(row)):
                hits += row[i] > least[i]
            if hits == 0:
                continue
            for i in range(len(row)):  # without branches, which would be mispredicted
                value = scale[start + i] * row[i] + offset[start + i]
                features[n] = start + i
                acts[n] = value
                # Rounding may bring what is just above its cutoff to 0.
                n += (row[i] > least[i]) & (value > 0)
        ends[t] = n
    return n


@compiled(fastmath=False)
@no_type_check
def keep_largest(z, k, ends, features, acts):
    """Write the k largest of each token's pre-activations, of those above 0: TopK, then the ReLU.

    Ties at the limit: lower features are kept. A row is read once: few values pass the k-th
    largest of those before them, and when too many have, all but k of them are dropped.
    """
    n, d_sae = 0, z.shape[1]
    room = 4 * k + 64
    for t in range(z.shape[0]):
        least, first = np.float32(0), n
        for start in range(0, d_sae, 64):
            row = z[t, start : min(start + 64, d_sae)]
            hits = 0
            for i in range(len(row)):
                hits += row[i] > least
            if hits == 0:
                continue
            for i in range(len(row)):
                if row[i] > least:
                    features[n] = start + i
                    acts[n] = row[i]
                    n += 1
            if n - first > room:
                n, least = _drop_smaller(features, acts, first, n, k)
        if n - first > k:
            n, least = _drop_smaller(features, acts, first, n, k)
        ends[t] = n
    return n


@compiled(fastmath=False)
@no_type_check
def _drop_smaller(features, acts, first, n, k):
    """Keep the k largest of entries first to n, in their order; return where they end, and the least of them."""
    values = acts[first:n]
    least = np.partition(values, len(values) - k)[len(values) - k]
    equal = k
    for value in values:
        equal -= value > least
    end = first
    for j in range(first, n):
        value = acts[j]
        if value < least or (value == least and equal == 0):
            continue
        equal -= value == least
        features[end], acts[end] = features[j], value
        end += 1
    return end, least


@compiled(fastmath=False)
@no_type_check
def keep_nonzero(dense, ends, features, acts):
    """The same for activations that are already there, (token, feature), negative ones included."""
    n = 0
    for t in range(dense.shape[0]):
        for i in range(dense.shape[1]):
            value = dense[t, i]
            if value != 0:
                features[n] = i
                acts[n] = value
                n += 1
        ends[t] = n
    return n


@compiled
@no_type_check
def decode(ends, features, acts, W_dec, b_dec, x_hat):
    """Write b_dec plus the rows of W_dec of active features, weighted, to x_hat (token, d_out)."""
    start = 0
    for t in range(len(ends)):
        out = x_hat[t]
        out[:] = b_dec
        for j in range(start, ends[t]):
            row, weight = W_dec[features[j]], acts[j]
            for i in range(len(out)):
                out[i] += weight * row[i]
        start = ends[t]


@compiled
@no_type_check
def compare(x, x_hat, centre, sums):
    """Write for each token sum of (x - x_hat)^2, x^2, x_hat^2, x x_hat and (x - centre)^2.

    sums (measure, token) float64: its first five rows, as Measure numbers them.
    """
    for t in range(x.shape[0]):
        error = square = square_hat = dot = spread = 0.0
        for i in range(x.shape[1]):
            a, b, c = np.float64(x[t, i]), np.float64(x_hat[t, i]), np.float64(centre[i])
            error += (a - b) * (a - b)
            square += a * a
            square_hat += b * b
            dot += a * b
            spread += (a - c) * (a - c)
        sums[0, t], sums[1, t], sums[2, t], sums[3, t], sums[4, t] = error, square, square_hat, dot, spread


@compiled
@no_type_check
def sum_sizes(ends, acts, l1):
    """Write the sum of |f| of each token."""
    start = 0
    for t in range(len(ends)):
        total = 0.0
        for j in range(start, ends[t]):
            total += np.float64(abs(acts[j]))
        l1[t] = total
        start = ends[t]


# Exact: float rewrites would let the two parts of a sum disagree.
@compiled(fastmath=False)
@no_type_check
def add_activations(ends, features, acts, n_pos, count, whole, part, largest, smallest, histogram, by_position):
    """Add a block's activations to counts, sums, extremes and histograms.

    Rows of n_pos tokens. The first axis of count, largest, smallest (2, feature) and histogram
    (2, feature, bin) is 0 for position 0, 1 for all later ones; whole, part (2, 2, feature) are sums of
    f and f^2 in units of 1 and 2^-40; by_position (pos, 5): count, then whole and part of both sums.
    """
    unit, start = 2.0**FRACTION_BITS, 0
    for t in range(len(ends)):
        p = t % n_pos
        late = 1 if p > 0 else 0
        for j in range(start, ends[t]):
            i, f = features[j], np.float64(acts[j])
            count[late, i] += 1
            if f > largest[late, i]:
                largest[late, i] = f
            if f < smallest[late, i]:
                smallest[late, i] = f
            histogram[late, i, bin_of(abs(f))] += 1
            value = f
            for power in range(2):
                floor = np.floor(value)
                rest = np.int64(np.rint((value - floor) * unit))
                whole[late, power, i] += np.int64(floor)
                part[late, power, i] += rest
                by_position[p, 1 + power] += np.int64(floor)
                by_position[p, 3 + power] += rest
                value = f * f  # exact, as f has 24 bits
        by_position[p, 0] += ends[t] - start
        for power in range(2):  # a row has few positions, but each may have very many active features
            carry = by_position[p, 3 + power] >> FRACTION_BITS
            by_position[p, 1 + power] += carry
            by_position[p, 3 + power] -= carry << FRACTION_BITS
        start = ends[t]


@compiled(fastmath=False)
@no_type_check
def bin_of(size):
    """Bin of |f| > 0, in half octaves; what is beyond the outer bins goes into them."""
    mantissa, exponent = frexp(size)  # 0.5 <= mantissa < 1
    index = 2 * (exponent - 1 - LOWEST_EXPONENT) + (mantissa >= HALF_ROOT)
    return min(max(index, 0), N_BINS - 1)


@compiled(fastmath=False)
@no_type_check
def gather(ends, features, acts, n_pos, with_first, slots, values):
    """Sort a block's activations by feature: slots (feature) says where the next value goes, -1 for nowhere.

    A slot beyond the values is counted and not written: the caller sees by the slots that there are too many.
    """
    start = 0
    for t in range(len(ends)):
        if with_first or t % n_pos > 0:
            for j in range(start, ends[t]):
                slot = slots[features[j]]
                if slot >= 0:
                    if slot < len(values):
                        values[slot] = acts[j]
                    slots[features[j]] = slot + 1
        start = ends[t]
