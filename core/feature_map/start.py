"""The start of a layout: principal components, rounded so that they are the same on every processor.

UMAP and t-SNE are chaotic: a start that differs in its last bit ends in another map, in which points are off by a tenth
of its width.
"""

import numpy as np
from jaxtyping import Float

from core.maths.principal_axes import principal_axes

_BITS = 13


def map_start(directions: Float[np.ndarray, "n d"], n_axes: int) -> Float[np.ndarray, "n axis"]:
    """Return the first principal components, rounded to a multiple of about 1/8192 of the largest coordinate.

    Processors differ by only 1e-12 of that. NaN for rows without a direction.
    """
    start = principal_axes(directions, n_axes)
    largest = np.nanmax(np.abs(start), initial=0)
    step = 2.0 ** (np.frexp(largest)[1] - _BITS)  # a power of 2: the last bits of `largest` do not change it
    return np.rint(start / step) * step
