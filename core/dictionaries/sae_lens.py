"""The seam to sae-lens and torch: builds its objects from our arrays and runs them under a lock."""

import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import BadDictionaryError

if TYPE_CHECKING:
    from core.dictionaries.dictionary import Dictionary


def quiet_imports() -> None:
    """Set what must be set before torch's friends are imported: no telemetry, no bars, no wandb."""
    os.environ.setdefault("WANDB_MODE", "disabled")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # transformer-lens announces its 4.0 on every construction; the pin keeps us below it.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="transformer_lens")
    # The model is loaded as the dictionary asks (LanguageModel's `centred`).
    warnings.filterwarnings("ignore", message=r"\s*This SAE has non-empty model_from_pretrained_kwargs")
    logging.getLogger("sae_lens").setLevel(logging.ERROR)


def import_model_library() -> None:
    """Import torch and TransformerLens; may be called from several threads, all of which wait for the first.

    Half a million objects come into being that never go: looking for garbage among them takes a fifth of the time.
    """
    if "transformer_lens" in sys.modules:
        return
    quiet_imports()
    collecting = gc.isenabled()
    gc.disable()
    try:
        import transformer_lens  # noqa: F401
    finally:
        if collecting:
            gc.enable()


def as_tensor(array: np.ndarray):
    """View an array as a tensor; ours are read-only, and nobody writes through the view."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def build_sae(raw_config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
    """Build a sae-lens SAE in float32 on the CPU from its config and our arrays.

    Raises BadDictionaryError where sae-lens does not accept them.
    """
    quiet_imports()
    from sae_lens import SAE

    from core.dictionaries.transcoders import register

    register()
    state = {name: as_tensor(array) for name, array in tensors.items()}
    # The config has the present layout; without a version sae-lens would translate it as an old one.
    metadata = {"hook_name": raw_config["metadata"].get("hook_name"), "sae_lens_version": "6.0.0"}

    def from_memory(path, device, cfg_overrides):
        return {**raw_config, **(cfg_overrides or {}), "device": "cpu", "metadata": metadata}, dict(state)

    try:
        sae = SAE.load_from_disk("in-memory", device="cpu", dtype="float32", converter=from_memory)
    except (RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise BadDictionaryError(
            f"sae-lens cannot build this {raw_config['architecture']} dictionary ({str(error)[:300]}). "
            "Expected a config and weights that its save_model wrote; save the dictionary again."
        ) from error
    if sae.cfg.reshape_activations == "hook_z":
        # Our inputs are flat: (token, n_heads * d_head).
        sae.turn_off_forward_pass_hook_z_reshaping()
    return sae.eval()


def run(dictionary: "Dictionary", x: np.ndarray, call: Callable) -> np.ndarray:
    """Run `call(sae, x)` without gradients, holding the dictionary's lock; float32 in and out."""
    import torch

    with dictionary.lock, torch.no_grad():
        return call(dictionary.sae, as_tensor(np.ascontiguousarray(x, dtype=np.float32))).float().numpy()


def run_with_pre_acts(dictionary: "Dictionary", x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encode and return what comes out and what passed sae-lens' pre-activation hook (NaN if nothing did)."""
    passed = []

    def encode(sae, t):
        handle = sae.hook_sae_acts_pre.register_forward_hook(lambda module, inputs, output: passed.append(output))
        try:
            return sae.encode(t)
        finally:
            handle.remove()

    acts = run(dictionary, x, encode)
    if not passed:
        return acts, np.full_like(acts, np.nan)
    pre_acts = passed[-1].float().numpy()
    if dictionary.config.rescale_acts_by_decoder_norm:  # which sae-lens does behind its hook
        pre_acts = pre_acts * np.linalg.norm(dictionary.W_dec, axis=1)
    return acts, pre_acts
