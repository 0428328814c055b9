"""Compiled inner loops of first-order effects. Imports numba: import lazily."""

from typing import no_type_check

import numpy as np

from core.maths.exact_sums import FRACTION_BITS
from core.work.compiled import compiled


# In a fixed order, so that the bits do not depend on the processor.
@compiled(fastmath=False)
@no_type_check
def first_order(ends, features, acts, gradient, directions, effects):
    """Write each entry's activation times (gradient of its token . direction of its feature), in float64.

    gradient (token, d_out) and directions (d_sae, d_out) float32; token t has the entries ends[t - 1] to ends[t].
    """
    start, width = 0, gradient.shape[1]
    lanes = np.zeros(8)
    for t in range(len(ends)):
        for j in range(start, ends[t]):
            row = directions[features[j]]
            lanes[:] = 0.0
            for first in range(0, width - 7, 8):
                for lane in range(8):
                    lanes[lane] += np.float64(gradient[t, first + lane]) * np.float64(row[first + lane])
            for i in range(width - width % 8, width):
                lanes[0] += np.float64(gradient[t, i]) * np.float64(row[i])
            total = 0.0
            for lane in range(8):
                total += lanes[lane]
            effects[j] = np.float64(acts[j]) * total
        start = ends[t]


@compiled(fastmath=False)
@no_type_check
def add_effects(ends, features, acts, effects, lengths, count, whole, part):
    """Add entries to counts and to exact sums of the effect, its size, and |activation| * length, by feature.

    lengths (token): of the gradient; whole, part (3, feature) in units of 1 and 2^-40, not carried.
    """
    unit, start = 2.0**FRACTION_BITS, 0
    for t in range(len(ends)):
        for j in range(start, ends[t]):
            i = features[j]
            count[i] += 1
            for k in range(3):
                value = effects[j]
                if k == 1:
                    value = abs(value)
                elif k == 2:
                    value = abs(np.float64(acts[j])) * lengths[t]
                floor = np.floor(value)
                whole[k, i] += np.int64(floor)
                part[k, i] += np.int64(np.rint((value - floor) * unit))
        start = ends[t]
