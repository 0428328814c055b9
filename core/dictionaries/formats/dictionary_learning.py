"""dictionary_learning (Marks, Karvonen and Mueller): ae.pt with config.json beside it, or a checkpoint's folder above.

Every class is read as its own `encode` and `decode` are written. Gated and JumpReLU dictionaries there
multiply activations by decoder norms, as folding does here. The hook comes from `submodule_name`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.dictionaries.formats import ALL_FITS, MAYBE, NAMES_FIT, NO, Contents, Place, last_part, layout, rename
from core.dictionaries.hooks import hook_of, norm_warning
from core.dictionaries.transcoders import without_input_bias
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.files.torch_saves import mentions, read_torch

NAME = "dictionary_learning"
TITLE = "config.json and ae.pt"
_WEIGHTS, _CONFIG, _ABOVE = "ae.pt", "config.json", "../config.json"
_LINEAR = {"W_enc": "encoder.weight.T", "b_enc": "encoder.bias", "W_dec": "decoder.weight.T"}
_OURS = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")}


@dataclass(frozen=True)
class _Kind:
    """How one of its classes is stored and which architecture computes the same."""

    architecture: str
    names: dict[str, str]
    subtracts: bool = True
    trained_as: str | None = None
    own: frozenset[str] = frozenset()
    """Further names in its file."""


_GATED = {"b_gate": "gate_bias", "b_mag": "mag_bias", "r_mag": "r_mag", "b_dec": "decoder_bias"}
_BATCH = {"W_enc": "encoder.weight.T", "b_enc": "encoder.bias", "W_dec": "decoder.weight.T", "b_dec": "b_dec"}
KINDS = {
    "AutoEncoder": _Kind("standard", _LINEAR | {"b_dec": "bias"}),
    "AutoEncoderNew": _Kind("standard", _LINEAR | {"b_dec": "decoder.bias"}, subtracts=False),
    "GatedAutoEncoder": _Kind("gated", {k: v for k, v in _LINEAR.items() if k != "b_enc"} | _GATED),
    "AutoEncoderTopK": _Kind("topk", _BATCH, own=frozenset({"k", "threshold"})),
    "BatchTopKSAE": _Kind(
        "jumprelu", _BATCH | {"threshold": "threshold"}, trained_as="batchtopk", own=frozenset({"k"})
    ),
    "MatryoshkaBatchTopKSAE": _Kind(
        "jumprelu", _OURS, trained_as="matryoshka_batchtopk", own=frozenset({"k", "group_sizes"})
    ),
    "JumpReluAutoEncoder": _Kind("jumprelu", _OURS, subtracts=False),
}
"""Its classes of one hook; crosscoders read several at once, for which sae-lens has no architecture."""
_TRANSCODERS = {"standard": "transcoder", "jumprelu": "jumprelu_transcoder", "topk": "topk_transcoder"}


def score(place: Place) -> int:
    """config.json with a trainer says it; without, a folder has ae.pt and a file the names of one of the classes."""
    name = place.file or _WEIGHTS
    if not name.endswith((".pt", ".pth")) or not place.may_read(name):
        return NO
    path = place.folder / name
    linear = mentions(path, "encoder.weight", "decoder.weight") and not mentions(path, "pre_bias")
    if not (linear or mentions(path, "W_enc", "W_dec")):
        return NO
    if isinstance(place.glance(_config(place)).get("trainer"), dict):
        return ALL_FITS
    return NAMES_FIT if linear or mentions(path, "threshold") else MAYBE


def files(place: Place) -> tuple[str, ...]:
    return tuple(name for name in (place.file or _WEIGHTS, _config(place)) if place.may_read(name))


def read(place: Place) -> Contents:
    """Read the class that the config names, or the one that the tensors fit. Raises BadDictionaryError."""
    path = place.need(place.file or _WEIGHTS)
    config = place.json(_config(place)) if place.may_read(_config(place)) else {}
    top = ConfigFields(config, place.folder / _config(place))
    trainer, buffer = top.group("trainer"), top.group("buffer")
    stored = read_torch(path)
    name, inferred = class_of(trainer.text("dict_class"), stored, path)
    kind = KINDS[name]
    tensors = with_threshold(kind, rename(stored, kind.names, path, spare=kind.own), path)
    metadata, more, notes = whereabouts(trainer, buffer)
    if metadata.get("hook_name_out"):
        kind, tensors = as_transcoder(kind, tensors, path)
    if (tensors.get("threshold", np.zeros(1)) < 0).all() and kind.trained_as:
        notes += (
            "Its threshold is negative, so it was never estimated (training was too short): features fire wherever "
            "their pre-activation is positive, more than in training.",
        )
    raw = layout(
        kind.architecture,
        tensors,
        path,
        metadata=metadata | {"training_architecture": kind.trained_as},
        d_in=trainer.whole("activation_dim"),
        d_sae=trainer.whole("dict_size"),
        k=k_of(stored, trainer) if "topk" in kind.architecture else None,
        apply_b_dec_to_input=kind.subtracts,
    )
    return Contents(raw, tensors, _config(place), inferred=inferred + more, notes=notes)


def class_of(said: str | None, stored: dict[str, Any], path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the name of the class, as the config says it or as the names in the file have it.

    Raises BadDictionaryError for a class that no architecture computes, and for names that fit none or several.
    """
    if said in KINDS:
        return said, (f"class {said} from config.json",)
    if said:
        raise BadDictionaryError(
            f"{path} holds a {said[:80]}, for which sae-lens has no architecture; expected one of {', '.join(KINDS)}. "
            "Choose another dictionary, or save this one as one of these."
        )
    there = set(stored)
    fitting = [
        name
        for name, kind in KINDS.items()
        if {theirs.removesuffix(".T") for theirs in kind.names.values()} <= there
        and there <= {theirs.removesuffix(".T") for theirs in kind.names.values()} | kind.own
    ]
    if len(fitting) != 1:
        raise BadDictionaryError(
            f"{path} has no config.json beside it, and its tensors ({', '.join(sorted(there))[:200]}) fit "
            f"{' and '.join(fitting) or 'no class of dictionary_learning'}. Expected a config.json that names its "
            "dict_class; copy the one it was saved with."
        )
    return fitting[0], (f"class {fitting[0]} from the names of its tensors",)


def with_threshold(kind: _Kind, tensors: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Give every feature the one threshold that BatchTopK dictionaries have; raise BadDictionaryError for more."""
    if not kind.trained_as:
        return tensors
    threshold = tensors["threshold"]
    if threshold.size != 1:
        raise BadDictionaryError(
            f"{path} has a threshold of shape {threshold.shape}; expected one number for all features, as in a "
            f"{kind.trained_as} dictionary. Check dict_class in its config.json."
        )
    return tensors | {"threshold": np.full(tensors["b_enc"].shape, threshold.item(), threshold.dtype)}


def k_of(stored: dict[str, Any], trainer: ConfigFields) -> int | None:
    """Return k as the weights hold it, else as the config says."""
    k = stored.get("k")
    if isinstance(k, np.ndarray) and k.size == 1 and np.issubdtype(k.dtype, np.integer):
        return int(k.item())
    return k if isinstance(k, int) else trainer.whole("k", needed=True)


def as_transcoder(kind: _Kind, tensors: dict[str, np.ndarray], path: Path) -> tuple[_Kind, dict[str, np.ndarray]]:
    """Return the transcoder of a class; the bias that it subtracts from its input becomes part of b_enc.

    Raises BadDictionaryError for a class of which there is no transcoder.
    """
    if kind.architecture not in _TRANSCODERS:
        raise BadDictionaryError(
            f"{path} is a {kind.architecture} dictionary trained from a module's input to its output; expected one of "
            f"{', '.join(_TRANSCODERS)}, as sae-lens has no such transcoder. Choose another."
        )
    moved = without_input_bias(tensors) if kind.subtracts and _fits(tensors) else tensors
    return replace(kind, architecture=_TRANSCODERS[kind.architecture], subtracts=False), moved


def _fits(tensors: dict[str, np.ndarray]) -> bool:
    # Other shapes are named when all tensors are checked.
    return tensors["W_enc"].ndim == 2 and tensors["W_enc"].shape == (*tensors["b_dec"].shape, *tensors["b_enc"].shape)


def whereabouts(trainer: ConfigFields, buffer: ConfigFields) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return model and hooks as config.json says them, with phrases and warnings about what was concluded."""
    model, name = last_part(trainer.text("lm_name")), trainer.text("submodule_name")
    layer = trainer.count("layer")
    metadata: dict[str, Any] = {"model_name": model, "context_size": buffer.whole("ctx_len")}
    side = buffer.one_of("io", {"in", "out", "in_and_out"}, default="out")
    sides = ("in", "out") if side == "in_and_out" else (side,)
    # Its own scripts train on the residual stream after a layer where they name no submodule.
    hooks = [hook_of(name or "resid_post", side, layer=layer, model_name=model) for side in sides]
    if None in hooks:
        return metadata, (), ()
    metadata |= dict(zip(("hook_name", "hook_name_out"), hooks, strict=False))
    source = f"submodule_name {name}" if name else "the layer alone"
    return metadata, (f"hook {' to '.join(hooks)} from {source}",), norm_warning(hooks[0])


def _config(place: Place) -> str:
    return _CONFIG if place.may_read(_CONFIG) else _ABOVE
