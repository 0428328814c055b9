"""Runs a few rows of text through a model several times with other values at one hook, and compares its predictions."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

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
        parts = (hook or "").split(".")
        # What comes before the hook's layer is the same in all runs; shortformer adds positions in every layer.
        self._layer = int(parts[1]) if parts[0] == "blocks" and model.positions != "shortformer" else None

    def start(self, read: str | None = None) -> Float[np.ndarray, "row pos d_in"] | None:
        """Run the model as it is. Return the activations at the hook `read`, and keep those at our hook as `target`."""
        import torch

        self._tokens = torch.from_numpy(self._rows.astype(np.int64))
        before = None if self._layer is None else f"blocks.{self._layer}.hook_resid_pre"
        names, seen = {name for name in (read, self._hook, before) if name}, {}
        self._run(self._tokens, None, (names.__contains__, lambda value, hook: seen.update({hook.name: value})))
        self._given = seen[before] if before else self._tokens
        if self._hook is None:
            return None
        self.target = seen[self._hook].flatten(2).float().numpy()
        return seen[read].flatten(2).float().numpy() if read else None

    def replace(self, value: Float[np.ndarray, "row pos d_out"]) -> None:
        """Run again with a value at the hook."""
        import torch

        new = torch.from_numpy(np.ascontiguousarray(value, np.float32))
        self._run(self._given, self._layer, (self._hook, lambda old, hook: new.reshape(old.shape).to(old.dtype)))

    def _run(self, given: "torch.Tensor", layer: int | None, hook: tuple) -> None:
        import torch

        hooked = self._model.hooked
        with self._model.lock, torch.no_grad(), hooked.hooks(fwd_hooks=[hook]):
            out = hooked(given, start_at_layer=layer, stop_at_layer=self._model.n_layers)
            out = out if hooked.cfg.normalization_type is None else hooked.ln_final(out)
        self._outputs.append(out.flatten(0, 1))

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
        import torch

        hooked = self._model.hooked
        cap = hooked.cfg.output_logits_soft_cap
        with torch.no_grad():
            logits = torch.addmm(hooked.unembed.b_U, output, hooked.unembed.W_U)
            return (cap * torch.tanh(logits / cap) if cap > 0 else logits).log_softmax(dim=1)
