"""Sums of squares of many rows, in float64."""

import numpy as np
from jaxtyping import Float

_ROWS = 256
"""Rows that are converted at a time: few enough to stay in cache."""


def sum_of_squares(rows: Float[np.ndarray, "n d"], *, about: Float[np.ndarray, " d"] | float = 0.0) -> float:
    """Return the sum of (rows - about)^2 over all elements, in the square of the rows' unit.

    Differences, squares and sums are float64. A spread must be summed about the mean: the difference of a sum
    of squares and the square of a sum loses everything once the mean is many standard deviations off 0.
    """
    total = 0.0
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS].astype(np.float64) - about
        total += float(np.vdot(part, part))
    return total
