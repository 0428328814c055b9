"""The additive grid's statistics in whole arrays, for a device. Imports torch: import lazily.

The compiled loop visits each token part once and searches among the positions. Here a tile's parts are compared with
the least need of their feature, and those that fire anywhere are searched all at once and added to buckets, as int64 in
fixed point: integers give the same sum in any order, so that neither atomics nor tiles nor blocks change a bit.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.devices.blocks import on_its_device, rows_that_fit, run_on_device
from core.devices.device import Device
from core.devices.ordering import rising, sum64
from core.devices.placed import fetch, place
from core.dictionaries.dictionary import Dictionary
from core.maths.equal_rows import Ties, copies
from core.models.language_model import LanguageModel
from core.positions.statistics import NO_SPREAD
from core.work.progress import SILENT, Progress

_BITS = 62
"""Of a sum; a token takes those that its number of tokens leaves."""


@on_its_device
def additive_fields(
    dictionary: Dictionary,
    model: LanguageModel,
    device: Device,
    out: dict[str, np.ndarray],
    *,
    n_pos: int,
    context_size: int,
    tile: int = 4096,
    progress: Progress = SILENT,
) -> None:
    """Fill the fields of PositionStatistics, as `additive_statistics` does on the CPU.

    At the peak a feature takes about 40 bytes for each token of a tile and 300 for each position.
    """
    gate, W_E, W_enc = dictionary.affine_gate(), place(model.W_E, device), place(dictionary.W_enc, device)
    shifted = place(model.W_pos[:n_pos], device).double() - place(dictionary.input_bias, device).double()
    scale, offset, cutoff = (place(part, device) for part in (gate.scale, gate.offset, gate.cutoff))
    mean_token, ties = W_E.mean(0, dtype=torch.float64), Ties(copies(model.W_E))
    longest = max(float(part.double().square().sum(1).max()) for part in W_E.split(tile)) ** 0.5

    def work(features: slice) -> None:
        columns = W_enc[:, features].T.contiguous()
        at = scale[features, None], offset[features, None], cutoff[features, None]
        z = columns.double() @ shifted.T
        parts = columns * at[0], at[0] * z + at[1], at[0] * (at[2] - z)
        for name, value in _block(*parts, W_E, mean_token, ties, longest, context_size, tile).items():
            out[name][features] = fetch(value)

    block = rows_that_fit(device, dictionary.d_sae, bytes_per_row=40 * tile + 300 * n_pos, width=tile)
    run_on_device(work, dictionary.d_sae, block, device, progress=progress)


class _Group:
    """Positions summed together; a token that fires at the first k of them is counted in bucket k - 1."""

    def __init__(
        self,
        need: Float[Tensor, "feature pos"],
        position: Float[Tensor, "feature pos"],
        bound: Float[Tensor, " feature"],
        n_tokens: int,
    ):
        n, self.n_pos = need.shape
        self.order = need.argsort(dim=1, stable=True)
        self.need = need.gather(1, self.order).float()
        self.position = position.gather(1, self.order)
        # One ascending list for the whole block, so that what fires in any feature needs one search.
        row = torch.arange(n, device=need.device)[:, None]
        self._keys = ((row << 32) + _from_zero(self.need)).flatten()
        bits = _BITS - max(1, (n_tokens - 1).bit_length())
        exponent = torch.frexp(bound.clamp_min(1e-300)).exponent.double()  # |a| < 2^exponent
        self._scale = torch.stack([2.0 ** (bits - exponent), 2.0 ** (bits - 2 * exponent)])
        self._count = torch.zeros(n * self.n_pos, dtype=torch.int64, device=need.device)
        self._sums = torch.zeros(2, n * self.n_pos, dtype=torch.int64, device=need.device)

    def add(self, a: Float[Tensor, "feature token"]) -> None:
        feature, token = (a > self.need[:, :1]).nonzero(as_tuple=True)
        value = a[feature, token]
        # The place of the first need that is not below the value: feature * n_pos + k.
        bucket = torch.searchsorted(self._keys, (feature << 32) + _from_zero(value)) - 1
        self._count.scatter_add_(0, bucket, torch.ones_like(bucket))
        x = value.double()
        for sums, scale, power in zip(self._sums, self._scale, (x, x * x), strict=True):
            sums.scatter_add_(0, bucket, (power * scale[feature]).round().long())

    def buckets(
        self,
    ) -> tuple[Float[Tensor, "feature pos"], Float[Tensor, "feature pos"], Float[Tensor, "feature pos"]]:
        """Return number, sum and sum of squares of the token parts in each bucket."""
        n = self._scale.shape[1]
        sums = (s.reshape(n, -1).double() / scale[:, None] for s, scale in zip(self._sums, self._scale, strict=True))
        return self._count.reshape(n, -1).double(), *sums

    def moments(self, n_tokens: int) -> Float[Tensor, "moment feature pos"]:
        """Return over tokens the share firing, mean of f and mean of f^2, positions in their own order."""
        count, first, second = (bucket.flip(1).cumsum(1).flip(1) for bucket in self.buckets())
        v = self.position
        sums = torch.stack([count, first + count * v, second + 2 * v * first + count * v**2]) / n_tokens
        return torch.empty_like(sums).scatter_(2, self.order.expand_as(sums), sums)

    def token_square(self, n_tokens: int) -> Float[Tensor, " feature"]:
        """Return the mean over tokens of (mean over positions of f)^2."""
        count, first, second = self.buckets()
        k, v_sum = torch.arange(1, self.n_pos + 1, device=count.device), self.position.cumsum(1)
        return (k**2 * second + 2 * k * v_sum * first + v_sum**2 * count).sum(1) / self.n_pos**2 / n_tokens

    def mean_of(self, a: Float[Tensor, " feature"]) -> Float[Tensor, " feature"]:
        """Return the mean over positions of f for one token part of each feature."""
        return torch.where(self.need < a[:, None], a[:, None] + self.position, 0).mean(1)

    def firing_tokens(self) -> Int[Tensor, " feature"]:
        """Number of tokens that fire anywhere in the group."""
        return self._count.reshape(-1, self.n_pos).sum(1)


def _from_zero(x: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Return float32 values as whole numbers from 0 to 2^32 - 1 in the same order."""
    return rising(x).long() + 2**31


def _block(
    weights: Float[Tensor, "feature d_in"],
    position: Float[Tensor, "feature pos"],
    need: Float[Tensor, "feature pos"],
    W_E: Float[Tensor, "d_vocab d_in"],
    mean_token: Float[Tensor, " d_in"],
    ties: Ties,
    longest: float,
    context_size: int,
    tile: int,
) -> dict[str, Tensor]:
    (n, n_pos), n_tokens, at = need.shape, len(W_E), slice(context_size)
    # The Cauchy-Schwarz bound of |a|, with room for the product's rounding.
    bound = weights.double().norm(dim=1) * longest * (1 + 1e-3)
    split = [at] if context_size == n_pos else [at, slice(context_size, None)]
    groups = [_Group(need[:, part], position[:, part], bound, n_tokens) for part in split]
    mean_a = weights.double() @ mean_token
    centre, squares = mean_a.float()[:, None], torch.zeros_like(mean_a)
    largest = torch.full((n,), -torch.inf, dtype=W_E.dtype, device=W_E.device)
    largest_token = torch.full((n,), -1, dtype=torch.int64, device=W_E.device)
    tied = weights.new_empty(n, ties.n_groups)
    for start in range(0, n_tokens, tile):
        a = weights @ W_E[start : start + tile].T
        ties.settle(a, start, tied)
        for group in groups:
            group.add(a)
        top, place_of_top = a.max(dim=1)  # the first of equal values, which torch promises of max
        largest_token = torch.where(top > largest, place_of_top + start, largest_token)
        largest = torch.maximum(top, largest)
        squares += sum64(a.sub_(centre).square_())
    rate, mean, square = torch.cat([group.moments(n_tokens) for group in groups], dim=2)
    inside, fires = groups[0], groups[0].firing_tokens()
    pre_std = (squares / n_tokens - (mean_a - centre[:, 0]) ** 2).clamp_min(0).sqrt()
    return _variance_split(mean[:, at], square[:, at], inside.token_square(n_tokens)) | {
        "mean": mean.float(),
        "std": (square - mean**2).clamp_min(0).sqrt().float(),
        "rate": rate.float(),
        "pre_mean": (mean_a[:, None] + position).float(),
        "pre_std": pre_std[:, None].float(),
        "pre_std_over_positions": position[:, at].std(dim=1, correction=0),
        "token_score": inside.mean_of(largest),
        "token_best": torch.where(fires > 0, largest_token, -1),
        "only_beyond": (groups[-1].firing_tokens() - fires).clamp_min(0),
    }


def _variance_split(
    mean: Float[Tensor, "feature pos"], square: Float[Tensor, "feature pos"], token_square: Float[Tensor, " feature"]
) -> dict[str, Tensor]:
    """Do what core.positions.statistics.variance_split does."""
    grand = mean.mean(1)
    whole = square.mean(1)
    variance = (whole - grand**2).clamp_min(0)
    position, token = (
        torch.where(variance > NO_SPREAD * whole, part / variance, torch.nan)
        for part in (mean.var(1, correction=0), (token_square - grand**2).clamp_min(0))
    )
    return {
        "grand_mean": grand,
        "variance": variance,
        "share_position": position,
        "share_token": token,
        "share_interaction": (1 - position - token).clamp_min(0),
    }
