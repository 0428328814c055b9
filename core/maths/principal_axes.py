"""Principal components of directions, with a fixed sign. Exact, in blocks, from one d x d matrix, in float64."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from core.maths.unit_rows import unit_rows

_BLOCK = 4096


def principal_axes(directions: Float[np.ndarray, "n d"], n_axes: int) -> Float[np.ndarray, "n axis"]:
    """Return the coordinates of unit directions on their first principal components (Pearson 1901).

    The largest loading of a component is positive (see `fix_signs`). Axes beyond the width are zero. Rows that are not
    finite are left out and get NaN.
    """
    from scipy.linalg import eigh

    d, n_finite = directions.shape[1], 0
    mean, products = np.zeros(d), np.zeros((d, d))
    for _, unit in _finite_blocks(directions):
        mean += unit.sum(axis=0)
        n_finite += len(unit)
    mean /= max(n_finite, 1)
    for _, unit in _finite_blocks(directions):
        unit -= mean
        products += unit.T @ unit
    n_found = min(n_axes, d)
    loadings = fix_signs(eigh(products, subset_by_index=[d - n_found, d - 1])[1].T[::-1])
    out = np.zeros((len(directions), n_axes))
    out[~np.isfinite(directions).all(axis=1)] = np.nan
    for rows, unit in _finite_blocks(directions):
        out[rows, :n_found] = (unit - mean) @ loadings.T
    return out


def fix_signs(axes: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k d"]:
    """Turn each axis so that its largest entry is positive; near ties: the first of them."""
    size = np.abs(axes)
    largest = (size > 0.999 * size.max(axis=1, keepdims=True)).argmax(axis=1)
    return axes * np.where(np.take_along_axis(axes, largest[:, None], axis=1) < 0, -1.0, 1.0)


def _finite_blocks(directions: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield numbers and unit directions of the finite rows, a block at a time."""
    for start in range(0, len(directions), _BLOCK):
        rows = directions[start : start + _BLOCK]
        finite = np.flatnonzero(np.isfinite(rows).all(axis=1))
        yield start + finite, unit_rows(rows[finite], np.float64)
