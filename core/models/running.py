"""Run models whose folders hold a config and weights in TransformerLens' own names, as the demo's does."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from core.errors import BadDictionaryError, DoesNotFitError
from core.files.tensors import read_tensors
from core.models.config import BEHIND_NORM, n_heads
from core.models.embeddings import no_unembedding
from core.models.gradients import Gradient, Leaf, Target, detached, go_back
from core.models.hf_runner import LAST

if TYPE_CHECKING:
    from torch import Tensor

_UNEMBEDDING = {"unembed.W_U", "unembed.b_U"}
_BEFORE = ("hook_embed", "hook_pos_embed")
"""Hooks that come before the first block."""


def weights_nbytes(config: Mapping[str, Any]) -> int:
    """Bytes of a model's matrices in float32, from the sizes in its config (TransformerLens' names)."""
    if config.get("n_params"):
        return 4 * config["n_params"]
    d, d_mlp = config["d_model"], config["d_mlp"]
    attention = 2 * d * config["d_head"] * sum(n_heads(config).values())
    mlp = (3 if config.get("gated_mlp") else 2) * d * d_mlp
    return 4 * (config["n_layers"] * (attention + mlp) + (2 * config["d_vocab"] + config["n_ctx"]) * d)


def build_from_own_names(
    folder: Path,
    config: Mapping[str, Any],
    *,
    centred: bool = False,
    W_pos: Float[np.ndarray, "n_ctx d_model"] | None = None,
):
    """Build a HookedTransformer in float32 on the CPU from its own config and state dict.

    `centred` subtracts from weights that write to the stream their mean; W_pos takes the place of the stored one.
    Raises BadDictionaryError if the two do not fit TransformerLens or each other.
    """
    from core.work.torch_library import as_tensor, import_model_library

    import_model_library()
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    unheard = sorted(set(config) - {field.name for field in fields(HookedTransformerConfig)})
    if unheard:
        raise BadDictionaryError(
            f"config.json in {folder} has {', '.join(unheard)[:200]}, which TransformerLens does not know. "
            "Expected the fields of its HookedTransformerConfig; export the config again."
        )
    model = HookedTransformer(HookedTransformerConfig(**config, device="cpu", init_weights=False))
    state = {k: as_tensor(v).clone() for k, v in read_tensors(folder / "model.safetensors").items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    lacking = [name for name in missing if not name.endswith((".mask", ".IGNORE", "rotary_sin", "rotary_cos"))]
    lacking = [] if set(lacking) == _UNEMBEDDING else lacking  # a model may have neither, but not one alone
    if lacking or unexpected:
        raise BadDictionaryError(
            f"The weights in {folder} do not fit its config: missing {lacking[:5]}, "
            f"unexpected {unexpected[:5]}. Export model and config together."
        )
    if centred:
        model.load_and_process_state_dict(
            model.state_dict(),
            fold_ln=False,
            center_writing_weights=True,
            center_unembed=False,
            fold_value_biases=False,
        )
    if W_pos is not None:
        model.pos_embed.W_pos.data.copy_(as_tensor(W_pos))
    return model.eval().requires_grad_(False)


def _in_norm(name: str) -> str | None:
    """Return the hook inside a norm whose output a hook is, if TransformerLens has no hook of its own there."""
    first, _, rest = name.partition(".")
    layer, _, point = rest.partition(".")
    return f"blocks.{layer}.{BEHIND_NORM[point]}" if first == "blocks" and point in BEHIND_NORM else None


class HookedRunner:
    """A HookedTransformer behind the interface of core.models.hf_runner.HfRunner, which says what each part means."""

    def __init__(self, module: Any, name: str, *, lock: threading.RLock, has_unembedding: bool = True):
        self.module, self.name, self._lock, self._has_unembedding = module, name, lock, has_unembedding
        # A shortformer adds positions in every layer, not once before the first.
        self.can_start_late = module.cfg.positional_embedding_type != "shortformer"

    def layer_of(self, hook_name: str) -> int | None:
        parts = hook_name.split(".")
        return int(parts[1]) if parts[0] == "blocks" else None

    def read(
        self,
        tokens: "Tensor",
        names: Sequence[str],
        *,
        replace: tuple[str, Callable[["Tensor"], "Tensor"]] | None = None,
        start: tuple[int, "Tensor"] | None = None,
        module: Any = None,
    ) -> dict[str, "Tensor"]:
        import torch

        with torch.no_grad():
            return self._run(tokens, names, replace, start, module)

    def gradient(
        self,
        tokens: "Tensor",
        hook_name: str,
        target: Target,
        *,
        names: Sequence[str] = (),
        start: tuple[int, "Tensor"] | None = None,
        module: Any = None,
    ) -> Gradient:
        import torch

        leaf, cfg = Leaf(tokens), self.module.cfg
        with torch.enable_grad():
            seen = self._run(tokens, [*names, LAST], (hook_name, leaf.put), start, module)
        if leaf.value is None:
            raise DoesNotFitError(
                f"Nothing passes at {hook_name[:100]} of {self.name} when the model runs. Expected a hook that it "
                f"reaches, such as blocks.{cfg.n_layers - 1}.hook_resid_pre; choose another dictionary."
            )
        how = {"d_vocab": cfg.d_vocab_out if cfg.d_vocab_out > 0 else cfg.d_vocab}
        gradient, values = go_back(leaf, seen[LAST], target, lambda last: self._logits(last, module), **how)
        return Gradient(leaf.value.detach(), gradient, values, detached(seen, names))

    def _run(
        self,
        tokens: "Tensor",
        names: Sequence[str],
        replace: tuple[str, Callable[["Tensor"], "Tensor"]] | None,
        start: tuple[int, "Tensor"] | None,
        module: Any,
    ) -> dict[str, "Tensor"]:
        module, seen, names = module if module is not None else self.module, {}, list(names)
        if replace and _in_norm(replace[0]):
            raise DoesNotFitError(
                f"{replace[0]} of {self.name} can be read, and not replaced: this model runs in TransformerLens, which "
                "has no hook there. Choose a dictionary that writes elsewhere, or the model in Hugging Face's layout."
            )
        hooks = [(replace[0], lambda value, hook: replace[1](value))] if replace else []
        there = {_in_norm(name) or name for name in names} - {LAST}
        hooks += [(name, lambda value, hook: seen.update({hook.name: value})) for name in sorted(there)]
        layer, given = start if start is not None else (None, tokens)
        with self._lock, module.hooks(fwd_hooks=hooks):
            out = module(given, start_at_layer=layer, stop_at_layer=self._stop(names))
            if any(self.layer_of(name) is None for name in names) and module.cfg.normalization_type is not None:
                out = module.ln_final(out)
            seen |= {LAST: out} if LAST in names else {}
            found = {name: self._weighted(name, seen, module) if _in_norm(name) else seen[name] for name in names}
        return {name: value.flatten(2) for name, value in found.items()}

    def _weighted(self, name: str, seen: Mapping[str, "Tensor"], module: Any) -> "Tensor":
        """Return what a norm gives: what passes inside it, with its weights."""
        inside = _in_norm(name)
        norm = module.blocks[self.layer_of(name)].get_submodule(inside.split(".")[2])
        weighted = seen[inside] * getattr(norm, "w", 1.0)
        return weighted + norm.b if hasattr(norm, "b") else weighted

    def _stop(self, names: Sequence[str]) -> int:
        """Return how many blocks must run."""
        layers = [self.layer_of(name) for name in names if not name.startswith(_BEFORE)]
        return self.module.cfg.n_layers if None in layers else 1 + max(layers, default=-1)

    def logits(self, last: "Tensor", *, module: Any = None) -> "Tensor":
        import torch

        with torch.no_grad():
            return self._logits(last, module)

    def _logits(self, last: "Tensor", module: Any) -> "Tensor":
        import torch

        if not self._has_unembedding:
            raise no_unembedding(self.name)
        module = module if module is not None else self.module
        cap = module.cfg.output_logits_soft_cap
        logits = torch.addmm(module.unembed.b_U, last, module.unembed.W_U)
        return cap * torch.tanh(logits / cap) if cap > 0 else logits
