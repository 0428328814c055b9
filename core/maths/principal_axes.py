"""Principal components of directions, with a fixed sign. Exact, in blocks, from one d x d matrix, in float64."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from core.devices.device import CPU, Device
from core.maths.degenerate import degenerate
from core.maths.unit_rows import unit_rows

_BLOCK = 4096


def principal_axes(
    directions: Float[np.ndarray, "n d"], n_axes: int, *, device: Device = CPU
) -> Float[np.ndarray, "n axis"]:
    """Return the coordinates of directions at length 1 on their first principal components (Pearson 1901).

    The largest loading of a component is positive (see `fix_signs`). Axes beyond the width are zero. Each direction
    counts once, and rows without one get NaN (see core.maths.degenerate). A device that runs kernels makes the
    products, in float64 as on the CPU. Raises DeviceError.
    """
    odd, n_found = degenerate(directions), min(n_axes, directions.shape[1])
    counted = np.flatnonzero(odd.distinct)
    out = np.full((len(directions), n_axes), np.nan)
    out[counted] = 0
    if device.runs_kernels:
        from core.maths.on_device import centred_products, projected

        unit = unit_rows(directions[counted], np.float64)
        products, mean = centred_products(unit, device)
        out[counted, :n_found] = projected(unit, mean, _loadings(products, n_found).T, device)
        return odd.copies.spread(out)
    products, mean = _centred_products(directions, counted)
    loadings = _loadings(products, n_found)
    for rows, unit in _blocks(directions, counted):
        out[rows, :n_found] = (unit - mean) @ loadings.T
    return odd.copies.spread(out)


def _centred_products(
    directions: Float[np.ndarray, "n d"], counted: Int[np.ndarray, " counted"]
) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, " d"]]:
    """Return the sum over rows at length 1 of (x - mean) (x - mean)^T, and the mean."""
    d = directions.shape[1]
    mean, products = np.zeros(d), np.zeros((d, d))
    for _, unit in _blocks(directions, counted):
        mean += unit.sum(axis=0)
    mean /= max(len(counted), 1)
    for _, unit in _blocks(directions, counted):
        unit -= mean
        products += unit.T @ unit
    return products, mean


def _loadings(products: Float[np.ndarray, "d d"], n_axes: int) -> Float[np.ndarray, "axis d"]:
    from scipy.linalg import eigh

    d = len(products)
    return fix_signs(eigh(products, subset_by_index=[d - n_axes, d - 1])[1].T[::-1])


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
