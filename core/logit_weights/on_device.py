"""Moments and extreme tokens of logit weights in whole arrays, for a device. Imports torch: import lazily."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.devices.blocks import on_its_device, rows_that_fit, run_on_device
from core.devices.device import Device
from core.devices.ordering import extreme_keys, merge_keys, sum64, unpack
from core.devices.placed import fetch, place
from core.logit_weights.unembedding import Unembedding
from core.work.progress import SILENT, Progress

TILE = 8192
"""Tokens per product."""


class TokenRows:
    """The unembedding's rows on a device, as float32 with their mean subtracted, and the mean and spread of them."""

    def __init__(self, unembedding: Unembedding, device: Device):
        given = place(unembedding.rows, device)
        self.device, self.ties = device, unembedding.ties
        self.n, self.d = given.shape
        parts = given.split(TILE)
        self.mean = torch.stack([part.sum(0, dtype=torch.float64) for part in parts]).sum(0) / self.n
        square = torch.stack([(part.double() - self.mean).square().sum() for part in parts]).sum()
        self.spread = float((square / self.n / self.d).sqrt())
        # Rows whose mean is 0 up to rounding are used as they are, without a copy.
        self.centred = float(self.mean.abs().max()) <= 1e-6 * self.spread and given.dtype == torch.float32
        self.rows = given if self.centred else given.float() - self.mean.float()

    def tiles(self) -> list[tuple[int, Float[Tensor, "tile d_model"]]]:
        return [(start, self.rows[start : start + TILE]) for start in range(0, self.n, TILE)]

    def means(
        self, directions: Float[Tensor, "feature d_model"]
    ) -> tuple[Float[Tensor, " feature"], Float[Tensor, " feature"]]:
        """Return every feature's mean over tokens, and the amount to add to its products with `rows`."""
        mean = directions.double() @ self.mean
        return mean, torch.zeros_like(mean) if self.centred else mean


@on_its_device
def logit_fields(
    directions: Float[np.ndarray, "d_sae d_model"],
    unembedding: Unembedding,
    device: Device,
    *,
    k: int,
    median: bool,
    progress: Progress = SILENT,
) -> dict[str, np.ndarray]:
    """Return, for each feature: scale, moments of x / scale, mean, extreme values and their rows of the unembedding.

    x are the feature's logit weights; `scale` is its length times the spread of the unembedding's rows. A feature needs
    up to 32 bytes for each token of a tile; with `median`, for each token of the vocabulary.
    """
    tokens = TokenRows(unembedding, device)

    def work(features: slice) -> dict[str, np.ndarray]:
        return {
            name: fetch(value) for name, value in _block(place(directions[features], device), tokens, k, median).items()
        }

    width = tokens.n if median else min(TILE, tokens.n)
    block = rows_that_fit(device, len(directions), bytes_per_row=32 * width, width=width)
    parts = run_on_device(work, len(directions), block, device, progress=progress)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _block(directions: Float[Tensor, "feature d_model"], tokens: TokenRows, k: int, median: bool) -> dict[str, Tensor]:
    directions = directions.float()
    scale = directions.double().square().sum(1).sqrt() * tokens.spread
    scaled = (directions * torch.where(scale > 0, 1 / scale, 0)[:, None]).float()
    moments = torch.zeros(len(directions), 4, dtype=torch.float64, device=directions.device)
    best: list[Int[Tensor, "feature k"]] = []
    tied = directions.new_empty(len(directions), tokens.ties.n_groups)
    for start, part in tokens.tiles():
        z = scaled @ part.T
        tokens.ties.settle(z, start, tied)
        tops = extreme_keys(z, min(k, len(part)), start)
        best = [merge_keys(a, b, k) for a, b in zip(best, tops, strict=True)] if best else list(tops)
        square = z * z
        moments += torch.stack([sum64(z), sum64(square), sum64(z.mul_(square)), sum64(square.mul_(square))], dim=1)
    (high, high_rows), (low, low_rows) = map(unpack, best)
    mean, shift = tokens.means(directions)
    if median:
        middle = _medians(directions, tokens, shift)
        mean, shift = mean - middle, shift - middle
    return {
        "moments": moments / tokens.n,
        "scale": scale,
        "mean": mean,
        "top_values": (high * scale[:, None] + shift[:, None]).float(),
        "top_tokens": high_rows.int(),
        "bottom_values": (-low * scale[:, None] + shift[:, None]).float(),
        "bottom_tokens": low_rows.int(),
    }


def _medians(
    directions: Float[Tensor, "feature d_model"], tokens: TokenRows, shift: Float[Tensor, " feature"]
) -> Float[Tensor, " feature"]:
    """Return medians over tokens as numpy defines them: the mean of the two middle values, in float32."""
    weights = torch.cat([directions @ part.T for _, part in tokens.tiles()], dim=1)
    weights = weights.add_(shift.float()[:, None]).sort(dim=1).values
    return ((weights[:, (tokens.n - 1) // 2] + weights[:, tokens.n // 2]) / 2).double()
