"""Runs a few rows of text through a model several times with other values at one hook, and compares its predictions.

Runs may be stacked: one pass then carries several of them as rows of one batch. Batches of other sizes may round
differently, so what a stacked run is compared with is the model as it is, stacked alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from core.devices.device import CPU, Device
from core.models.hf_runner import LAST
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress, Stage

if TYPE_CHECKING:
    import torch

_LOGITS_PER_CALL = 2**24
_TOKENS_PER_PASS = 2**11
_FLOATS_KEPT = 2**26


@dataclass(frozen=True, eq=False)
class Put:
    """What one run has at the hook: `value` at the tokens `at`; what passed there is replaced by it, or added to it."""

    value: Float[np.ndarray, "row pos d_out"]
    at: Bool[np.ndarray, "row pos"]
    """Other tokens keep what passes, to the last bit."""
    adds: bool = False


@dataclass(frozen=True, eq=False)
class Compared:
    """Stacked runs beside the model as it is."""

    log_p: Float[np.ndarray, "run row pos"]
    """Log-probability of each next token minus that of the model as it is, in nats; 0 at the last position."""
    kl: Float[np.ndarray, "run row pos"]
    """KL(next-token distribution as it is || of the run), in nats."""
    last: Float[np.ndarray, "run at width"]
    """What the unembedding reads at the places asked for."""
    plain_last: Float[np.ndarray, "run at width"]
    """The same of the model as it is, stacked alike."""


class SplicedRuns:
    """One run as the model is, and others with values put in at a hook. The lock is held for one pass, never longer.

    On a device that runs kernels, call all methods inside core.devices.blocks.computing_on.
    """

    def __init__(
        self, model: LanguageModel, rows: Int[np.ndarray, "row pos"], hook: str | None, *, device: Device = CPU
    ):
        self._model, self._rows, self._hook, self._device = model, rows, hook, device
        self._given: tuple[int, torch.Tensor] | None = None
        self._plain: dict[int, torch.Tensor] = {}
        """What the unembedding reads when the model runs as it is, by how often the rows are stacked."""
        self._outputs: list[torch.Tensor] = []

    def start(self, read: str | None = None) -> Float[np.ndarray, "row pos d_in"] | None:
        """Run the model as it is; return what passes at the hook `read`, and keep what passes at ours as `target`."""
        import torch

        self._tokens, running = torch.from_numpy(self._rows.astype(np.int64)), self._model.running
        self._module = None
        if self._device.runs_kernels:
            from core.models.on_device import hooked_on

            self._module, self._tokens = hooked_on(self._model, self._device), self._tokens.to(self._device.torch)
        # What comes before the hook's layer is the same in all runs.
        layer = running.layer_of(self._hook) if self._hook and running.can_start_late else None
        before = None if layer is None else f"blocks.{layer}.hook_resid_pre"
        names = list({name for name in (read, self._hook, before, LAST) if name})
        seen = running.read(self._tokens, names, module=self._module)
        self._plain[1] = seen[LAST]
        self._given = (layer, seen[before]) if before else None
        if self._hook is None:
            return None
        self.target = seen[self._hook].float().cpu().numpy()
        return seen[read].float().cpu().numpy() if read else None

    def replace(self, value: Float[np.ndarray, "row pos d_out"]) -> None:
        """Run again with a value at the hook."""
        self._outputs.append(self._run([Put(value, np.ones(self._rows.shape, bool))], 1))

    def losses(
        self, progress: Progress = SILENT
    ) -> tuple[Float[np.ndarray, "run row pos"], Float[np.ndarray, "run-1 row pos"]]:
        """Return each run's cross-entropy of next tokens, 0 at the last position, and its KL divergence from the first.

        The runs are that of `start`, and those of `replace`; `progress` counts tokens.
        """
        log_p, kl = self._compare(1, self._outputs, progress)
        return -log_p[:, 0], kl[:, 0]

    @cached_property
    def log_p(self) -> Float[np.ndarray, "row pos"]:
        """Log-probability of each next token in the run of `start`, in nats; NaN at the last position."""
        log_p = self._compare(1, [], SILENT)[0][0, 0]
        log_p[:, -1] = np.nan
        return log_p

    def compared(
        self,
        puts: Sequence[Callable[[], Put]],
        *,
        at: Sequence[tuple[int, int]] = (),
        next_tokens: bool = True,
        progress: Progress = SILENT,
    ) -> Compared:
        """Run once for each of `puts`, which are made when they are needed, several in one pass, after `start`.

        `at` are places (row, position) where the caller wants logits, see `logits`. Without `next_tokens`,
        `log_p` and `kl` are NaN, and no logits are made. `progress` counts runs.
        """
        n = max(1, min(len(puts), _TOKENS_PER_PASS // self._rows.size))
        if n not in self._plain:
            self._plain[n] = self._run([], n)
        together = n * max(1, _FLOATS_KEPT // self._plain[n].numel())
        parts = [
            self._stacked(puts[first : first + together], n, at, next_tokens, Stage(progress, first, len(puts)))
            for first in range(0, len(puts), together)
        ]
        whole = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return Compared(*(each[: len(puts)] for each in whole))

    def _stacked(
        self,
        puts: Sequence[Callable[[], Put]],
        n: int,
        at: Sequence[tuple[int, int]],
        next_tokens: bool,
        progress: Progress,
    ) -> tuple[np.ndarray, ...]:
        """Return the fields of Compared for so many runs that their outputs fit in memory together."""
        outputs = []
        for first in range(0, len(puts), n):
            progress.update(first, len(puts))
            outputs.append(self._run([put() for put in puts[first : first + n]], n))
        places = [np.array(each, np.int64) for each in zip(*at, strict=True)] or [np.zeros(0, np.int64)] * 2
        plain, *last = (
            output.unflatten(0, (n, -1))[:, places[0], places[1]].float().cpu().numpy()
            for output in (self._plain[n], *outputs)
        )
        by_run = (len(outputs) * n, *self._rows.shape)
        changes = np.full(by_run, np.nan), np.full(by_run, np.nan)
        if next_tokens:
            log_p, kl = self._compare(n, outputs, SILENT)
            changes = (log_p[1:] - log_p[:1]).reshape(by_run), kl.reshape(by_run)
        return *changes, np.concatenate(last), np.concatenate([plain] * len(outputs))

    def logits(self, last: Float[np.ndarray, "token width"]) -> Float[np.ndarray, "token d_vocab"]:
        """Return logits of what the unembedding reads."""
        import torch

        read = torch.from_numpy(last).to(self._plain[1])
        return self._model.running.logits(read, module=self._module).float().cpu().numpy()

    def _run(self, puts: Sequence[Put], n: int) -> "torch.Tensor":
        """Run the rows n times in one pass, with each of `puts` in one of them."""
        tokens, given = self._tokens.repeat(n, 1), self._given
        if given is not None and n > 1:
            given = given[0], given[1].repeat(n, 1, 1)
        replace = (self._hook, lambda old: _put(old, puts, (n, *self._rows.shape))) if puts else None
        return self._model.running.read(tokens, [LAST], replace=replace, start=given, module=self._module)[LAST]

    def _compare(
        self, n: int, outputs: Sequence["torch.Tensor"], progress: Progress
    ) -> tuple[Float[np.ndarray, "run n row pos"], Float[np.ndarray, "run-1 n row pos"]]:
        """Return log-probabilities of next tokens of the model as it is and of passes, and their divergence from it.

        Logits are made for a few tokens at a time, as a vocabulary may have 256,000.
        """
        import torch

        size, runs = n * self._rows.size, 1 + len(outputs)
        next_tokens = torch.from_numpy(np.roll(self._rows, -1, axis=1).reshape(-1, 1).astype(np.int64)).repeat(n, 1)
        next_tokens = next_tokens.to(self._tokens.device)
        # A sum in float32 over the vocabulary is off by 5e-7 of a divergence of 1, whatever its own size.
        of_kl = torch.float64 if self._device.runs_kernels else None
        log_p_next, kl = np.zeros((runs, size)), np.zeros((runs - 1, size))
        first_of_all, *others = (output.flatten(0, 1) for output in (self._plain[n], *outputs))
        step = max(1, _LOGITS_PER_CALL // self._model.d_vocab)
        for start in range(0, size, step):
            progress.update(start, size)
            part = slice(start, start + step)
            first = self._log_p(first_of_all[part])
            p = first.exp()
            log_p_next[0, part] = first.gather(1, next_tokens[part])[:, 0].cpu().numpy()
            for i, output in enumerate(others):
                log_p = self._log_p(output[part])
                log_p_next[i + 1, part] = log_p.gather(1, next_tokens[part])[:, 0].cpu().numpy()
                kl[i, part] = (p * (first - log_p)).sum(dim=1, dtype=of_kl).cpu().numpy()
        log_p_next = log_p_next.reshape(runs, n, *self._rows.shape)
        log_p_next[..., -1] = 0
        return log_p_next, kl.reshape(runs - 1, n, *self._rows.shape)

    def _log_p(self, output: "torch.Tensor") -> "torch.Tensor":
        return self._model.running.logits(output, module=self._module).float().log_softmax(dim=1)


def _put(old: "torch.Tensor", puts: Sequence[Put], shape: tuple[int, int, int]) -> "torch.Tensor":
    """Put values into the rows of a stack, (run, row, pos). What no run changes stays as it is, to the last bit."""
    import torch

    width = puts[0].value.shape[-1]
    assert len({put.adds for put in puts}) == 1, "one pass adds or replaces"
    if old.numel() == shape[2] * width:  # positions: the same for all rows
        old = old.expand(shape[0] * shape[1], *old.shape[1:])
    rows = old.reshape(*shape, width)
    value = torch.zeros(shape[0], *puts[0].value.shape, dtype=torch.float32, device=old.device)
    at = torch.zeros(shape, dtype=torch.bool, device=old.device)
    for i, put in enumerate(puts):
        value[i], at[i] = torch.from_numpy(np.asarray(put.value, np.float32)), torch.from_numpy(put.at)
    new = rows.float() + value if puts[0].adds else value
    return torch.where(at[..., None], new.to(old.dtype), rows).reshape(old.shape)
