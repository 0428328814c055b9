"""The token pass: one run over a text. Later views read its statistics and activations.

The model and the dictionary run block by block; each block is stored as soon as it is ready (core.activations.store).
A pass that was cancelled or interrupted continues after its last block.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from core.activations.encoding import Encoder, read_only
from core.activations.measures import MEASURES
from core.activations.statistics import ActivationStatistics, Tally
from core.activations.store import ActivationBlock, ActivationStore, counted, rows_per_block
from core.corpus.streams import rows_sha256
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError
from core.models.language_model import LanguageModel
from core.models.search import check_hooks
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Progress, Stage

if TYPE_CHECKING:
    from core.activations.counts_on_device import DeviceTally

_PROBE_TOKENS = 512
_BYTES_PER_ACTIVATION, _BYTES_PER_TOKEN = 8, 12


@dataclass(frozen=True)
class PassCost:
    """The cost of a pass on this machine, estimated from a few rows, without loading the model."""

    n_tokens: int
    nbytes: int
    """On disk."""
    seconds: float
    l0: float
    """Of the rows looked at."""


def estimate_cost(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    left_out: tuple[int, ...] = (),
    workers: int | None = None,
    device: Device = CPU,
) -> PassCost:
    """Encode a few of the rows (about 512 tokens) and estimate the cost of a pass over all rows.

    Raises what `activation_pass` raises.
    """
    _check(dictionary, model, rows, left_out)
    encoder = Encoder(dictionary, left_out=left_out, workers=workers, device=device)
    encoder.block(model, rows[:1])  # load first what is loaded only once
    probe = rows[: max(1, _PROBE_TOKENS // rows.shape[1])]
    start = time.perf_counter()
    block = encoder.block(model, probe)
    seconds = time.perf_counter() - start
    l0 = len(block.acts) / max(1, np.count_nonzero(block.counted))
    nbytes = rows.size * (len(block.acts) / probe.size * _BYTES_PER_ACTIVATION + _BYTES_PER_TOKEN)
    # The bytes of a block for each position, which do not depend on its number of rows.
    blocks = -(-len(rows) // rows_per_block(rows.shape[1]))
    nbytes += blocks * (block.measures.nbytes + block.shifted.nbytes)
    return PassCost(rows.size, round(nbytes), seconds * rows.size / probe.size, l0)


def activation_pass(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    artifacts: ArtifactStore | None,
    *,
    left_out: tuple[int, ...] = (),
    progress: Progress = SILENT,
    workers: int | None = None,
    block_rows: int | None = None,
    device: Device = CPU,
) -> ActivationStatistics:
    """Return the statistics of a dictionary on rows of token ids, and leave the activations on disk.

    Blocks that are there are read instead of computed; `open_store` finds them later. With no
    `artifacts` nothing is kept. Tokens whose ids are `left_out` are read by the model and not counted.
    `progress` counts tokens. What a `device` computes is stored under names of its own. Raises DoesNotFitError,
    CorpusError where no token is counted, OutOfSpaceError where a block cannot be written, and DeviceError where
    the device fails; the blocks before it stay, and a pass on ActivationStore.going_on continues behind them.
    """
    _check(dictionary, model, rows, left_out)
    key = ActivationStatistics.key(dictionary.sha256, model.sha256, rows_sha256(rows), left_out=left_out, device=device)
    stored = artifacts.load(ActivationStatistics, key) if artifacts is not None else None
    how = {"left_out": left_out, "device": device}
    store = open_store(dictionary, model, rows, artifacts, block_rows=block_rows, **how)
    blocks = _Blocks(store, dictionary, model, progress, workers)
    if stored is not None:
        for i in store.missing():
            blocks.get(i)
        return stored

    def finish() -> ActivationStatistics:
        return statistics_of(_tally(blocks, store, dictionary), dictionary)

    return artifacts.cached(ActivationStatistics, key, finish) if artifacts is not None else finish()


def pass_tally(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    artifacts: ArtifactStore | None,
    *,
    left_out: tuple[int, ...] = (),
    progress: Progress = SILENT,
    device: Device = CPU,
) -> Tally:
    """Return the sums of a pass over rows that are part of a longer text; else like `activation_pass`."""
    check_hooks(dictionary, model)
    how = {"left_out": left_out, "device": device}
    store = open_store(dictionary, model, rows, artifacts, **how)
    return _tally(_Blocks(store, dictionary, model, progress), store, dictionary)


def statistics_of(tally: Tally, dictionary: Dictionary) -> ActivationStatistics:
    """Return the statistics of a whole pass."""
    statistics = tally.finish()
    return statistics if dictionary.config.reconstructs else statistics.without_x_hat()


def _tally(blocks: "_Blocks", store: ActivationStore, dictionary: Dictionary) -> Tally:
    tally = new_tally(dictionary, store.rows.shape[1], store.device)
    with ThreadPoolExecutor(1) as adding:
        added: Future | None = None
        for i in range(len(store)):
            block = blocks.get(i)
            if added:
                added.result()
            added = adding.submit(tally.add, block)  # while the next block is computed or read
        if added:
            added.result()
    return tally.here()


def new_tally(dictionary: Dictionary, n_pos: int, device: Device) -> "Tally | DeviceTally":
    """Return an empty tally for blocks that a device encodes: what runs no kernels counts by the compiled loops."""
    sizes = n_pos, dictionary.d_sae, dictionary.config.d_out
    if not device.runs_kernels:
        return Tally(*sizes)
    from core.activations.counts_on_device import DeviceTally

    return DeviceTally(*sizes, device)


def open_store(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    artifacts: ArtifactStore | None,
    *,
    left_out: tuple[int, ...] = (),
    block_rows: int | None = None,
    device: Device = CPU,
) -> ActivationStore:
    """Return the stored activations of a dictionary on rows of text, whether they are there yet or not."""
    shas = dictionary.sha256, model.sha256
    return ActivationStore(artifacts, *shas, rows, left_out=left_out, block_rows=block_rows, device=device)


def pass_device(dictionary: Dictionary, rows: Int[np.ndarray, "row pos"], device: Device) -> Device:
    """Return where a pass is best run, given the chosen device: each token is multiplied with all features, twice."""
    return device.for_work(2 * rows.size * dictionary.d_in * dictionary.d_sae)


def prepare() -> None:
    """Compile the loops of a pass on one token and one feature, so that no visitor waits for it."""
    from core.activations import kernels

    one, ends, fixed = np.ones((1, 1), np.float32), np.ones(1, np.int64), np.ones((1, 1), np.float32)
    features, acts = np.zeros(2, np.int32), np.ones(2, np.float32)
    fixed.flags.writeable = False
    kernels.compress(one, one[0], one[0], fixed[0], ends, features, acts)
    kernels.keep_nonzero(one, ends, features, acts)
    kernels.keep_largest(one, 1, ends, features, acts)
    kernels.decode(ends, features, acts, fixed, fixed[0], one)
    measures = np.zeros((len(MEASURES), 1))
    kernels.compare(one, one, fixed[0], measures)
    kernels.sum_sizes(ends, acts, measures[0])
    block = ActivationBlock(np.zeros((1, 1), np.int32), ends, features[:1], acts[:1], measures, np.zeros((1, 1)))
    read_only(block)
    kernels.gather(block.ends, block.features, block.acts, 1, True, np.zeros(1, np.int64), acts)
    Tally(1, 1, 1).add(block)


class _Blocks:
    """Gets blocks, from the store or by encoding, and says how many tokens are done."""

    def __init__(
        self,
        store: ActivationStore,
        dictionary: Dictionary,
        model: LanguageModel,
        progress: Progress,
        workers: int | None = None,
    ):
        self._store, self._dictionary, self._model, self._progress = store, dictionary, model, progress
        self._workers = workers
        self._encoders: dict[Device, Encoder] = {}

    def _encoder(self, device: Device) -> Encoder:
        """Return the encoder of a device. A pass that goes on elsewhere has a second one for blocks that were lost."""
        if device not in self._encoders:
            how = {"left_out": self._store.left_out, "workers": self._workers, "device": device}
            self._encoders[device] = Encoder(self._dictionary, **how)
        return self._encoders[device]

    def get(self, i: int) -> ActivationBlock:
        rows = self._store.rows[self._store.parts[i]]
        progress = Stage(self._progress, self._store.parts[i].start * rows.shape[1], self._store.rows.size)
        stored = self._store.load(i)
        if stored is not None:
            progress.update(rows.size, rows.size)
            return stored
        encoder = self._encoder(self._store.device.at_row(self._store.parts[i].start))
        block = encoder.block(self._model, rows, progress)
        self._store.save(i, block)
        return block


def _check(dictionary: Dictionary, model: LanguageModel, rows: np.ndarray, left_out: tuple[int, ...]) -> None:
    check_hooks(dictionary, model)
    if rows.size == 0:
        raise CorpusError(
            f"A pass of {dictionary.title} needs tokens, got rows of shape {rows.shape}. Choose a text that holds at "
            "least one row."
        )
    if not counted(rows, left_out).any():
        raise CorpusError(
            f"All {rows.size:,} tokens are among the {len(left_out):,} ids that are left out. Expected some token that "
            "counts; choose another text, or count special tokens too."
        )
