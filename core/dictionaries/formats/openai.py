"""Files of OpenAI's sparse_autoencoder (Gao et al. 2024): one .pt with weights and the name of the activation.

As in that library, inputs of TopK dictionaries are layer-normed and outputs scaled back; ReLU dictionaries do neither.
"""

import re

from core.dictionaries.accounting import unread_note
from core.dictionaries.formats import ALL_FITS, NO, Contents, Place, layout, rename
from core.dictionaries.formats.stored import read_stored
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.files.torch_saves import mentions

NAME = "openai"
TITLE = "a .pt file with pre_bias and latent_bias"
_NAMES = {
    "W_enc": "encoder.weight.T",
    "b_enc": "latent_bias",
    "W_dec": "decoder.weight.T",
    "b_dec": "pre_bias",
}
_COUNTS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")
_LOCATIONS = {
    "mlp_post_act": "mlp.hook_post",
    "resid_delta_mlp": "hook_mlp_out",
    "resid_delta_attn": "hook_attn_out",
    "resid_post_attn": "hook_resid_mid",
    "resid_post_mlp": "hook_resid_post",
}
"""Hooks of the published dictionaries of GPT-2 small, by the name in their path."""


def score(place: Place) -> int:
    """Only a file that is named itself, and by what it holds: .pt alone says little."""
    if not place.file or not place.file.endswith((".pt", ".pth")) or not place.may_read(place.file):
        return NO
    return ALL_FITS if mentions(place.path, "pre_bias", "latent_bias") else NO


def files(place: Place) -> tuple[str, ...]:
    return (place.file,) if place.file else ()


def read(place: Place) -> Contents:
    """Read weights and activation; the hook is known for paths that are laid out as the published ones.

    Raises BadDictionaryError, also for an activation that sae-lens does not have.
    """
    path = place.itself()
    found = read_stored(path)
    tensors = rename(found.arrays, _NAMES, path, spare=_COUNTS)
    fields = ConfigFields(found.values, path)
    activation = fields.value("activation") or "ReLU"
    state = fields.value("activation_state_dict") or {}
    if activation not in ("ReLU", "TopK") or not isinstance(state, dict) or state.get("postact_fn", "ReLU") != "ReLU":
        raise BadDictionaryError(
            f"{path} has activation {str(activation)[:40]!r} with {str(state)[:80]}; expected ReLU, or TopK with a "
            "ReLU after it. sae-lens has no other of this kind: convert the dictionary."
        )
    topk = activation == "TopK"
    hook, inferred = _published_hook(place)
    raw = layout(
        "topk" if topk else "standard",
        tensors,
        path,
        metadata={"hook_name": hook, "model_name": "gpt2-small" if hook else None},
        k=_number(state.get("k")) if topk else None,
        normalize_activations="layer_norm" if topk else "none",
    )
    notes = unread_note(path.name, fields)
    return Contents(raw, tensors, path.name, inferred=found.inferred + inferred, notes=notes)


def _number(k: object) -> object:
    # Some versions store k as a tensor. The check of the config names a k that is no number.
    return k.item() if getattr(k, "shape", None) == () or getattr(k, "shape", None) == (1,) else k


def _published_hook(place: Place) -> tuple[str | None, tuple[str, ...]]:
    match = re.search(r"(?:^|/)([a-z_]+?)(?:_v\d\w*)?/autoencoders/(\d+)\.pth?$", place.path.as_posix())
    if not match or match[1] not in _LOCATIONS:
        return None, ()
    hook = f"blocks.{int(match[2])}.{_LOCATIONS[match[1]]}"
    return hook, (f"model gpt2-small and hook {hook} from the path, which is laid out as the published ones",)
