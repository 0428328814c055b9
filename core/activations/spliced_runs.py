"""Runs a few rows of text through a model several times with other values at one hook, and compares its predictions."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from core.models.hf_runner import LAST
from core.models.language_model import LanguageModel
from core.work.jobs import SILENT, Progress

if TYPE_CHECKING:
    import torch

_LOGITS_PER_CALL = 2**24


class SplicedRuns:
    """One run as the model is, and others with values put in at a hook. The lock is held for one run, never longer."""

    def __init__(self, model: LanguageModel, rows: Int[np.ndarray, "row pos"], hook: str | None):
        self._model, self._rows, self._hook = model, rows, hook
        self._outputs: list[torch.Tensor] = []
        self._given: tuple[int, torch.Tensor] | None = None

    def start(self, read: str | None = None) -> Float[np.ndarray, "row pos d_in"] | None:
        """Run the model as it is; return what passes at the hook `read`, and keep what passes at ours as `target`."""
        import torch

        self._tokens, running = torch.from_numpy(self._rows.astype(np.int64)), self._model.running
        # What comes before the hook's layer is the same in all runs.
        layer = running.layer_of(self._hook) if self._hook and running.can_start_late else None
        before = None if layer is None else f"blocks.{layer}.hook_resid_pre"
        seen = running.read(self._tokens, list({name for name in (read, self._hook, before, LAST) if name}))
        self._outputs.append(seen[LAST].flatten(0, 1))
        self._given = (layer, seen[before]) if before else None
        if self._hook is None:
            return None
        self.target = seen[self._hook].float().numpy()
        return seen[read].float().numpy() if read else None

    def replace(self, value: Float[np.ndarray, "row pos d_out"]) -> None:
        """Run again with a value at the hook."""
        import torch

        new = torch.from_numpy(np.ascontiguousarray(value, np.float32))

        def put(old: torch.Tensor) -> torch.Tensor:
            return new.reshape(old.shape).to(old.dtype)

        seen = self._model.running.read(self._tokens, [LAST], replace=(self._hook, put), start=self._given)
        self._outputs.append(seen[LAST].flatten(0, 1))

    def losses(
        self, progress: Progress = SILENT
    ) -> tuple[Float[np.ndarray, "run row pos"], Float[np.ndarray, "run-1 row pos"]]:
        """Return each run's cross-entropy of next tokens, 0 at the last position, and its KL divergence from the first.

        Logits are made for a few tokens at a time, as a vocabulary may have 256,000; `progress` counts tokens.
        """
        import torch

        n, runs = self._rows.size, len(self._outputs)
        next_tokens = torch.from_numpy(np.roll(self._rows, -1, axis=1).reshape(-1, 1).astype(np.int64))
        ce, kl = np.zeros((runs, n)), np.zeros((runs - 1, n))
        step = max(1, _LOGITS_PER_CALL // self._model.d_vocab)
        for start in range(0, n, step):
            progress.update(start, n)
            part = slice(start, start + step)
            first = self._log_p(self._outputs[0][part])
            p = first.exp()
            for i, output in enumerate(self._outputs):
                log_p = self._log_p(output[part]) if i else first
                ce[i, part] = -log_p.gather(1, next_tokens[part])[:, 0].numpy()
                if i:
                    kl[i - 1, part] = (p * (first - log_p)).sum(dim=1).numpy()
        ce = ce.reshape(runs, *self._rows.shape)
        ce[..., -1] = 0
        return ce, kl.reshape(runs - 1, *self._rows.shape)

    def _log_p(self, output: "torch.Tensor") -> "torch.Tensor":
        return self._model.running.logits(output).float().log_softmax(dim=1)
