"""The tally and the quantiles of the token pass in whole arrays, for a device. Imports torch: import lazily.

All sums are int64 in fixed point (core.maths.exact_sums), so neither the order of atomic additions nor the number of
activations that are added at a time can change a bit: the results are those of the compiled loops.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.activations.measures import LOWEST_EXPONENT, N_BINS
from core.activations.statistics import Tally
from core.activations.store import ActivationBlock, ActivationStore
from core.devices.blocks import computing_on, rows_that_fit, run_on_device
from core.devices.device import Device
from core.devices.ordering import from_rising, rising
from core.devices.placed import fetch, send
from core.maths.exact_sums import FRACTION_BITS

_HALF_ROOT = 0.5**0.5
_MOST = 2**22
"""Activations added at a time: their parts of a unit, each under 2^40, add up to less than 2^63."""
_BYTES_PER_ACTIVATION = 200
"""What an activation needs at the peak."""
_ZERO = 2**31
"""Added to an int32, it makes all of them positive."""


class DeviceTally:
    """A Tally whose activations are counted on a device. `here` returns it in the CPU's memory."""

    def __init__(self, n_pos: int, d_sae: int, d_out: int, device: Device):
        self._tally, self._device = Tally(n_pos, d_sae, d_out), device
        self._n_pos, self._d_sae, self._changing = n_pos, d_sae, False
        n, where = 2 * d_sae, {"device": device.torch}
        with computing_on(device):
            self._count = torch.zeros(n, dtype=torch.int64, **where)
            self._histogram = torch.zeros(n * N_BINS, dtype=torch.int32, **where)
            self._sums = torch.zeros(2, 2, n, dtype=torch.int64, **where)
            """Of f and f^2: whole units, then units of 2^-40."""
            self._by_position = torch.zeros(5, n_pos, dtype=torch.int64, **where)
            self._largest = torch.full((n,), -torch.inf, dtype=torch.float32, **where)
            self._smallest = torch.full((n,), torch.inf, dtype=torch.float32, **where)

    def add(self, block: ActivationBlock) -> None:
        """Add a block of rows of n_pos tokens. Raises DeviceError where the device fails or has too little memory."""
        self._tally.add_tokens(block)
        n = len(block.acts)
        if n == 0:
            return
        step = rows_that_fit(self._device, min(n, _MOST), bytes_per_row=_BYTES_PER_ACTIVATION, width=1)
        with computing_on(self._device):
            entries = [send(array, self._device) for array in (block.ends, block.features, block.acts)]
        run_on_device(lambda part: self._add(*entries, part), n, step, self._device)

    def here(self) -> Tally:
        """Return the tally with all that was added."""
        tally, halves = self._tally, (2, self._d_sae)
        with computing_on(self._device):
            tally.count[:] = fetch(self._count).reshape(halves)
            tally.histogram[:] = fetch(self._histogram).reshape(*halves, N_BINS)
            tally.largest[:], tally.smallest[:] = (
                fetch(some).reshape(halves) for some in (self._largest, self._smallest)
            )
            whole, part = fetch(self._sums.transpose(0, 1)).reshape(2, 2, *halves)
            tally.by_position[:] = fetch(self._by_position).T
        tally.sums.whole[:], tally.sums.part[:] = whole.swapaxes(0, 1), part.swapaxes(0, 1)
        return tally

    def _add(self, ends: Tensor, features: Tensor, acts: Tensor, part: slice) -> None:
        """Add some entries. Memory may run out before any sum has changed, as the same entries are then added again."""
        position = _tokens(ends, part) % self._n_pos
        slot = (position > 0) * self._d_sae + features[part]
        f = acts[part].double()
        bins, one = slot * N_BINS + _bins(f.abs()), torch.ones_like(slot)
        amounts = torch.stack([torch.stack(_fixed(value)) for value in (f, f * f)])  # f has 24 bits: f * f is exact
        bounds = torch.cat([ends.new_zeros(1), ends]).clamp(part.start, part.stop) - part.start
        by_token = [bounds.diff(), *(_summed(some, bounds) for some in amounts.transpose(0, 1).flatten(0, 1))]
        by_position = torch.stack([some.view(-1, self._n_pos).sum(0) for some in by_token])
        assert not self._changing, "memory ran out between two sums of the same entries"
        self._changing = True
        self._count.scatter_add_(0, slot, one)
        self._histogram.scatter_add_(0, bins, one.int())
        self._largest.scatter_reduce_(0, slot, acts[part], "amax")
        self._smallest.scatter_reduce_(0, slot, acts[part], "amin")
        for sums, some in zip(self._sums.flatten(0, 1), amounts.flatten(0, 1), strict=True):
            sums.scatter_add_(0, slot, some)
        self._by_position += by_position
        _carry(self._sums[:, 0], self._sums[:, 1])
        _carry(self._by_position[1:3], self._by_position[3:5])
        self._changing = False


def sorted_by_feature(
    store: ActivationStore, part: slice, count: Int[np.ndarray, " d_sae"], with_first: bool
) -> Float[np.ndarray, " nonzero"]:
    """Return the activations of a run of features, feature by feature, of which each has so many; each ascending.

    Raises MissingActivationsError, and DeviceError where the store's device fails or has too little memory.
    """
    device, step = store.device, part.stop - part.start

    def work(some: slice) -> np.ndarray:
        features = slice(part.start + some.start, part.start + some.stop)
        return fetch(_sorted(store, features, int(count[features].sum()), with_first))

    return np.concatenate(run_on_device(work, step, step, device))


def _sorted(store: ActivationStore, part: slice, n: int, with_first: bool) -> Float[Tensor, " nonzero"]:
    """Sort by whole keys, of which each is a feature and a value, 48 bytes at the peak."""
    keys, at = torch.empty(n, dtype=torch.int64, device=store.device.torch), 0
    for block in store.blocks():
        ends, features, acts = (send(array, store.device) for array in (block.ends, block.features, block.acts))
        keep = (features >= part.start) & (features < part.stop)
        if not with_first:
            keep &= _tokens(ends, slice(0, len(acts))) % block.n_pos > 0
        some = (features[keep].long() << 32) + rising(acts[keep]).long() + _ZERO
        assert at + len(some) <= n, "the statistics count other activations than are stored"
        keys[at : at + len(some)] = some
        at += len(some)
    assert at == n, "the statistics count other activations than are stored"
    order = ((keys.sort().values & 0xFFFFFFFF) - _ZERO).int()
    return from_rising(order)


def _tokens(ends: Int[Tensor, " token"], part: slice) -> Int[Tensor, " entry"]:
    """Return the tokens of some entries."""
    return torch.searchsorted(ends, torch.arange(part.start, part.stop, device=ends.device), right=True)


def _bins(size: Float[Tensor, " entry"]) -> Int[Tensor, " entry"]:
    """Return the bins of |f| > 0, as kernels.bin_of does."""
    mantissa, exponent = torch.frexp(size)
    return (2 * (exponent.long() - 1 - LOWEST_EXPONENT) + (mantissa >= _HALF_ROOT)).clamp(0, N_BINS - 1)


def _fixed(value: Float[Tensor, " entry"]) -> tuple[Int[Tensor, " entry"], Int[Tensor, " entry"]]:
    """Return whole units, and the rest in units of 2^-40, rounded half to even."""
    whole = value.floor()
    return whole.long(), ((value - whole) * 2.0**FRACTION_BITS).round().long()


def _summed(amount: Int[Tensor, " entry"], bounds: Int[Tensor, " edge"]) -> Int[Tensor, " token"]:
    """Return the sum of each token's entries. All of a position's entries at one address would wait for each other."""
    totals = torch.cat([amount.new_zeros(1), amount.cumsum(0)])[bounds]
    return totals.diff()


def _carry(whole: Int[Tensor, "*shape"], part: Int[Tensor, "*shape"]) -> None:
    units = part >> FRACTION_BITS
    whole += units
    part -= units << FRACTION_BITS
