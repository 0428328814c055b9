"""Principal components of directions, with a fixed sign. Exact, in blocks, from one d x d matrix."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from core.maths.unit_rows import unit_rows

_BLOCK = 4096


def principal_axes(directions: Float[np.ndarray, "n d"], n_axes: int) -> Float[np.ndarray, "n axis"]:
    """Return the coordinates of unit directions on their first principal components (Pearson 1901).

    The largest loading of a component is positive. Axes beyond the width are zero. Rows that are not
    finite are left out and get NaN.
    """
    from scipy.linalg import eigh

    d, n_finite = directions.shape[1], 0
    mean, products = np.zeros(d), np.zeros((d, d))
    for _, unit in _finite_blocks(directions):
        mean += unit.sum(axis=0, dtype=np.float64)
        n_finite += len(unit)
    mean /= max(n_finite, 1)
    for _, unit in _finite_blocks(directions):
        centred = unit - mean.astype(np.float32)
        products += centred.T @ centred
    n_found = min(n_axes, d)
    loadings = eigh(products, subset_by_index=[d - n_found, d - 1])[1][:, ::-1]
    loadings = loadings * np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(n_found)])
    out = np.zeros((len(directions), n_axes), np.float32)
    out[~np.isfinite(directions).all(axis=1)] = np.nan
    for rows, unit in _finite_blocks(directions):
        out[rows, :n_found] = (unit - mean) @ loadings
    return out


def _finite_blocks(directions: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield numbers and unit directions of the finite rows, a block at a time."""
    for start in range(0, len(directions), _BLOCK):
        rows = directions[start : start + _BLOCK]
        finite = np.flatnonzero(np.isfinite(rows).all(axis=1))
        yield start + finite, unit_rows(rows[finite])
