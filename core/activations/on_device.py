"""The encoder of the token pass in whole arrays, for a device. Imports torch: import lazily.

A product's last bits depend on the kernel that the library picks for its shape. So all tiles have one shape, the last
one filled up; the shape is part of every key (core.activations.store.device_inputs), and too little memory is an error,
not a reason for smaller tiles.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.activations.store import TILE
from core.amounts import of_bytes
from core.devices.blocks import computing_on
from core.devices.device import Device, DeviceError, OutOfDeviceMemoryError
from core.devices.ordering import top_keys, unpack
from core.devices.placed import fetch, place
from core.dictionaries.dictionary import AffineGate, Dictionary
from core.work.progress import SILENT, Progress

_BYTES_PER_PRE_ACT, _BYTES_PER_VALUE = 16, 40
"""What a tile takes for each of its features and each dimension of a token, at the peak."""


_ROWS = 16


class Sparse(NamedTuple):
    """Activations by token, then feature; token t has the entries ends[t - 1] to ends[t]."""

    ends: Int[Tensor, " token"]
    features: Int[Tensor, " nonzero"]
    acts: Float[Tensor, " nonzero"]


class DeviceEncoder:
    """One dictionary on a device: with gates, or TopK (`k`), and a decoder that adds rows of W_dec."""

    def __init__(
        self,
        dictionary: Dictionary,
        device: Device,
        *,
        gate: AffineGate | None,
        k: int | None,
        norms: Float[np.ndarray, " d_sae"] | None,
    ):
        self.dictionary, self.device, self._k = dictionary, device, k
        self._gate = None if gate is None else tuple(place(part, device) for part in vars(gate).values())
        self._norms = None if norms is None else place(norms, device)

    def encode(
        self,
        x: Float[Tensor, "token d_in"] | Float[np.ndarray, "token d_in"],
        target: Float[Tensor, "token d_out"] | Float[np.ndarray, "token d_out"],
        progress: Progress = SILENT,
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Return `ends`, `features`, `acts` and the five sums of kernels.compare of each tile.

        `progress` counts tokens. Raises DeviceError for too little memory, and where the driver fails.
        """
        b_dec = place(self.dictionary.b_dec, self.device)

        def work(part: slice, tile: Tensor) -> tuple[np.ndarray, ...]:
            n = part.stop - part.start
            sparse = self._sparse(tile, n)
            sums = compare(filled_up(self._here(target)[part]), self._decode(sparse), b_dec)[:, :n]
            return fetch(sparse.ends[:n]), fetch(sparse.features), fetch(sparse.acts), fetch(sums)

        return self._tiles(work, x, progress)

    def reconstruct(
        self, x: Float[Tensor, "token d_in"] | Float[np.ndarray, "token d_in"], progress: Progress = SILENT
    ) -> Float[Tensor, "token d_out"]:
        """Return x_hat; `progress` counts tokens. Raises what `encode` raises."""

        def work(part: slice, tile: Tensor) -> Tensor:
            n = part.stop - part.start
            return self._decode(self._sparse(tile, n))[:n]

        with computing_on(self.device):
            return torch.cat(self._tiles(work, x, progress))

    def shifted(
        self,
        target: Float[Tensor, "token d_out"] | Float[np.ndarray, "token d_out"],
        keep: Bool[np.ndarray, "row pos"],
    ) -> Float[np.ndarray, "pos d_out"]:
        """Return sums over rows of x - b_dec, of tokens that are kept."""
        with computing_on(self.device):
            b_dec = place(self.dictionary.b_dec, self.device).double()
            sums = torch.zeros(keep.shape[1], len(b_dec), dtype=torch.float64, device=self.device.torch)
            rows = self._here(target).reshape(*keep.shape, -1)
            # A few rows at a time keep float64 copies small.
            for some, kept in zip(rows.split(_ROWS), place(keep, self.device).split(_ROWS), strict=True):
                sums += torch.where(kept[..., None], some.double() - b_dec, 0).sum(0)
            return fetch(sums)

    def _here(self, x: Tensor | np.ndarray) -> Tensor:
        return place(x, self.device) if isinstance(x, np.ndarray) else x

    def _tiles(self, work: Callable[[slice, Tensor], Any], x: Tensor | np.ndarray, progress: Progress) -> list[Any]:
        """Return `work(which tokens, these filled up to a tile)` of all tiles, in order."""
        dictionary = self.dictionary
        for weights in (dictionary.W_enc, dictionary.b_enc, dictionary.W_dec, dictionary.b_dec):
            place(weights, self.device)  # here, so that the tile is not blamed for weights that do not fit
        self._check_memory()
        results = []
        try:
            with computing_on(self.device):
                x = self._here(x)
                for start in range(0, len(x), TILE):
                    part = slice(start, min(start + TILE, len(x)))
                    results.append(work(part, filled_up(x[part])))
                    progress.update(part.stop, len(x))
            return results
        except (torch.OutOfMemoryError, OutOfDeviceMemoryError):
            results.clear()  # handled below: inside `except` the traceback keeps every array of `work` alive
        raise self._too_small()

    def _sparse(self, tile: Float[Tensor, "token d_in"], n: int) -> Sparse:
        """Encode the first n tokens of a tile; the others have no entries."""
        dictionary = self.dictionary
        if dictionary.config.apply_b_dec_to_input:
            tile = tile - place(dictionary.b_dec, self.device)
        z = tile @ place(dictionary.W_enc, self.device)
        z[n:] = -torch.inf
        if self._gate:
            return compress(z, *self._gate)
        z += place(dictionary.b_enc, self.device)
        if self._norms is not None:
            z *= self._norms
        return keep_largest(z, self._k)

    def _decode(self, sparse: Sparse) -> Float[Tensor, "token d_out"]:
        acts, dictionary = sparse.acts, self.dictionary
        if self._norms is not None:
            acts = acts / self._norms[sparse.features]
        weights = place(dictionary.W_dec, self.device), place(dictionary.b_dec, self.device)
        return decode(sparse._replace(acts=acts), *weights)

    @property
    def _needs(self) -> int:
        config = self.dictionary.config
        return TILE * (_BYTES_PER_PRE_ACT * config.d_sae + _BYTES_PER_VALUE * (config.d_in + config.d_out))

    def _check_memory(self) -> None:
        if self.device.free_bytes() < self._needs:
            raise self._too_small()

    def _too_small(self) -> DeviceError:
        return DeviceError(
            f"{self.device.name} has {of_bytes(self.device.free_bytes())} free, and {TILE:,} tokens of "
            f"{self.dictionary.title} need about {of_bytes(self._needs)}. Fewer at a time would change the last bits "
            "of the activations. Close other programs that use the device, or choose the CPU as device."
        )


def filled_up(x: Float[Tensor, "token d"]) -> Float[Tensor, "tile d"]:
    """Return some tokens as a whole tile, its rest 0."""
    return torch.nn.functional.pad(x, (0, 0, 0, TILE - len(x)))


def compress(
    z: Float[Tensor, "token feature"],
    scale: Float[Tensor, " feature"],
    offset: Float[Tensor, " feature"],
    cutoff: Float[Tensor, " feature"],
) -> Sparse:
    """Return the activations of gated features: scale * z + offset where z > cutoff."""
    token, feature = (z > cutoff).nonzero(as_tuple=True)
    # Rounded once, as the loops do it: processors multiply and add in one step.
    values = (scale.double()[feature] * z[token, feature].double() + offset.double()[feature]).float()
    open_ = values > 0  # rounding may bring what is just above its cutoff to 0
    return _by_token(token[open_], feature[open_], values[open_], len(z))


def keep_largest(z: Float[Tensor, "token feature"], k: int) -> Sparse:
    """Return the k largest of each token's pre-activations, of those above 0; ties: lower features are kept."""
    values, ids = unpack(top_keys(z, k))
    ids, order = ids.sort(dim=1)
    values = values.gather(1, order)
    token, column = (values > 0).nonzero(as_tuple=True)
    return _by_token(token, ids[token, column], values[token, column], len(z))


def _by_token(token: Tensor, feature: Tensor, values: Tensor, n: int) -> Sparse:
    return Sparse(torch.bincount(token, minlength=n).cumsum(0), feature.int(), values)


def decode(
    sparse: Sparse, W_dec: Float[Tensor, "d_sae d_out"], b_dec: Float[Tensor, " d_out"]
) -> Float[Tensor, "token d_out"]:
    """Return b_dec plus the rows of W_dec of active features, weighted.

    embedding_bag adds a token's rows one after the other; index_add_ would add in whatever order.
    """
    starts = sparse.ends - torch.diff(sparse.ends, prepend=sparse.ends.new_zeros(1))
    rows = torch.nn.functional.embedding_bag(
        sparse.features.long(), W_dec, starts, mode="sum", per_sample_weights=sparse.acts
    )
    return rows + b_dec


def compare(
    x: Float[Tensor, "token d_out"], x_hat: Float[Tensor, "token d_out"], centre: Float[Tensor, " d_out"]
) -> Float[Tensor, "5 token"]:
    """Return in float64, for each token, what kernels.compare writes."""
    x, x_hat = x.double(), x_hat.double()
    parts = (x - x_hat).square(), x.square(), x_hat.square(), x * x_hat, (x - centre.double()).square()
    return torch.stack([part.sum(dim=1) for part in parts])
