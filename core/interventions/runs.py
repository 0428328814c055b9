"""One model, one dictionary and a few rows of text: what the model predicts after edits, beside what it predicts.

An edit changes what passes at the dictionary's hook (a transcoder's output hook) by decode(new acts) - decode(acts),
so what the dictionary does not reconstruct stays. With `error=False` the reconstruction stands in for what passes.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from core.activations.spliced_runs import Put, SplicedRuns
from core.devices.device import CPU, Device
from core.dictionaries.config import check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError
from core.interventions.edits import Edit, edited
from core.models.batches import activations_at
from core.models.language_model import LanguageModel
from core.models.search import check_hooks
from core.work.progress import SILENT, Progress


@dataclass(frozen=True, eq=False)
class Push:
    """Any vectors added to what passes, as large at each token as the caller says; for controls."""

    direction: Float[np.ndarray, "*at d_out"]
    """One for all tokens, or (row, pos, d_out)."""
    sizes: Float[np.ndarray, "row pos"]
    """What the direction is multiplied by; a token with 0 is left as it is."""


Change = Edit | Push


@dataclass(frozen=True, eq=False)
class Effects:
    """What changes did, beside the model as it is (of the same batch size, to the last bit where nothing changes)."""

    log_p: Float[np.ndarray, "row pos"]
    """Log-probability of each next token without a change, in nats; NaN at the last position."""
    log_p_change: Float[np.ndarray, "run row pos"]
    """Log-probability of each next token with the change minus that without it; NaN at the last position."""
    kl: Float[np.ndarray, "run row pos"]
    """KL(next-token distribution without the change || with it), in nats."""
    overflows: Bool[np.ndarray, " run"]
    """Whether a change is so large that the model gives no finite numbers; all its numbers are NaN."""
    last: Float[np.ndarray, "run at width"]
    plain_last: Float[np.ndarray, "run at width"]
    """What the unembedding reads at the places asked for, see EditedRuns.logits."""


class EditedRuns:
    """The plain run, made once, and any number of edited ones. What comes before the hook's layer runs only once.

    `may_change` says which tokens edits and reconstructions may touch, by default all. Raises DoesNotFitError where
    dictionary, model and rows do not go together or the dictionary reconstructs nothing, CorpusError for rows of one
    token, which predict nothing that could be compared, and, as all methods that run the model, DeviceError.

    A `device` that runs kernels runs the model; the dictionary stays on the CPU, which edits activations.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        model: LanguageModel,
        rows: Int[np.ndarray, "row pos"],
        *,
        may_change: Bool[np.ndarray, "row pos"] | None = None,
        device: Device = CPU,
    ):
        check_hooks(dictionary, model)
        check_reconstructs(dictionary.config, dictionary.title)
        if rows.shape[1] < 2 or not len(rows):
            raise CorpusError(
                f"Rows of shape {rows.shape} hold no next token whose probability could change. Expected rows of at "
                "least 2 tokens; type a longer text."
            )
        model.check_rows(rows)
        config = dictionary.config
        self.dictionary, self.model, self.rows = dictionary, model, rows
        self._may = np.ones(rows.shape, bool) if may_change is None else may_change
        self._device = device
        self._runs = SplicedRuns(model, rows, config.hook_name_out or config.hook_name, device=device)
        with self._computing():
            x = self._runs.start(config.hooks_in[0] if len(config.hooks_in) == 1 else None)
        self._x = activations_at(model, rows, config.hooks_in) if x is None else x
        self.acts: Float[np.ndarray, "row pos d_sae"] = dictionary.encode(self._x)
        """Activations without a change."""
        self._x_hat: np.ndarray | None = None

    def written(self, edit: Edit) -> Float[np.ndarray, "row pos d_out"]:
        """Return what an edit adds at each token: decode(new acts) - decode(acts), 0 where no activation changes."""
        new, delta = edited(self.acts, edit), np.zeros((*self.rows.shape, self.dictionary.config.d_out), np.float32)
        at = (new != self.acts).any(axis=-1) & self._may
        if at.any():
            with np.errstate(over="ignore", invalid="ignore"):
                delta[at] = self.dictionary.decode(new[at], self._x[at]) - self._decoded[at]
        return delta

    @cached_property
    def _decoded(self) -> Float[np.ndarray, "row pos d_out"]:
        return self.dictionary.decode(self.acts, self._x)

    def effects(
        self,
        changes: Sequence[Change],
        *,
        error: bool = True,
        at: Sequence[tuple[int, int]] = (),
        next_tokens: bool = True,
        progress: Progress = SILENT,
    ) -> Effects:
        """Run once for each change, several stacked in one pass, and compare with the model as it is.

        `at` are places (row, position) whose logits are wanted. Without `next_tokens` nothing else is wanted: log_p
        and kl are NaN. `progress` counts changes and may raise CancelledError. Raises OutOfRangeError.
        """
        overflows = np.zeros(len(changes), bool)

        def put(i: int) -> Put:
            made = self._put(changes[i], error)
            # A norm divides by the square root of a sum of squares: infinite, it makes a finite nothing of the value.
            with np.errstate(over="ignore", invalid="ignore"):
                overflows[i] = not np.isfinite(np.square(made.value).sum(axis=-1)).all()
            return made

        puts = [partial(put, i) for i in range(len(changes))]
        with self._computing():
            found = self._runs.compared(puts, at=at, next_tokens=next_tokens, progress=progress)
            log_p = self._runs.log_p if next_tokens else np.full(self.rows.shape, np.nan)
        overflows |= ~np.isfinite(found.last).all(axis=(1, 2))
        if next_tokens:
            overflows |= ~(np.isfinite(found.log_p).all(axis=(1, 2)) & np.isfinite(found.kl).all(axis=(1, 2)))
        change, kl = found.log_p, found.kl
        change[overflows] = kl[overflows] = np.nan
        change[..., -1] = np.nan
        return Effects(log_p, change, kl, overflows, found.last, found.plain_last)

    def logits(self, last: Float[np.ndarray, "at width"]) -> Float[np.ndarray, "at d_vocab"]:
        """Return logits of one run at the places asked for, from `Effects.last` or `plain_last`."""
        with self._computing():
            return self._runs.logits(last)

    def _computing(self) -> AbstractContextManager[None]:
        if not self._device.runs_kernels:
            return nullcontext()
        from core.devices.blocks import computing_on

        return computing_on(self._device)

    def _put(self, change: Change, error: bool) -> Put:
        if isinstance(change, Push):
            with np.errstate(over="ignore", invalid="ignore"):
                delta = (change.sizes[..., None] * change.direction).astype(np.float32)
        else:
            delta = self.written(change)
        if error:
            return Put(delta, (delta != 0).any(axis=-1) & self._may, adds=True)
        if self._x_hat is None:
            self._x_hat = self.dictionary.reconstruct(self._x)
        return Put(self._x_hat + delta, self._may)


def with_edited_runs(
    measure: Callable[..., Any],
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    may_change: Bool[np.ndarray, "row pos"] | None,
    *arguments: Any,
    device: Device = CPU,
    **options: Any,
) -> Any:
    """Return `measure(runs, *arguments, **options)` of new EditedRuns, so that all of it is data."""
    return measure(EditedRuns(dictionary, model, rows, may_change=may_change, device=device), *arguments, **options)


def acts_of(runs: EditedRuns, feature: int) -> Float[np.ndarray, "row pos"]:
    """Return a feature's activations without a change."""
    return runs.acts[..., feature]
