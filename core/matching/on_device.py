"""Correlations of all features of two dictionaries over tokens, in whole arrays, for a device.

Imports torch: import lazily. For a block of features of A, each activation is multiplied with those of all features of
B that are active on the same token, and one scatter adds up the products. A product is at most 1 in units of the two
features' largest activations; it is added as int64 in fixed point, so that the order of additions cannot change a sum.
"""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.activations.sparse import SparseActivations
from core.devices.blocks import on_its_device, rows_that_fit, run_on_device
from core.devices.device import Device
from core.devices.placed import fetch, place
from core.work.progress import SILENT, Progress

_BITS = 61
"""Bits of a sum of products. A product gets fewer: the number of the feature's active tokens needs the rest."""
_PRODUCTS = 2**24
"""Products made at a time; each needs about 64 bytes."""


@on_its_device
def correlate_on_device(
    a: SparseActivations, b: SparseActivations, device: Device, *, k: int, least: int, progress: Progress = SILENT
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the k best correlations of A's features with B's in float64 and B's features, then the reverse.

    Best first; ties: lower feature first; -inf and -1 without a match. `progress` counts features of A.
    """
    pairs = _Pairs(a, b, least, device)
    columns = _nothing(b.d_sae, k, device)

    def work(features: slice) -> tuple[np.ndarray, np.ndarray]:
        nonlocal columns
        corr = pairs.correlations(features)
        row_best, column_best = best_of(corr, k, 0), best_of(corr.T.contiguous(), k, features.start)
        columns = merged(columns, column_best, k)
        return _padded(row_best, k)

    step = rows_that_fit(
        device, a.d_sae, bytes_per_row=64 * b.d_sae, width=b.d_sae, fixed=64 * _PRODUCTS + 24 * len(b.acts)
    )
    corr, idx = zip(*run_on_device(work, a.d_sae, step, device, progress=progress), strict=True)
    return np.concatenate(corr), np.concatenate(idx), *_padded(columns, k)


class _Pairs:
    """Activations on the device: A's by feature, B's by token, in units of each feature's largest."""

    def __init__(self, a: SparseActivations, b: SparseActivations, least: int, device: Device):
        feature_ends, tokens, values = a.by_feature
        self._starts = np.concatenate([[0], feature_ends]).tolist()
        self._tokens = place(tokens, device)
        self._counts, self._unit_a = place(a.count, device), _largest(a, device)
        self._bits = (_BITS - torch.frexp(self._counts.double()).exponent).double()  # 2^exponent > count
        owner = torch.arange(a.d_sae, device=device.torch).repeat_interleave(self._counts, output_size=len(values))
        self._values = place(values, device).double() / self._unit_a[owner] * 2.0 ** self._bits[owner]
        self._lengths = place(np.diff(b.ends, prepend=0), device)
        self._begins = place(b.ends, device) - self._lengths
        self._features, self._unit_b = place(b.features, device), _largest(b, device)
        self._acts = place(b.acts, device).double() / self._unit_b[self._features]
        self._a = place(a.n_tokens * a.moments[0], device), place(a.inverse(least), device)
        self._b = place(b.moments[0], device), place(b.inverse(least), device)

    def correlations(self, part: slice) -> Float[Tensor, "feature d_sae_b"]:
        """Return the correlations of some features of A with all of B; -inf for those that are left out."""
        (total, inverse), (mean, inverse_b) = (side[part, None] for side in self._a), self._b
        r = (self._products(part) - total * mean) * (inverse * inverse_b)
        return torch.where(r.isnan(), -torch.inf, r)

    def _products(self, part: slice) -> Float[Tensor, "feature d_sae_b"]:
        """Return the sums over tokens of the activation of A's feature times that of B's."""
        n, n_b, device = part.stop - part.start, len(self._unit_b), self._values.device
        entries = slice(self._starts[part.start], self._starts[part.stop])
        counts = self._counts[part]
        row = torch.arange(n, device=device).repeat_interleave(counts, output_size=entries.stop - entries.start)
        tokens, values = self._tokens[entries].long(), self._values[entries]
        lengths = self._lengths[tokens]
        sums = torch.zeros(n * n_b, dtype=torch.int64, device=device)
        for cut in _cuts(lengths):
            length = lengths[cut]
            stops = length.cumsum(0)
            size = int(stops[-1])
            entry = torch.arange(len(length), device=device).repeat_interleave(length, output_size=size)
            other = torch.arange(size, device=device) + (self._begins[tokens[cut]] - stops + length)[entry]
            product = (values[cut][entry] * self._acts[other]).round().long()
            sums.scatter_add_(0, row[cut][entry] * n_b + self._features[other], product)
        units = self._unit_a[part] * 2.0 ** -self._bits[part]
        return sums.view(n, n_b).double() * units[:, None] * self._unit_b


def _largest(side: SparseActivations, device: Device) -> Float[Tensor, " d_sae"]:
    """Return each feature's largest absolute activation; 1 for a feature that is never active."""
    features, acts = place(side.features, device).long(), place(side.acts, device)
    largest = acts.new_zeros(side.d_sae).scatter_reduce_(0, features, acts.abs(), "amax")
    return torch.where(largest > 0, largest, 1).double()


def _cuts(lengths: Int[Tensor, " entry"]) -> list[slice]:
    """Cut entries into runs of about _PRODUCTS products."""
    stops = lengths.cumsum(0)
    total = int(stops[-1]) if len(stops) else 0
    at = torch.tensor(range(_PRODUCTS, total, _PRODUCTS), dtype=torch.int64, device=lengths.device)
    edges = sorted({0, *torch.searchsorted(stops, at).tolist(), len(lengths)})
    return [slice(*pair) for pair in pairwise(edges)]


def best_of(
    r: Float[Tensor, "row column"], k: int, first: int
) -> tuple[Float[Tensor, "row best"], Int[Tensor, "row best"]]:
    """Return the up to k largest of each row, best first; ties: lower column first. Columns count from `first`."""
    k = min(k, r.shape[1])
    values, ids = r.topk(k, dim=1)
    ids, order = ids.sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    ids, edge = ids.gather(1, order), values[:, -1:]
    # Among equal values topk takes any. Rows in which it left some out are sorted completely. -inf is no match.
    cut = ((r == edge).sum(1) != (values == edge).sum(1)) & (edge[:, 0] > -torch.inf)
    for rows in cut.nonzero()[:, 0].split(max(1, 2**24 // r.shape[1])):
        best, order = r[rows].sort(dim=1, descending=True, stable=True)
        values[rows], ids[rows] = best[:, :k], order[:, :k]
    return values, ids + first


def merged(
    before: tuple[Tensor, Tensor], more: tuple[Tensor, Tensor], k: int
) -> tuple[Float[Tensor, "row best"], Int[Tensor, "row best"]]:
    """Return the k best of two lists. All columns of the first list must come before those of the second."""
    values, ids = (torch.cat(pair, dim=1) for pair in zip(before, more, strict=True))
    values, order = values.sort(dim=1, descending=True, stable=True)
    return values[:, :k], ids.gather(1, order[:, :k])


def _nothing(n: int, k: int, device: Device) -> tuple[Tensor, Tensor]:
    corr = torch.full((n, k), -torch.inf, dtype=torch.float64, device=device.torch)
    return corr, torch.full((n, k), -1, dtype=torch.int64, device=device.torch)


def _padded(best: tuple[Tensor, Tensor], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values and columns with exactly k places: -inf and -1 without a match."""
    values, ids = best
    short = (0, k - values.shape[1])
    values = torch.nn.functional.pad(values, short, value=-torch.inf)
    ids = torch.nn.functional.pad(ids, short)
    return fetch(values), fetch(torch.where(values > -torch.inf, ids, -1).int())
