"""Cross-layer transcoders (Ameisen et al. 2025) as circuit-tracer and Gemma Scope 2 save them: each layer by itself.

Features of layer i read there and write to every layer from i on. One target is looked at: with all layers that write
to it, of which feature layer * n + j is feature j of a layer, or with one of them alone.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.dictionaries.accounting import unread_note
from core.dictionaries.formats import ALL_FITS, NO, Contents, Place, Said, last_part, layout, rename
from core.dictionaries.hooks import hook_in_config, norm_warning
from core.dictionaries.origin import Choice
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.files.tensors import read_at, read_tensors, tensor_shapes

NAME = "cross-layer"
TITLE = "W_enc_0.safetensors and W_dec_0.safetensors of every layer, or params_layer_0.safetensors"
_MOST_LAYERS = 1_000
_CONFIGS = ("config.yaml", "config.json")
_GEMMA = re.compile(r"gemma-scope-2-(\d+[mb])-(pt|it)(?:/|$)")
_IN, _OUT = "pre_feedforward_layernorm.output", "post_feedforward_layernorm.output"


@dataclass(frozen=True)
class _Layout:
    """How one library names files and tensors; {} stands for the layer, .T for a transposed tensor."""

    encoder: str
    decoder: str
    names: dict[str, str]
    W_dec: str
    from_own_layer: bool
    """Whether the decoder's first target is the layer itself, or layer 0."""


_LAYOUTS = (
    _Layout(
        "W_enc_{}.safetensors",
        "W_dec_{}.safetensors",
        {"W_enc": "W_enc_{}.T", "b_enc": "b_enc_{}", "b_dec": "b_dec_{}", "threshold": "threshold_{}"},
        "W_dec_{}",
        True,
    ),
    _Layout(
        "params_layer_{}.safetensors",
        "params_layer_{}.safetensors",
        {
            "W_enc": "w_enc",
            "b_enc": "b_enc",
            "b_dec": "b_dec",
            "threshold": "threshold",
            "W_skip": "affine_skip_connection.T",
        },
        "w_dec",
        False,
    ),
)
_OPTIONAL = ("threshold", "W_skip")


def score(place: Place) -> int:
    """A folder with the files of layer 0, whose decoder has three axes."""
    return NO if place.file or _layout(place) is None else ALL_FITS


def files(place: Place) -> tuple[str, ...]:
    how, wanted = _wanted(place)
    names = [name.format(i) for i in wanted.sources for name in (how.encoder, how.decoder)]
    names += [] if wanted.target is None else [how.encoder.format(wanted.target)]
    return tuple(dict.fromkeys([*names, *(name for name in _CONFIGS if place.may_read(name))]))


def nbytes(place: Place) -> int:
    """Return what the weights need in memory: of a decoder, one target is read."""
    how, wanted = _wanted(place)
    shape = tensor_shapes(place.need(how.decoder.format(wanted.sources[0]))).get(how.W_dec.format(wanted.sources[0]))
    return 8 * len(wanted.sources) * shape[0] * shape[-1] if shape else 0


@dataclass(frozen=True)
class _Wanted:
    """What of the folder is looked at."""

    n_layers: int
    sources: tuple[int, ...]
    target: int | None
    """None: the decoders of the one source, added up."""


def read(place: Place) -> Contents:
    """Read the layers that are looked at. Raises BadDictionaryError."""
    how, wanted = _wanted(place)
    parts = [_layer(place, how, layer, wanted) for layer in wanted.sources]
    tensors = {
        "W_enc": np.concatenate([part["W_enc"] for part in parts], axis=1),
        "W_dec": np.concatenate([part["W_dec"] for part in parts]),
        "b_enc": np.concatenate([part["b_enc"] for part in parts]),
        "b_dec": _bias(place, how, wanted, parts),
    }
    if "threshold" in parts[0]:
        tensors["threshold"] = np.concatenate([part["threshold"] for part in parts])
    whole = wanted.sources == tuple(range((wanted.target or 0) + 1)) and wanted.target is not None
    if "W_skip" in parts[-1] and whole:
        tensors["W_skip"] = parts[-1]["W_skip"]
    metadata, inferred, notes = _whereabouts(place, wanted)
    kind = "jumprelu_" * ("threshold" in tensors) + "skip_" * ("W_skip" in tensors) + "transcoder"
    raw = layout(
        kind,
        tensors,
        place.need(how.encoder.format(wanted.sources[0])),
        metadata=metadata | {"training_architecture": "cross_layer_transcoder", "reconstructs": whole},
        apply_b_dec_to_input=False,
    )
    return Contents(
        raw, tensors, _config(place), inferred=inferred, notes=notes + _note(wanted), choices=_choices(wanted)
    )


def said(place: Place) -> Said:
    """Return what the config and the shapes say. Raises BadDictionaryError."""
    how, wanted = _wanted(place)
    metadata, _, _ = _whereabouts(place, wanted)
    first = wanted.sources[0]
    shape = tensor_shapes(place.need(how.encoder.format(first))).get(how.names["b_enc"].format(first))
    return Said(
        kind="cross_layer_transcoder",
        d_sae=len(wanted.sources) * shape[0] if shape else None,
        hook_name=metadata.get("hook_name"),
        model_name=metadata.get("model_name"),
    )


def _layout(place: Place) -> _Layout | None:
    for how in _LAYOUTS:
        names = (how.encoder.format(0), how.decoder.format(0))
        if all(place.may_read(name) for name in names):
            shape = tensor_shapes(place.folder / names[1]).get(how.W_dec.format(0), ())
            if len(shape) == 3:
                return how
    return None


def _wanted(place: Place) -> tuple[_Layout, _Wanted]:
    """Return the layout, and which layers and target the settings behind the path ask for; raise BadDictionaryError."""
    how = _layout(place)
    if how is None:
        raise BadDictionaryError(
            f"{place.folder} holds no cross-layer transcoder. Expected {TITLE}, with a decoder of three axes; choose "
            "the folder that directly contains them."
        )
    n = next(i for i in range(_MOST_LAYERS + 1) if i == _MOST_LAYERS or not place.may_read(how.encoder.format(i)))
    layer, target = (place.settings.get(name) for name in ("layer", "target"))
    for name, value, first in (("layer", layer, 0), ("target", target, layer or 0)):
        if value is not None and not first <= value < n:
            raise BadDictionaryError(
                f"{place.folder} has {n} layers, and {name} {value} is none that "
                f"{'a feature of layer ' + str(layer) + ' writes to' if first else 'it has'}; expected {first} to "
                f"{n - 1}. Correct it after the #."
            )
    if layer is not None:
        return how, _Wanted(n, (layer,), target)
    target = n - 1 if target is None else target
    return how, _Wanted(n, tuple(range(target + 1)), target)


def _layer(place: Place, how: _Layout, layer: int, wanted: _Wanted) -> dict[str, np.ndarray]:
    """Return one layer's tensors, with its decoder for the target, or the sum of its decoders."""
    encoder, decoder = place.need(how.encoder.format(layer)), place.need(how.decoder.format(layer))
    name = how.W_dec.format(layer)
    there = tensor_shapes(encoder)
    ours = {key: theirs.format(layer) for key, theirs in how.names.items()}
    ours = {key: theirs for key, theirs in ours.items() if key not in _OPTIONAL or theirs.removesuffix(".T") in there}
    arrays = read_tensors(encoder, [other for other in there if other != name])
    tensors = rename(arrays, ours, encoder)
    if wanted.target is not None:
        first = layer if how.from_own_layer else 0
        return _fitting(tensors | {"W_dec": read_at(decoder, name, wanted.target - first)}, encoder)
    whole = read_tensors(decoder, [name])[name]
    later = whole if how.from_own_layer else whole[:, layer:]
    return _fitting(tensors | {"W_dec": later.sum(axis=1)}, encoder)


def _fitting(tensors: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a layer; raise BadDictionaryError unless their shapes go together."""
    n, d = tensors["W_dec"].shape if tensors["W_dec"].ndim == 2 else (0, 0)
    expected = {"W_enc": (d, n), "b_enc": (n,), "threshold": (n,), "b_dec": (d,), "W_skip": (d, d)}
    for name, shape in expected.items():
        if name in tensors and tensors[name].shape != shape:
            raise BadDictionaryError(
                f"{name} in {path} has shape {tensors[name].shape}; expected {shape} from the decoder's {n:,} features "
                f"of width {d:,}. Check that the files are of one transcoder."
            )
    return tensors


def _bias(place: Place, how: _Layout, wanted: _Wanted, parts: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Return the bias of the target layer, which lies with that layer's encoder; of a sum, that of the layer itself."""
    if wanted.target is None or wanted.target == wanted.sources[-1]:
        return parts[-1]["b_dec"]
    path, name = place.need(how.encoder.format(wanted.target)), how.names["b_dec"].format(wanted.target)
    return rename(read_tensors(path, [name]), {"b_dec": name}, path)["b_dec"]


def _config(place: Place) -> str:
    return next((name for name in _CONFIGS if place.may_read(name)), _CONFIGS[0])


def _whereabouts(place: Place, wanted: _Wanted) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return model and hooks as config.yaml, or the folders of Gemma Scope 2, say them, with phrases and warnings."""
    name, sources = _config(place), wanted.sources
    raw = (place.yaml if name.endswith("yaml") else place.json)(name) if place.may_read(name) else {}
    config = ConfigFields(raw, place.folder / name)
    model, points = (
        last_part(config.text("model_name")),
        [config.text(f"feature_{s}_hook") for s in ("input", "output")],
    )
    of_gemma = _GEMMA.search(place.path.as_posix())
    inferred: tuple[str, ...] = ()
    if of_gemma and not all(points):
        model = model or f"gemma-3-{of_gemma[1]}" + ("" if of_gemma[1] == "270m" else f"-{of_gemma[2]}")
        places, inferred = ("model.layers.{}." + _IN, "model.layers.{}." + _OUT), ("model and hooks from the path",)
    else:
        places = tuple(f"blocks.{{}}.{point}" if point else "" for point in points)
    read = [hook_in_config(places[0].format(layer), model) for layer in sources] if places[0] else []
    metadata: dict[str, Any] = {"model_name": model, "hook_name": read[-1] if read else None}
    metadata |= {"target_layer": wanted.target, "feature_blocks": len(sources)}
    metadata |= {"read_hooks": read} if len(read) > 1 else {}
    if places[1]:
        to = wanted.target if wanted.target is not None else sources[0]
        metadata["hook_name_out"] = hook_in_config(places[1].format(to), model)
    for known in ("model_kind", "scan", "repo_id", "type", "architecture", "l0", "width", "affine_connection"):
        config.value(known)
    return metadata, inferred, norm_warning(metadata["hook_name"]) + unread_note(name, config)


def _note(wanted: _Wanted) -> tuple[str, ...]:
    """Say on every page what the decoder rows are."""
    last = wanted.n_layers - 1
    if wanted.target is None:
        return (
            f"These are the features of layer {wanted.sources[0]} of a cross-layer transcoder. Their decoder rows are "
            f"sums over layers {wanted.sources[0]} to {last}, to which they write: they are for reading features, not "
            f"for reconstruction, which is not shown. Write #layer={wanted.sources[0]}&target={last} behind the path "
            "for one target.",
        )
    if len(wanted.sources) > 1 or wanted.target == 0:
        return ()
    return (
        f"These are the features of layer {wanted.sources[0]} alone, with what they write to layer {wanted.target} of "
        f"a cross-layer transcoder. Layers 0 to {wanted.target} write there together, so nothing is reconstructed.",
    )


def _choices(wanted: _Wanted) -> tuple[Choice, ...]:
    """Return what else of the folder can be looked at."""
    alone = len(wanted.sources) == 1 and (wanted.target != 0)
    layers = {"": "all layers that write there"} | {str(i): f"layer {i}" for i in range(wanted.n_layers)}
    first = wanted.sources[0] if alone else 0
    targets = {str(i): f"layer {i}" for i in range(first, wanted.n_layers)}
    if alone:
        targets = {"": "sum over later layers"} | targets
    return (
        Choice("layer", "Features of", layers, str(wanted.sources[0]) if alone else "", "Where the features read."),
        Choice(
            "target",
            "Decoder rows for",
            targets,
            "" if wanted.target is None else str(wanted.target),
            "The layer whose output the decoder rows are added to.",
        ),
    )
