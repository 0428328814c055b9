"""Cosines of one vector with many, so that rows which are equal have equal cosines."""

import numpy as np
from jaxtyping import Float

from core.maths.unit_rows import inverse_lengths

_ROWS = 2**12


def row_cosines(direction: Float[np.ndarray, " d"], rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Return the cosine of a vector with each row, -1 to 1, summed in float64 and rounded to float32.

    A float32 product would give equal rows different cosines, depending on the kernel and the block. In float64 such
    differences are so small that rounding removes them. NaN if either vector has no direction (see
    core.maths.degenerate).
    """
    one = direction.astype(np.float64)
    own, cosines = inverse_lengths(one), np.full(len(rows), np.nan, np.float32)
    if not own > 0:
        return cosines
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            # One factor after the other, because their product may overflow.
            scale = inverse_lengths(part)
            cosine = (part.astype(np.float64) @ (one * own)) * scale
            cosines[start : start + _ROWS] = np.where(scale > 0, np.clip(cosine, -1, 1), np.nan)
    return cosines
