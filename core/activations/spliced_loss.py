"""What a model loses with a dictionary's reconstruction in place of the activation: next-token loss and KL divergence.

Definitions as in SAEBench (Karvonen et al. 2025), position by position. Tokens that are left out keep their
activation where x_hat is put in place of x, and their own positions do not count; zero and mean replace all tokens.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from core.activations.encoding import Encoder
from core.activations.reconstruction import mean_over, ratio
from core.activations.spliced_runs import SplicedRuns
from core.activations.store import TILE, counted, left_out_name
from core.devices.device import CPU, Device
from core.dictionaries.config import check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError
from core.models.batches import activations_at, rows_per_run
from core.models.language_model import LanguageModel
from core.models.search import check_hooks
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

_TOKENS_PER_RUN = 2**11
REPLACED = ("spliced", "zero", "mean")
"""What replaces the activation: x_hat, 0, or the mean of x over all counted tokens."""
RUNS_SPLICED = 5
"""Runs of the model in `spliced_loss`: for the mean, as it is, and with each of three things in place."""


@dataclass(frozen=True)
class SplicedLoss:
    """Means over counted tokens at every position, in nats; NaN where none is counted.

    A token's loss is that of guessing the next one, so the last position has a divergence and no loss.
    """

    ce: Float[np.ndarray, " pos"]
    """Cross-entropy of the next token, the model as it is."""
    ce_replaced: Float[np.ndarray, "replaced pos"]
    """The same with each of REPLACED in the activation's place."""
    kl_replaced: Float[np.ndarray, "replaced pos"]
    """KL(next-token distribution as it is || with it in place)."""
    position_rows: Int[np.ndarray, " pos"]
    """Counted tokens at a position."""
    version: ClassVar[int] = 1

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        *,
        left_out: tuple[int, ...] = (),
        device: Device = CPU,
    ) -> str:
        return artifact_key(
            "spliced-loss",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            left_out=left_out_name(left_out),
            **device.inputs,
        )

    def totals(self, *, with_first: bool = True) -> dict[str, float]:
        """Return means over all tokens, or those after position 0: ce, ce_spliced, ce_zero, ce_mean, kl_spliced, ...

        ce_score = (ce_zero - ce_spliced) / (ce_zero - ce) and kl_score = (kl_zero - kl_spliced) / kl_zero are 1 for
        a reconstruction that loses nothing and 0 for one as bad as none; NaN where zero is no worse than x.
        """
        inside = slice(0 if with_first else 1, None)
        losses = np.vstack([self.ce, self.ce_replaced])[:, inside.start : -1]
        ce = mean_over(losses, self.position_rows[inside.start : -1])
        kl = mean_over(self.kl_replaced[:, inside], self.position_rows[inside])
        totals = dict(zip(["ce", *(f"ce_{name}" for name in REPLACED)], ce, strict=True))
        totals |= dict(zip([f"kl_{name}" for name in REPLACED], kl, strict=True))
        totals["ce_score"] = score(totals["ce_zero"] - totals["ce_spliced"], totals["ce_zero"] - totals["ce"])
        totals["kl_score"] = score(totals["kl_zero"] - totals["kl_spliced"], totals["kl_zero"])
        return {name: float(value) for name, value in totals.items()}

    def scores(self) -> dict[str, Float[np.ndarray, " pos"]]:
        """Return ce_score and kl_score at every position."""
        spliced, zero = (REPLACED.index(name) for name in ("spliced", "zero"))
        ce, kl = self.ce_replaced, self.kl_replaced
        return {
            "ce_score": ratio(ce[zero] - ce[spliced], ce[zero] - self.ce),
            "kl_score": ratio(kl[zero] - kl[spliced], kl[zero]),
        }


@dataclass(frozen=True)
class LossByPosition:
    """A model's mean cross-entropy of the next token at every position but the last, in nats; NaN without tokens."""

    ce: Float[np.ndarray, " pos"]
    position_rows: Int[np.ndarray, " pos"]
    """Counted tokens at a position."""
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, model_sha256: str, rows_sha256: str, *, left_out: tuple[int, ...] = (), device: Device = CPU) -> str:
        return artifact_key(
            "loss-by-position",
            cls.version,
            model=model_sha256,
            rows=rows_sha256,
            left_out=left_out_name(left_out),
            **device.inputs,
        )

    @property
    def mean(self) -> float:
        """Over all tokens."""
        return float(mean_over(self.ce[None], self.position_rows)[0])


def spliced_loss(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    left_out: tuple[int, ...] = (),
    progress: Progress = SILENT,
    device: Device = CPU,
) -> SplicedLoss:
    """Run the model as it is and with x_hat, 0 and the mean of x at the dictionary's hook (its output hook, if any).

    `left_out` are ids of tokens that are not counted and keep their activation. `progress` counts tokens, those
    of a first run for the mean too. Where memory of a `device` runs out, fewer rows are run together. Raises
    DoesNotFitError, CorpusError where no loss is counted, and DeviceError.
    """
    check_hooks(dictionary, model)
    check_reconstructs(dictionary.config, dictionary.title)
    keep = _check(rows, left_out, model)
    hook = dictionary.config.hook_name_out or dictionary.config.hook_name
    counter = _Counter(progress, 2 * rows.size)
    mean = _mean_at(model, rows, keep, hook, counter, device)
    encoder = Encoder(dictionary, device=device)

    def work(part: slice) -> list[np.ndarray]:
        runs = SplicedRuns(model, rows[part], hook, device=device)
        hooks = dictionary.config.hooks_in
        x = runs.start(hooks[0] if len(hooks) == 1 else None)
        x = activations_at(model, rows[part], hooks) if x is None else x
        x_hat = np.where(keep[part][..., None], encoder.reconstruct(x, counter), runs.target)
        for value in (x_hat, np.zeros_like(x_hat), np.broadcast_to(mean, x_hat.shape)):
            runs.replace(value)
        sums = [np.where(keep[part], values, 0).sum(axis=1) for values in runs.losses(counter)]
        counter.add(rows[part].size)
        return sums

    ce_sums, kl_sums = (sum(each) for each in zip(*_in_parts(work, rows, device), strict=True))
    n = keep.sum(axis=0)
    ce = ratio(ce_sums, np.append(n[:-1], 0).astype(np.float64))
    return SplicedLoss(ce[0], ce[1:], ratio(kl_sums, n.astype(np.float64)), n)


def token_losses(
    model: LanguageModel, rows: Int[np.ndarray, "row pos"], *, progress: Progress = SILENT, device: Device = CPU
) -> Float[np.ndarray, "row pos-1"]:
    """Return the cross-entropy of each next token, in nats, the model as it is. Raises DoesNotFitError, DeviceError."""
    _check(rows, (), model)
    losses, counter = np.empty((len(rows), rows.shape[1] - 1)), _Counter(progress, rows.size)

    def work(part: slice) -> None:
        runs = SplicedRuns(model, rows[part], None, device=device)
        runs.start()
        losses[part] = runs.losses(counter)[0][0, :, :-1]
        counter.add(rows[part].size)

    _in_parts(work, rows, device)
    return losses


def seconds_for_a_row(model: LanguageModel, rows: Int[np.ndarray, "row pos"], *, device: Device = CPU) -> float:
    """Measure how long `token_losses` takes for a row, on a few of them."""
    few, taken = rows[: max(1, 512 // rows.shape[1])], []
    for _ in range(4):  # the first run also loads the model, and other work may run meanwhile
        start = time.perf_counter()
        token_losses(model, few, device=device)
        taken.append(time.perf_counter() - start)
    return min(taken) / len(few)


def loss_by_position(
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    left_out: tuple[int, ...] = (),
    progress: Progress = SILENT,
    device: Device = CPU,
) -> LossByPosition:
    """Average `token_losses` over rows; `left_out` are ids of tokens at which the guess is not counted."""
    keep = _check(rows, left_out, model)[:, :-1]
    losses, n = token_losses(model, rows, progress=progress, device=device), keep.sum(axis=0)
    return LossByPosition(ratio(np.where(keep, losses, 0).sum(axis=0), n.astype(np.float64)), n)


def score(above: float, below: float) -> float:
    """Divide; NaN if the divisor is 0."""
    return above / below if below > 0 else np.nan


class _Counter:
    """Adds up how many tokens are done. As the Progress of an inner step, it only lets cancelled work stop."""

    def __init__(self, progress: Progress, total: int):
        self._progress, self._done, self._total = progress, 0, total

    def add(self, n_tokens: int) -> None:
        self._done += n_tokens
        self._progress.update(self._done, self._total)

    def update(self, done: int, total: int) -> None:
        self.add(0)

    def note(self, text: str) -> None:
        self._progress.note(text)


def _in_parts(work: Callable[[slice], Any], rows: np.ndarray, device: Device) -> list[Any]:
    """Return `work` of a few rows at a time, fewer where a device's memory runs out."""
    if device.runs_kernels:
        from core.devices.blocks import run_on_device

        return run_on_device(work, len(rows), rows_per_run(rows.shape[1], TILE), device)
    step = rows_per_run(rows.shape[1], _TOKENS_PER_RUN)
    return [work(slice(start, min(start + step, len(rows)))) for start in range(0, len(rows), step)]


def _mean_at(
    model: LanguageModel,
    rows: np.ndarray,
    keep: Bool[np.ndarray, "row pos"],
    hook: str,
    counter: _Counter,
    device: Device,
) -> Float[np.ndarray, " d_out"]:
    def work(part: slice) -> np.ndarray:
        if device.runs_kernels:
            from core.models.on_device import activations_on_device

            x = activations_on_device(model, rows[part], hook, device).cpu().numpy()
        else:
            x = model.activations(rows[part], hook)
        counter.add(rows[part].size)
        return x[keep[part]].sum(axis=0, dtype=np.float64)

    return sum(_in_parts(work, rows, device)) / np.count_nonzero(keep)


def _check(rows: np.ndarray, left_out: tuple[int, ...], model: LanguageModel) -> Bool[np.ndarray, "row pos"]:
    """Return which tokens are counted, of rows that the model can read."""
    keep = counted(rows, left_out)
    if not keep[:, :-1].any():
        raise CorpusError(
            f"Rows of shape {rows.shape} hold no counted token with a next token to predict. Expected rows of at "
            "least 2 tokens; choose a longer text, or count special tokens too."
        )
    model.check_rows(rows)
    return keep
