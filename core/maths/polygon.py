"""Which points lie inside a polygon that somebody drew."""

import numpy as np
from jaxtyping import Bool, Float

from core.errors import LoupeError

MAX_VERTICES = 1000
_LARGEST = 1e38
"""Coordinates are float32; beyond, differences of products would leave float64's range."""


class BadPolygonError(LoupeError):
    """What came from the browser is not a polygon."""


def checked(polygon: object) -> Float[np.ndarray, "vertex 2"]:
    """Return the vertices as float64. Raises BadPolygonError unless they are 3 to 1000 finite pairs of numbers."""
    if isinstance(polygon, np.ndarray | list | tuple) and 3 <= len(polygon) <= MAX_VERTICES:
        try:
            vertices = np.asarray(polygon, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            vertices = np.empty(0)
        if vertices.shape == (len(polygon), 2) and (np.abs(vertices) <= _LARGEST).all():
            return vertices
    size = f"{len(polygon)} entries" if hasattr(polygon, "__len__") else type(polygon).__name__
    raise BadPolygonError(
        f"The drawn outline cannot be used (got {size}): expected 3 to {MAX_VERTICES} pairs of finite numbers. "
        "Draw it again."
    )


def inside(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], polygon: object) -> Bool[np.ndarray, " n"]:
    """Tell which points lie inside a closed polygon, by the even-odd rule.

    A ray to the right of a point crosses the outline an odd number of times: of an outline that crosses
    itself, regions that it goes round twice are outside. A point on a lower or left edge is inside, on an
    upper or right one outside. NaN points are outside. Raises BadPolygonError (see `checked`).
    """
    vertices = checked(polygon)
    order = np.argsort(y, kind="stable")
    xs, ys = x[order].astype(np.float64), y[order].astype(np.float64)
    crossed = np.zeros(len(ys), bool)
    # Sorted by y, an edge concerns one run of the points, so the work is the crossings, not edges x points.
    for start, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        (x0, y0), (x1, y1) = (start, end) if start[1] <= end[1] else (end, start)
        run = slice(*np.searchsorted(ys, [y0, y1]))
        if run.start < run.stop:
            crossed[run] ^= xs[run] < x0 + (ys[run] - y0) * ((x1 - x0) / (y1 - y0))
    result = np.empty(len(ys), bool)
    result[order] = crossed
    return result
