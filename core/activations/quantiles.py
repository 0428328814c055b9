"""Quantiles of every feature's non-zero activations, exact, from the stored activations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationStore, left_out_name
from core.work.artifacts import artifact_key
from core.work.calls import call
from core.work.progress import SILENT, Progress
from core.work.wanted import Wanted

DECILES = tuple(n / 10 for n in range(1, 11))
_BUDGET_BYTES = 2**28


@dataclass(frozen=True)
class ActivationQuantiles:
    """Quantiles of the non-zero f, linear between neighbouring values (numpy's default); NaN without any."""

    values: Float[np.ndarray, "d_sae level"]
    levels: tuple[float, ...]
    with_first: bool
    """Whether tokens at position 0 count."""
    version: ClassVar[int] = 2

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        *,
        levels: tuple[float, ...],
        with_first: bool,
        left_out: tuple[int, ...] = (),
    ) -> str:
        """Name it; what the token pass ran on is part of the model's name (core.activations.store.on_device)."""
        return artifact_key(
            "activation-quantiles",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            levels=",".join(map(repr, levels)),
            with_first=with_first,
            left_out=left_out_name(left_out),
        )


def activation_quantiles(
    store: ActivationStore,
    statistics: ActivationStatistics,
    *,
    levels: tuple[float, ...] = DECILES,
    with_first: bool = True,
    progress: Progress = SILENT,
    budget_bytes: int = _BUDGET_BYTES,
) -> ActivationQuantiles:
    """Sort the stored activations by feature, as many features at a time as the budget allows, and take quantiles.

    The store is read once for each 64 million activations. The device that encoded them sorts them; every device gives
    the same bits. Raises MissingActivationsError, and DeviceError where the device fails.
    """
    count = statistics.count[0 if with_first else 1 :].sum(axis=0)
    values = np.empty((len(count), len(levels)))
    groups, sort = _groups(count, max(1, budget_bytes // 4)), _sorted_by_feature
    if store.device.runs_kernels:
        from core.activations import counts_on_device

        sort = counts_on_device.sorted_by_feature
    for done, part in enumerate(groups):
        values[part] = _quantiles(sort(store, part, count, with_first), count[part], np.array(levels))
        progress.update(done + 1, len(groups))
    return ActivationQuantiles(values, levels, with_first)


def wanted_quantiles(
    store: ActivationStore,
    statistics: ActivationStatistics | Callable[[], ActivationStatistics],
    hashes: tuple[str, str, str],
    *,
    levels: tuple[float, ...] = DECILES,
    with_first: bool = True,
) -> Wanted[ActivationQuantiles]:
    """Name the quantiles of a pass. `hashes` name its dictionary, its model with the device, and its tokens.

    `statistics` may be a function, for those that are not there yet.
    """
    title = "Quantiles of activations"
    key = ActivationQuantiles.key(*hashes, levels=levels, with_first=with_first, left_out=store.left_out)

    def work(progress: Progress) -> ActivationQuantiles:
        return activation_quantiles(store, statistics(), **how, progress=progress)

    how = {"levels": levels, "with_first": with_first}
    if not callable(statistics):
        return Wanted(ActivationQuantiles, key, title, call(activation_quantiles, store, statistics, **how))
    return Wanted(ActivationQuantiles, key, title, work)


def _groups(count: Int[np.ndarray, " d_sae"], room: int) -> list[slice]:
    """Split the features into runs of at most `room` activations, or one feature."""
    ends, groups, start = np.cumsum(count), [], 0
    while start < len(count):
        before = ends[start] - count[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + room, side="right")))
        groups.append(slice(start, stop))
        start = stop
    return groups


def _sorted_by_feature(
    store: ActivationStore, part: slice, count: Int[np.ndarray, " d_sae"], with_first: bool
) -> Float[np.ndarray, " nonzero"]:
    """Return the activations of a run of features, feature by feature, of which each has so many; each ascending."""
    from core.activations.kernels import gather

    values = np.empty(count[part].sum(), np.float32)
    slots = np.full(len(count), -1)
    slots[part] = np.cumsum(count[part]) - count[part]
    for block in store.blocks():
        gather(block.ends, block.features, block.acts, block.n_pos, with_first, slots, values)
    assert np.array_equal(slots[part], np.cumsum(count[part])), "the statistics count other activations than are stored"
    for start, stop in zip((slots[part] - count[part]).tolist(), slots[part].tolist(), strict=True):
        values[start:stop].sort()
    return values


def _quantiles(
    values: Float[np.ndarray, " nonzero"], count: Int[np.ndarray, " n"], levels: Float[np.ndarray, " level"]
) -> Float[np.ndarray, "n level"]:
    """Return quantiles of activations that are sorted feature by feature."""
    starts = np.cumsum(count) - count
    at = levels * (count[:, None] - 1)
    below = np.clip(np.floor(at).astype(np.int64), 0, None)
    quantiles = np.full(at.shape, np.nan)
    some = count > 0
    low = starts[some, None] + below[some]
    high = starts[some, None] + np.minimum(below[some] + 1, count[some, None] - 1)
    share = at[some] - below[some]
    a, b = values[low].astype(np.float64), values[high].astype(np.float64)
    quantiles[some] = a + (b - a) * share
    return quantiles
