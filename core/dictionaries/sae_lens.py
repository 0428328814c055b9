"""The only module that calls sae-lens' SAE objects: builds them from our arrays and runs them under a lock."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from jaxtyping import Float

from core.errors import BadDictionaryError
from core.work.torch_library import as_tensor, import_model_library


def build_sae(raw_config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
    """Build a sae-lens SAE in float32 on the CPU from its config and our arrays.

    Raises BadDictionaryError where sae-lens does not accept them.
    """
    import_model_library()
    from sae_lens import SAE

    from core.dictionaries.transcoders import register

    register()
    state = {name: as_tensor(array) for name, array in tensors.items()}
    # The config has the present layout; without a version sae-lens would translate it as an old one.
    metadata = raw_config.get("metadata")
    hook_name = metadata.get("hook_name") if isinstance(metadata, Mapping) else None
    metadata = {"hook_name": hook_name, "sae_lens_version": "6.0.0"}
    # sae-lens does not accept null, which we read as absent.
    said = {name: value for name, value in raw_config.items() if value is not None}

    def from_memory(path, device, cfg_overrides):
        return {**said, **(cfg_overrides or {}), "device": "cpu", "metadata": metadata}, dict(state)

    try:
        sae = SAE.load_from_disk("in-memory", device="cpu", dtype="float32", converter=from_memory)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        raise BadDictionaryError(
            f"sae-lens cannot build this {raw_config['architecture']} dictionary ({str(error)[:300]}). "
            "Expected a config and weights that its save_model wrote; save the dictionary again."
        ) from error
    if sae.cfg.reshape_activations == "hook_z":
        # Our inputs are flat: (token, n_heads * d_head).
        sae.turn_off_forward_pass_hook_z_reshaping()
    return sae.eval()


def run(sae, lock: AbstractContextManager, x: Float[np.ndarray, "*batch d_in"], call: Callable) -> np.ndarray:
    """Run `call(sae, x)` without gradients, holding the lock; float32 in and out."""
    import torch

    with lock, torch.no_grad():
        return call(sae, as_tensor(np.ascontiguousarray(x, dtype=np.float32))).float().numpy()


def run_decoder(
    sae, lock: AbstractContextManager, acts: Float[np.ndarray, "*batch d_sae"], x: Float[np.ndarray, "*batch width"]
) -> Float[np.ndarray, "*batch d_out"]:
    """Decode. The scale of each input, where there is one, is what encoding it leaves on the module."""
    import torch

    with lock, torch.no_grad():
        if sae.cfg.normalize_activations in ("constant_norm_rescale", "layer_norm"):
            sae.process_sae_in(as_tensor(np.ascontiguousarray(x, dtype=np.float32)))
        return sae.decode(as_tensor(np.ascontiguousarray(acts, dtype=np.float32))).float().numpy()


def run_halves(
    sae, lock: AbstractContextManager, x: Float[np.ndarray, "batch pos d_in"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return predicted and novel half of a temporal dictionary's output, its bias, predicted and novel codes."""
    import torch

    with lock, torch.no_grad():
        t = as_tensor(np.ascontiguousarray(x, dtype=np.float32))
        whole, (novel, predicted) = sae(t), sae.encode_with_predictions(t)
        halves = [sae.run_time_activation_norm_fn_out(codes @ sae.W_dec) for codes in (predicted, novel)]
        bias = (whole - sum(halves)).float().numpy()
        return (*(half.float().numpy() for half in halves), bias, predicted.float().numpy(), novel.float().numpy())


def run_with_pre_acts(
    sae, lock: AbstractContextManager, x: Float[np.ndarray, "*batch d_in"]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Encode. Return the activations, and what passed sae-lens' pre-activation hook (None if it did not fire)."""
    passed = []

    def encode(sae, t):
        handle = sae.hook_sae_acts_pre.register_forward_hook(lambda module, inputs, output: passed.append(output))
        try:
            return sae.encode(t)
        finally:
            handle.remove()

    acts = run(sae, lock, x, encode)
    return acts, passed[-1].float().numpy() if passed else None
