"""Gemma Scope's params.npz (Lieberum et al. 2024): JumpReLU weights; model, layer and place are in the path only."""

import re

import numpy as np

from core.dictionaries.formats import ALL_FITS, MAYBE, NAMES_FIT, NO, Contents, Place, layout, rename
from core.dictionaries.formats.sae_lens import drop_unit_scaling
from core.files.npz import array_names, read_npz

NAME = "gemma-scope"
TITLE = "params.npz"
_FILE = "params.npz"
_NAMES = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
_HOOKS = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}
_CONTEXT = 1024
_PHRASES = {"model": "model_name", "hook": "hook_name", "output": "hook_name_out"}
_REPOSITORY = re.compile(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)")


def score(place: Place) -> int:
    """An .npz file, by the arrays in it; in a folder, params.npz."""
    name = place.file or _FILE
    if not name.endswith(".npz") or not place.may_read(name):
        return NO
    there = {array.lower() for array in array_names(place.folder / name)}
    if not {"w_enc", "w_dec"} <= there:
        return NO
    return ALL_FITS if "threshold" in there else NAMES_FIT if name == _FILE else MAYBE


def files(place: Place) -> tuple[str, ...]:
    return (place.file or _FILE,)


def read(place: Place) -> Contents:
    """Read the weights, and from the path what dictionary it is. Raises BadDictionaryError."""
    path = place.need(place.file or _FILE)
    arrays = drop_unit_scaling({ours(name): array for name, array in read_npz(path).items()}, path)
    tensors = rename(arrays, {name: name for name in _NAMES}, path)
    metadata, inferred, transcodes = from_path(path.as_posix())
    notes = ()
    if metadata["hook_name"] == "hook_embed":
        tensors, notes = scale_embedding(tensors)
    raw = layout(
        "jumprelu_transcoder" if transcodes else "jumprelu",
        tensors,
        path,
        metadata=metadata,
        apply_b_dec_to_input=False,
    )
    return Contents(raw, tensors, path.name, inferred=inferred, notes=notes)


def ours(name: str) -> str:
    """Return our name of an array: files use both w_enc and W_enc."""
    return "W_" + name[2:] if name.lower().startswith("w_") else name


def from_path(path: str) -> tuple[dict[str, object], tuple[str, ...], bool]:
    """Return model and hooks as far as a path says them, as phrases too, and whether it is a transcoder's."""
    repository = _REPOSITORY.search(path)
    layer = re.search(r"(?:^|/)(?:layer_(\d+)|(embedding))(?:/|$)", path)
    metadata: dict[str, object] = {"hook_name": None}
    if repository:
        size, tuned, kind = repository.groups()
        metadata |= {"prepend_bos": True, "context_size": _CONTEXT}
        metadata["model_name"] = f"gemma-2-{size}" + ("-it" if tuned == "it" else "")
        if layer and layer[2]:
            metadata["hook_name"] = "hook_embed"
        elif layer and kind == "transcoders":
            metadata["hook_name"] = f"blocks.{int(layer[1])}.ln2.hook_normalized"
            metadata["hook_name_out"] = f"blocks.{int(layer[1])}.hook_mlp_out"
        elif layer:
            metadata["hook_name"] = f"blocks.{int(layer[1])}.{_HOOKS[kind]}"
    said = [f"{what} {metadata[name]}" for what, name in _PHRASES.items() if metadata.get(name)]
    inferred = (f"{', '.join(said)} from the path", f"context {_CONTEXT} and a BOS token, as all of Gemma Scope")
    return metadata, inferred if repository else (), bool(repository and repository[3] == "transcoders")


def scale_embedding(tensors: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Turn a dictionary of raw embeddings into one at hook_embed, whose vectors are sqrt(d_in) times as long."""
    factor = np.float32(np.sqrt(tensors["b_dec"].size))
    scaled = {
        "W_enc": tensors["W_enc"] / factor,
        "W_dec": tensors["W_dec"] * factor,
        "b_dec": tensors["b_dec"] * factor,
    }
    note = (
        f"This dictionary was trained on embeddings before Gemma scales them by sqrt(d_in) = {factor:.4g}. Its weights "
        "were scaled here, so that it reads and writes the scaled embeddings at hook_embed."
    )
    return tensors | scaled, (note,)
