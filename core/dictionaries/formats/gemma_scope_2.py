"""Gemma Scope 2 as downloaded: params.safetensors with config.json, which names modules of the Hugging Face model.

The same JumpReLU as in Gemma Scope; transcoders have a skip connection where the config says affine_connection.
"""

import re
from typing import Any

import numpy as np

from core.dictionaries.accounting import unread_note
from core.dictionaries.formats import ALL_FITS, NAMES_FIT, NO, Contents, Place, last_part, layout, rename
from core.dictionaries.formats.stored import read_stored
from core.dictionaries.hooks import hook_of, norm_warning
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.files.tensors import tensor_names

NAME = "gemma-scope-2"
TITLE = "config.json and params.safetensors"
_FILE, _CONFIG = "params.safetensors", "config.json"
_NAMES = {"W_enc": "w_enc", "W_dec": "w_dec", "b_enc": "b_enc", "b_dec": "b_dec", "threshold": "threshold"}
_SKIP = {"W_skip": "affine_skip_connection.T"}
_CONTEXT = 1024
_TYPES = {"sae", "transcoder", "clt"}
_PLACE = re.compile(r"gemma-scope-2-(\d+[mb])-(pt|it)/.*?(resid_post|attn_out|mlp_out|transcoder)[^/]*/layer_(\d+)")
_POINTS = {
    "resid_post": ("output", None),
    "attn_out": ("self_attn.o_proj.input", None),
    "mlp_out": ("post_feedforward_layernorm.output", None),
    "transcoder": ("pre_feedforward_layernorm.output", "post_feedforward_layernorm.output"),
}
"""Modules of the Hugging Face model that the folders of the release are named after."""


def score(place: Place) -> int:
    """By the names in the file; config.json beside it says the rest."""
    name = place.file or _FILE
    if not name.endswith(".safetensors") or not place.may_read(name):
        return NO
    if not {"w_enc", "w_dec", "threshold"} <= set(tensor_names(place.folder / name)):
        return NO
    return ALL_FITS if "hf_hook_point_in" in place.glance(_CONFIG) else NAMES_FIT


def files(place: Place) -> tuple[str, ...]:
    return tuple(name for name in (place.file or _FILE, _CONFIG) if place.may_read(name))


def read(place: Place) -> Contents:
    """Read weights and config. Raises BadDictionaryError, also for crosscoders, which read several places at once."""
    path = place.need(place.file or _FILE)
    said = place.json(_CONFIG) if place.may_read(_CONFIG) else {}
    guessed = {} if said else from_path(place.path.as_posix())
    config = ConfigFields(said or guessed, place.folder / _CONFIG)
    config.one_of("architecture", {"jump_relu"}, default="jump_relu")
    stored = read_stored(path)
    skips = config.flag("affine_connection", default="affine_skip_connection" in stored.arrays)
    tensors = rename(stored.arrays, _NAMES | (_SKIP if skips else {}), path)
    metadata, inferred, notes = whereabouts(config)
    kind = config.one_of("type", _TYPES, default="transcoder" if skips or metadata.get("hook_name_out") else "sae")
    if re.fullmatch(r"params_layer_\d+\.safetensors", path.name) and tensors["W_dec"].ndim == 2:
        raise BadDictionaryError(
            f"{path} is one side of a crosscoder of Gemma Scope 2, whose features read all of its files together; that "
            "format is not read here. Expected a dictionary, a transcoder or a cross-layer transcoder; choose another."
        )
    transcodes = kind != "sae"
    if kind == "clt":
        tensors, more = summed(tensors, path.name)
        metadata, notes = metadata | {"reconstructs": False}, notes + more
    raw = layout(
        ("jumprelu_skip_transcoder" if skips else "jumprelu_transcoder") if transcodes else "jumprelu",
        tensors,
        path,
        metadata=metadata if transcodes else metadata | {"hook_name_out": None},
        d_sae=config.whole("width"),
        apply_b_dec_to_input=False,
    )
    for known in ("l0", "sae_id", "layer", "step", "hf_hook_points_in", "hf_hook_points_out"):
        config.value(known)
    inferred += ("all of it from the path, as there is no config.json",) if guessed else ()
    return Contents(
        raw, tensors, _CONFIG, inferred=stored.inferred + inferred, notes=notes + unread_note(_CONFIG, config)
    )


def from_path(path: str) -> dict[str, Any]:
    """Return what config.json would say, as far as the folders of a release say it; some of them have no config."""
    match = _PLACE.search(path)
    if not match:
        return {}
    size, tuned, kind, layer = match.groups()
    points = [point and f"model.layers.{int(layer)}.{point}" for point in _POINTS[kind]]
    named = dict(zip(("hf_hook_point_in", "hf_hook_point_out"), points, strict=True))
    return {"model_name": f"google/gemma-3-{size}-{tuned}", **named}


def whereabouts(config: ConfigFields) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return model and hooks as config.json says them, with phrases and warnings about what was concluded."""
    model = last_part(config.text("model_name"))
    if model:
        # TransformerLens' names: the smallest has no -pt, and early files write v3.
        model = re.sub(r"(270m)-pt$", r"\1", model.replace("-v3", "-3"))
    points = [config.text(name) for name in ("hf_hook_point_in", "hf_hook_point_out")]
    hooks = [hook_of(point, model_name=model) if point else None for point in points]
    metadata = {"model_name": model, "hook_name": hooks[0]}
    metadata |= {"hook_name_out": hooks[1]} if hooks[1] != hooks[0] else {}
    if not model:
        return metadata, (), ()
    metadata |= {"context_size": _CONTEXT, "prepend_bos": True}
    read = f"hook {hooks[0]} from {points[0]}" if hooks[0] else f"no hook of TransformerLens for {points[0]}"
    return metadata, (read, f"context {_CONTEXT} and a BOS token, as all of Gemma Scope 2"), norm_warning(hooks[0])


def summed(tensors: dict[str, np.ndarray], file: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Add up what a layer of a cross-layer transcoder writes to all layers. Raises BadDictionaryError."""
    if tensors["W_dec"].ndim != 3:
        raise BadDictionaryError(
            f"{file} is said to be of a cross-layer transcoder, and its decoder has shape {tensors['W_dec'].shape}; "
            "expected three axes (feature, layer, width). Check that config and weights belong together."
        )
    note = (
        "This is one layer of a cross-layer transcoder. Its decoder rows are sums over all layers that it writes to: "
        "they are for reading features, not for reconstruction, which is not shown."
    )
    return tensors | {"W_dec": tensors["W_dec"].sum(axis=1), "b_dec": _one_row(tensors["b_dec"])}, (note,)


def _one_row(b_dec: np.ndarray) -> np.ndarray:
    return b_dec.sum(axis=0) if b_dec.ndim == 2 else b_dec
