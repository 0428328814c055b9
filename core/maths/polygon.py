"""Finds the points inside a polygon that a person drew."""

import numpy as np
from jaxtyping import Bool, Float

from core.errors import LoupeError

MAX_VERTICES = 1000
_LARGEST = 1e38
"""The largest coordinate, that of float32. Above it, differences of products would overflow float64."""


class BadPolygonError(LoupeError):
    """The browser sent something that is not a polygon."""


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

    A point is inside if a ray to its right crosses the outline an odd number of times. If the outline crosses itself,
    regions that it encloses twice are outside. A point on a lower or left edge is inside, one on an upper or right
    edge is outside. NaN points are outside. Raises BadPolygonError (see `checked`).
    """
    vertices = checked(polygon)
    order = np.argsort(y, kind="stable")
    xs, ys = x[order].astype(np.float64), y[order].astype(np.float64)
    crossed = np.zeros(len(ys), bool)
    # With points sorted by y, an edge can cross the rays of one run of points only, so not every pair is tested.
    for start, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        (x0, y0), (x1, y1) = (start, end) if start[1] <= end[1] else (end, start)
        run = slice(*np.searchsorted(ys, [y0, y1]))
        if run.start < run.stop:
            crossed[run] ^= xs[run] < x0 + (ys[run] - y0) * ((x1 - x0) / (y1 - y0))
    result = np.empty(len(ys), bool)
    result[order] = crossed
    return result
