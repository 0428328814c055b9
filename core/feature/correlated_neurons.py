"""Correlate features with the model's own units, such as neurons (Bricken et al. 2023).

The activations come from the store of a token pass; only the model runs again, up to the hook of the units. Products
of sparse activations with dense units are added up, for as many features at a time as memory allows.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.activations.reading import run_model
from core.activations.sparse import SparseActivations
from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationBlock, ActivationStore, left_out_name
from core.errors import OutOfRangeError
from core.feature.correlated_features import correlations
from core.models.batches import batches
from core.models.language_model import LanguageModel
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress
from core.work.threads import run_blocks

K = 10
MEMORY = 2**29
"""Bytes for sums of products, by default. If not all features fit, the model runs once for each part of them."""
_UNITS, _FEATURES = 128, 1024
_PROBE_TOKENS = 512


@dataclass(frozen=True)
class CorrelatedNeurons:
    """For each feature, the k units whose Pearson correlation is farthest from 0, the farthest first.

    Ties: lower unit first. Empty places hold NaN and -1: all places of a feature that is never active, and the last
    ones of each feature if fewer than k units vary.
    """

    corr: Float[np.ndarray, "d_sae k"]
    idx: Int[np.ndarray, "d_sae k"]
    count: Int[np.ndarray, " d_sae"]
    """Tokens on which each feature is active."""
    hook_name: str
    n_units: int
    n_tokens: int
    version: ClassVar[int] = 1

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        hook_name: str,
        *,
        left_out: tuple[int, ...] = (),
        k: int = K,
    ) -> str:
        return artifact_key(
            "correlated-neurons",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            hook_name=hook_name,
            left_out=left_out_name(left_out),
            k=k,
        )

    def table(self, feature: int) -> pd.DataFrame:
        """Return one feature's units: correlated_unit, neuron_correlation. Raises OutOfRangeError."""
        if not 0 <= feature < len(self.idx):
            raise OutOfRangeError("Feature", feature, len(self.idx))
        known = self.idx[feature] >= 0
        values = self.corr[feature, known].astype(float)
        return pd.DataFrame({"correlated_unit": self.idx[feature, known], "neuron_correlation": values})


@dataclass(frozen=True)
class NeuronCost:
    """The expected cost of correlating with a hook's units, judged by about 512 tokens; without loading the model."""

    n_tokens: int
    runs: int
    """Number of times that the model reads all tokens."""
    seconds: float


def estimate_cost(store: ActivationStore, model: LanguageModel, hook_name: str, d_sae: int) -> NeuronCost:
    """Time the model on a few rows. The products with activations add little. Raises DoesNotFitError."""
    runs = len(range(0, d_sae, _group(model.hook_width(hook_name), MEMORY)))
    run_model(model, store.rows[:1], hook_name)  # loads the model, which must not be timed
    probe = store.rows[: max(1, _PROBE_TOKENS // store.rows.shape[1])]
    start = time.perf_counter()
    run_model(model, probe, hook_name)
    seconds = (time.perf_counter() - start) * store.rows.size / probe.size
    return NeuronCost(store.rows.size, runs, seconds * runs)


def correlated_neurons(
    store: ActivationStore,
    statistics: ActivationStatistics,
    model: LanguageModel,
    hook_name: str,
    *,
    k: int = K,
    memory: int = MEMORY,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> CorrelatedNeurons:
    """Correlate all features of a store with the units at a hook, over all counted tokens; sums are float64.

    Needs `memory` bytes (which do not change the result), the model's values on one block of tokens, and d_sae x 1 kB
    for each worker. `progress` counts tokens. Raises DoesNotFitError, MissingActivationsError.
    """
    width, d_sae = model.hook_width(hook_name), statistics.count.shape[1]
    k, step = min(k, width), _group(model.hook_width(hook_name), memory)
    corr, idx = np.empty((d_sae, k), np.float32), np.empty((d_sae, k), np.int32)
    starts, n = range(0, d_sae, step), statistics.n_tokens()
    for run, start in enumerate(starts):
        features = slice(start, min(start + step, d_sae))
        sums = _Sums(width, features, workers)
        for block, x in _units(store, model, hook_name, progress, run, len(starts)):
            sums.add(block, x, d_sae)
        fields = (getattr(statistics, name).sum(axis=0)[features] for name in ("total", "square"))
        corr[features], idx[features] = sums.best(*fields, n, k)
    return CorrelatedNeurons(corr, idx, statistics.count.sum(axis=0), hook_name, width, n)


def _group(width: int, memory: int) -> int:
    """Return the number of features whose sums of products fit into `memory` bytes."""
    return max(1, memory // (8 * width))


def _units(
    store: ActivationStore, model: LanguageModel, hook_name: str, progress: Progress, run: int, runs: int
) -> Iterator[tuple[ActivationBlock, Float[np.ndarray, "token unit"]]]:
    """Yield each block of a store with the model's values on its tokens."""
    done = run * store.rows.size
    for block in store.blocks():
        parts = []
        for _, x in batches(model, block.rows, hook_name):
            parts.append(x.reshape(-1, x.shape[-1]))
            done += len(parts[-1])
            progress.update(done, runs * store.rows.size)
        yield block, np.ascontiguousarray(np.concatenate(parts), np.float32)


class _Sums:
    """Running sums for the correlations of some features.

    The mean of each unit in the first block is subtracted from its values, as means may be far from 0.
    """

    def __init__(self, width: int, features: slice, workers: int | None):
        self._features, self._workers = features, workers
        self._product = np.zeros((features.stop - features.start, width))
        self._total, self._square = np.zeros(width), np.zeros(width)
        self._shift: np.ndarray | None = None

    def add(self, block: ActivationBlock, x: Float[np.ndarray, "token unit"], d_sae: int) -> None:
        from core.activations.pair_kernels import mix

        counted = block.counted.ravel()
        if self._shift is None and counted.any():
            self._shift = x[counted].mean(axis=0, dtype=np.float64)
        if self._shift is None:
            return
        ends, tokens, values = SparseActivations(block.ends, block.features, block.acts, d_sae).by_feature
        first = ends[self._features.start - 1] if self._features.start else 0
        ends = ends[self._features] - first
        part = slice(first, first + ends[-1])

        def work(units: slice) -> None:
            moved = self._add_moments(x, counted, units)
            out = np.empty((len(ends), moved.shape[1]))
            mix(ends, tokens[part], values[part], moved, out)
            self._product[:, units] += out

        run_blocks(work, x.shape[1], _UNITS, workers=self._workers)

    def _add_moments(
        self, x: Float[np.ndarray, "token unit"], counted: Bool[np.ndarray, " token"], units: slice
    ) -> Float[np.ndarray, "token some_units"]:
        """Add values and squares of some units to the sums, and return the values less their shift."""
        assert self._shift is not None
        moved = x[:, units] - self._shift[units]
        kept = moved if counted.all() else moved[counted]
        self._total[units] += kept.sum(axis=0)
        self._square[units] += (kept**2).sum(axis=0)
        return moved

    def best(self, total: np.ndarray, square: np.ndarray, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each feature, the k correlations farthest from 0 and their units."""
        corr, idx = np.empty((len(total), k), np.float32), np.empty((len(total), k), np.int32)
        constant = np.zeros(len(self._total), bool)
        if self._shift is not None:
            # Values far from 0 that differ only by rounding count as constant.
            constant = self._square <= 1e-12 * (self._square + n * self._shift**2)
        for start in range(0, len(total), _FEATURES):
            part = slice(start, start + _FEATURES)
            mine = total[part, None], square[part, None]
            all_corr = correlations(self._product[part], mine, (self._total, self._square), n)
            corr[part], idx[part] = _farthest(np.where(constant, np.nan, all_corr), k)
        return corr, idx


def _farthest(corr: Float[np.ndarray, "feature unit"], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each row, the k values farthest from 0 and their columns; NaN and -1 if it has fewer."""
    size = np.where(np.isnan(corr), -1.0, np.abs(corr))
    n, width = size.shape
    least = np.partition(size, width - k, axis=1)[:, width - k, None]
    chosen = size >= least
    plain = chosen.sum(axis=1) == k  # in other rows several tie with the k-th: lower units first
    order = np.empty((n, k), np.int64)
    order[plain] = np.nonzero(chosen[plain])[1].reshape(-1, k)
    order[~plain] = np.argsort(-size[~plain], axis=1, kind="stable")[:, :k]
    best = np.argsort(-np.take_along_axis(size, order, axis=1), axis=1, kind="stable")
    order = np.take_along_axis(order, best, axis=1)
    values = np.take_along_axis(corr, order, axis=1)
    return values.astype(np.float32), np.where(np.isnan(values), -1, order).astype(np.int32)
