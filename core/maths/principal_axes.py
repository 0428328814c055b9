"""Principal components of directions, with a fixed sign. Exact, in blocks, from one d x d matrix, in float64."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from core.maths.degenerate import degenerate
from core.maths.unit_rows import unit_rows

_BLOCK = 4096


def principal_axes(directions: Float[np.ndarray, "n d"], n_axes: int) -> Float[np.ndarray, "n axis"]:
    """Return the coordinates of directions at length 1 on their first principal components (Pearson 1901).

    The largest loading of a component is positive (see `fix_signs`). Axes beyond the width are zero. Each direction
    counts once, and rows without one get NaN (see core.maths.degenerate).
    """
    from scipy.linalg import eigh

    d, odd = directions.shape[1], degenerate(directions)
    counted = np.flatnonzero(odd.distinct)
    mean, products = np.zeros(d), np.zeros((d, d))
    for _, unit in _blocks(directions, counted):
        mean += unit.sum(axis=0)
    mean /= max(len(counted), 1)
    for _, unit in _blocks(directions, counted):
        unit -= mean
        products += unit.T @ unit
    n_found = min(n_axes, d)
    loadings = fix_signs(eigh(products, subset_by_index=[d - n_found, d - 1])[1].T[::-1])
    out = np.full((len(directions), n_axes), np.nan)
    out[counted] = 0
    for rows, unit in _blocks(directions, counted):
        out[rows, :n_found] = (unit - mean) @ loadings.T
    return odd.copies.spread(out)


def fix_signs(axes: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k d"]:
    """Turn each axis so that its largest entry is positive; near ties: the first of them."""
    size = np.abs(axes)
    largest = (size > 0.999 * size.max(axis=1, keepdims=True)).argmax(axis=1)
    return axes * np.where(np.take_along_axis(axes, largest[:, None], axis=1) < 0, -1.0, 1.0)


def _blocks(
    directions: Float[np.ndarray, "n d"], chosen: Int[np.ndarray, " chosen"]
) -> Iterator[tuple[Int[np.ndarray, " row"], Float[np.ndarray, "row d"]]]:
    """Yield numbers of the rows chosen, a block at a time, and the rows at length 1."""
    for start in range(0, len(chosen), _BLOCK):
        rows = chosen[start : start + _BLOCK]
        yield rows, unit_rows(directions[rows], np.float64)
