"""The products behind principal components, on a device, in float64. Imports torch: import lazily."""

import numpy as np
import torch
from jaxtyping import Float

from core.devices.blocks import on_its_device, run_on_device
from core.devices.device import Device
from core.devices.placed import fetch, place

_BLOCK = 4096


@on_its_device
def centred_products(
    rows: Float[np.ndarray, "n d"], device: Device
) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, " d"]]:
    """Return the sum over rows of (x - mean) (x - mean)^T, and the mean."""
    n, d = rows.shape

    def total(part: slice) -> torch.Tensor:
        return place(rows[part], device).double().sum(0)

    mean = torch.zeros(d, dtype=torch.float64, device=device.torch)
    for part in run_on_device(total, n, _BLOCK, device):
        mean += part
    mean /= max(n, 1)
    products = torch.zeros(d, d, dtype=torch.float64, device=device.torch)

    def add(part: slice) -> None:
        centred = place(rows[part], device).double() - mean
        products.add_(centred.T @ centred)

    run_on_device(add, n, _BLOCK, device)
    return fetch(products), fetch(mean)


@on_its_device
def projected(
    rows: Float[np.ndarray, "n d"], mean: Float[np.ndarray, " d"], axes: Float[np.ndarray, "d axis"], device: Device
) -> Float[np.ndarray, "n axis"]:
    """Return (rows - mean) @ axes."""
    out = np.empty((len(rows), axes.shape[1]))
    at, there = place(mean, device), place(axes, device)

    def work(part: slice) -> None:
        out[part] = fetch((place(rows[part], device).double() - at) @ there)

    run_on_device(work, len(rows), _BLOCK, device)
    return out
