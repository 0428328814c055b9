"""Llama Scope (He et al. 2024) and what its library, Llamascopium, saves: W_E, b_E, W_D and b_D with a config.

The published dictionaries have hyperparams.json and checkpoints/final.safetensors; later ones config.json and
sae_weights.safetensors. Inputs there are scaled to an average length of sqrt(d_model), which is folded into the
weights here: what comes out is what its `encode`, `decode` and scaling back give.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from core.dictionaries.accounting import unread_note
from core.dictionaries.formats import ALL_FITS, NAMES_FIT, NO, Contents, Place, Said, last_part, layout, rename
from core.dictionaries.formats.stored import read_stored
from core.dictionaries.hooks import hook_in_config
from core.dictionaries.weights import check_numbers
from core.errors import BadDictionaryError
from core.files.fields import LARGEST_NUMBER, ConfigFields
from core.files.tensors import tensor_names
from core.files.torch_saves import mentions

NAME = "llama-scope"
TITLE = "config.json and sae_weights.safetensors, or hyperparams.json and checkpoints/final.safetensors"
PUBLISHED, PUBLISHED_WEIGHTS = "hyperparams.json", "checkpoints/final.safetensors"
"""The files of the dictionaries of 2024."""
_WEIGHTS = ("sae_weights.safetensors", "checkpoints/final.safetensors", "checkpoints/pruned.safetensors")
_CONFIGS = ("config.json", PUBLISHED, "../config.json", f"../{PUBLISHED}")
_MODEL_FILES = ("lm_config.json", "../lm_config.json")
_OURS = {"W_enc": "W_E", "b_enc": "b_E", "W_dec": "W_D"}
_LINEAR = {"W_enc": "encoder.weight.T", "b_enc": "encoder.bias", "W_dec": "decoder.weight.T"}
_THRESHOLDS = ("log_jumprelu_threshold", "activation_function.log_jumprelu_threshold")
_LENGTH = "dataset_average_activation_norm"
_KINDS = {"relu": "standard", "jumprelu": "jumprelu", "topk": "topk", "batchtopk": "topk"}
_TRANSCODERS = {"standard": "transcoder", "jumprelu": "jumprelu_transcoder", "topk": "topk_transcoder"}
_SCALINGS = {"none": "none", "inference": "none", "dataset-wise": "none", "token-wise": "constant_norm_rescale"}
_OF_ITS_CONFIG = {"act_fn", "norm_activation", "sparsity_include_decoder_norm", "hook_point_in"}
_PATH, _PUBLISHED_MODEL = re.compile(r"Llama3_1-8B-Base"), "Llama-3.1-8B"
_UNREAD = (
    *("d_sae", "expansion_factor", "use_decoder_bias", "sae_type", "init_encoder_norm", "init_decoder_norm"),
    *("strict_loading", "use_triton_kernel", "sparsity_threshold_for_triton_spmm_kernel", "hook_point_out", "top_k"),
    *("jumprelu_threshold_window", "sae_pretrained_name_or_path", "force_unit_decoder_norm", "tp_size"),
    *("jump_relu_threshold", "norm_activation", "init_encoder_with_decoder_transpose", "decoder_exactly_fixed_norm"),
    *("use_ghost_grads", "apply_decoder_bias_to_pre_encoder", _LENGTH),
)
"""Keys that are used elsewhere here, or that only training needs."""


def score(place: Place) -> int:
    """By the names in the file; those of two linear layers are shared, so the config must be of this library too."""
    name = _weights(place)
    if name is None:
        return NO
    said = place.glance(_config(place))
    config = said.keys()
    if said.get("sae_type") == "crosscoder":
        return NO
    if _has(place, name, "W_E", "W_D"):
        return ALL_FITS if config & _OF_ITS_CONFIG else NAMES_FIT
    linear = _has(place, name, "encoder.weight", "decoder.weight")
    return ALL_FITS if linear and len(config & _OF_ITS_CONFIG) > 1 else NO


def files(place: Place) -> tuple[str, ...]:
    names = (_weights(place), _config(place), *_MODEL_FILES)
    return tuple(name for name in names if name and place.may_read(name))


def read(place: Place) -> Contents:
    """Read weights and config; what scales its inputs becomes part of the weights. Raises BadDictionaryError."""
    name, file = _weights(place) or _WEIGHTS[0], _config(place)
    path = place.need(name)
    config = ConfigFields(place.json(file) if place.may_read(file) else {}, place.folder / file)
    _check(config)
    stored = read_stored(path)
    kind = config.one_of("act_fn", set(_KINDS), default="jumprelu" if _threshold(stored.arrays) else "relu")
    hooks = _hooks(config)
    tensors = _renamed(stored.arrays, path, biased=config.flag("use_decoder_bias", default=True))
    lengths = {key: value.item() for key, value in stored.arrays.items() if key.startswith(_LENGTH) and value.size == 1}
    factors, notes = _factors(config, lengths, tensors["b_dec"].size)
    threshold = _thresholds(config, stored.arrays, tensors, kind)
    architecture, published = "jumprelu" if threshold is not None else _KINDS[kind], file.endswith(PUBLISHED)
    subtracts = config.flag("apply_decoder_bias_to_pre_encoder", default=False)
    tensors, length = _folded(tensors, factors, published=published, subtracts=subtracts)
    by_length = config.flag("sparsity_include_decoder_norm", default=True)
    length = length if by_length else np.ones_like(length)
    tensors = _gated(tensors, length, threshold, unit=by_length and (published or architecture == "topk"))
    transcodes = len(hooks) == 2
    metadata, inferred = _whereabouts(place, hooks)
    scaling = config.one_of("norm_activation", set(_SCALINGS), default="dataset-wise")
    if _SCALINGS[scaling] != "none" and transcodes:
        raise config.bad(
            "norm_activation", "dataset-wise or inference for a transcoder, whose output has its own length"
        )
    k = config.whole("top_k") if architecture == "topk" else None
    if kind == "batchtopk" and architecture == "topk":
        notes += (
            f"It was trained to keep {k} features a token on average over a batch, and has no threshold. Here it keeps "
            f"exactly {k} on every token, so tokens differ from training.",
        )
    raw = layout(
        _TRANSCODERS[architecture] if transcodes else architecture,
        tensors,
        path,
        metadata=metadata | ({"training_architecture": kind} if kind == "batchtopk" else {}),
        d_in=config.whole("d_model"),
        k=place.settings.get("k", k) if architecture == "topk" else None,
        apply_b_dec_to_input=False,
        normalize_activations="expected_average_only_in" if factors is None else _SCALINGS[scaling],
    )
    for known in _UNREAD:
        config.value(known)
    return Contents(raw, tensors, file, inferred=stored.inferred + inferred, notes=notes + unread_note(file, config))


def said(place: Place) -> Said:
    """Return what the config says. Raises BadDictionaryError."""
    file = _config(place)
    config = ConfigFields(place.json(file) if place.may_read(file) else {}, place.folder / file)
    hooks = _hooks(config)
    kind = _KINDS.get(config.text("act_fn") or "")
    if kind == "topk" and _number(config, "jump_relu_threshold"):
        kind = "jumprelu"
    factor, width = _number(config, "expansion_factor"), config.whole("d_model") or 0
    return Said(
        kind=_TRANSCODERS[kind] if kind and len(hooks) == 2 else kind,
        d_sae=config.whole("d_sae") or int(factor * width) or None,
        hook_name=hooks[0] if hooks else None,
        model_name=_whereabouts(place, hooks)[0].get("model_name"),
        k=config.whole("top_k") if kind == "topk" else None,
    )


def _weights(place: Place) -> str | None:
    if place.file:
        return place.file if place.file.endswith((".safetensors", ".pt")) and place.may_read(place.file) else None
    return next((name for name in _WEIGHTS if place.may_read(name)), None)


def _config(place: Place) -> str:
    return next((name for name in _CONFIGS if place.glance(name).keys() & _OF_ITS_CONFIG), _CONFIGS[0])


def _has(place: Place, name: str, *tensors: str) -> bool:
    path = place.folder / name
    return mentions(path, *tensors) if path.suffix == ".pt" else set(tensors) <= set(tensor_names(path))


def _check(config: ConfigFields) -> None:
    """Raise BadDictionaryError for what no architecture here computes."""
    config.one_of("sae_type", {"sae"}, default="sae")
    if config.flag("use_glu_encoder", default=False):
        raise config.bad("use_glu_encoder", "false: nothing here runs an encoder with a second product")


def _hooks(config: ConfigFields) -> tuple[str, ...]:
    """Return the hook that it reads, with the one that it writes to where that is another."""
    points = [config.name(name) for name in ("hook_point_in", "hook_point_out")]
    return tuple(dict.fromkeys(hook_in_config(point, None) for point in points if point))


def _whereabouts(place: Place, hooks: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return model and hooks, with phrases on what was concluded: the config of a dictionary names no model."""
    metadata = dict(zip(("hook_name", "hook_name_out"), hooks, strict=False))
    beside = next((name for name in _MODEL_FILES if place.may_read(name)), None)
    said = ConfigFields(place.glance(beside) if beside else {}, place.folder / (beside or ""))
    model = last_part(said.text("model_name"))
    if model:
        bos = said.flag("prepend_bos", default=True)
        return metadata | {"model_name": model, "prepend_bos": bos}, (f"model {model} from {beside}",)
    if _PATH.search(place.path.as_posix()):
        published = {"model_name": _PUBLISHED_MODEL, "prepend_bos": True, "context_size": 1024}
        return metadata | published, (f"model {_PUBLISHED_MODEL}, context 1024 and a BOS token from the path",)
    return metadata, ()


def _renamed(arrays: dict[str, np.ndarray], path: Path, *, biased: bool) -> dict[str, np.ndarray]:
    names = _OURS if "W_E" in arrays else _LINEAR
    names = names | ({"b_dec": "b_D" if "W_E" in arrays else "decoder.bias"} if biased else {})
    spare = [name for name in arrays if name.startswith(_LENGTH) or name in _THRESHOLDS]
    tensors = rename(arrays, names, path, spare=spare)
    shapes = [tensors[name].shape for name in ("W_enc", "W_dec")]
    tensors = {"b_dec": np.zeros(shapes[1][-1:], np.float32)} | tensors
    if any(len(shape) != 2 for shape in shapes) or shapes[0] != shapes[1][::-1]:
        raise BadDictionaryError(
            f"{path} holds an encoder and a decoder of shapes {shapes[0]} and {shapes[1]}; expected two axes each, and "
            "the same two lengths. Check that it is one dictionary."
        )
    if (tensors["b_enc"].shape, tensors["b_dec"].shape) != (shapes[0][1:], shapes[0][:1]):
        raise BadDictionaryError(
            f"{path} holds biases of shapes {tensors['b_enc'].shape} and {tensors['b_dec'].shape} with an encoder of "
            f"shape {shapes[0]}; expected {shapes[0][1:]} and {shapes[0][:1]}. Check that it is whole."
        )
    return tensors


def _number(config: ConfigFields, name: str) -> float:
    """Return a number, 0 where it is unsaid. Raises BadDictionaryError."""
    value = config.value(name)
    if value is None or (type(value) in (int, float) and abs(value) <= LARGEST_NUMBER):
        return float(value or 0)
    raise config.bad(name, f"a number up to {LARGEST_NUMBER:,}")


def _factors(
    config: ConfigFields, lengths: dict[str, float], d_model: int
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return by what inputs are multiplied, and by what outputs were: sqrt(d_model) over the average length.

    None where inputs are scaled and nothing says by how much, with a note.
    """
    if config.one_of("norm_activation", set(_SCALINGS), default="dataset-wise") != "dataset-wise":
        return (1.0, 1.0), ()
    points, beside = [config.text(f"hook_point_{side}") for side in ("in", "out")], config.group(_LENGTH)
    said = [
        lengths.get(f"{_LENGTH}.{point}") or _number(beside, side)
        for point, side in zip(points, ("in", "out"), strict=True)
    ]
    said[1] = said[1] or (said[0] if points[0] == points[1] or not points[1] else 0)
    if all(0 < length < np.inf for length in said):
        return (d_model**0.5 / said[0], d_model**0.5 / said[1]), ()
    return None, (
        "This dictionary was trained on inputs scaled to a certain average length, and its files do not say by how "
        f"much ({_LENGTH}), so activations and scores may be wrong. Save it with fold_activation_scale, or compare its "
        "L0 with the published one.",
    )


def _threshold(arrays: dict[str, np.ndarray]) -> str | None:
    return next((name for name in _THRESHOLDS if name in arrays), None)


def _thresholds(
    config: ConfigFields, arrays: dict[str, np.ndarray], tensors: dict[str, np.ndarray], kind: str
) -> Float[np.ndarray, " d_sae"] | None:
    """Return the threshold of each feature, of which the file holds logarithms or the config one for all.

    Raises BadDictionaryError for a JumpReLU dictionary without any.
    """
    one = _number(config, "jump_relu_threshold")
    if name := _threshold(arrays):
        check_numbers(name, arrays[name])
        if arrays[name].shape not in ((), tensors["b_enc"].shape):
            raise BadDictionaryError(
                f"{name} has shape {arrays[name].shape}; expected {tensors['b_enc'].shape}, one number for each "
                "feature, or one for all. Check that the file is whole."
            )
        with np.errstate(over="ignore"):  # what is not finite then is named when all tensors are checked
            return np.broadcast_to(np.exp(arrays[name]), tensors["b_enc"].shape)
    # The published TopK dictionaries run by this threshold.
    if one > 0 and kind in ("jumprelu", "topk"):
        return np.full(tensors["b_enc"].shape, one, np.float32)
    if kind == "jumprelu":
        raise config.bad("jump_relu_threshold", f"a positive number, or a tensor {_THRESHOLDS[0]} in the weights")
    return None


def _folded(
    tensors: dict[str, np.ndarray], factors: tuple[float, float] | None, *, published: bool, subtracts: bool
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, " d_sae"]]:
    """Fold the scaling, and a bias subtracted from the input, into the weights; with the length of each decoder row.

    Activations of published dictionaries count in units of the input, those of later ones in units of the scaled one.
    """
    W_E, b_E, W_D, b_D = (tensors[name].astype(np.float64) for name in ("W_enc", "b_enc", "W_dec", "b_dec"))
    read, written = factors or (1.0, 1.0)
    moved = b_D @ W_E if subtracts else 0.0
    if published:
        W_D = W_D * (read / written)
        return {"W_enc": W_E, "b_enc": b_E / read - moved / written, "W_dec": W_D, "b_dec": b_D / written}, _rows(W_D)
    folded = {"W_enc": W_E * read, "b_enc": b_E - moved, "W_dec": W_D / written, "b_dec": b_D / written}
    return folded, _rows(W_D)


def _rows(W_D: Float[np.ndarray, "d_sae d"]) -> Float[np.ndarray, " d_sae"]:
    length = np.linalg.norm(W_D, axis=1)
    return np.where(length > 0, length, 1.0)


def _gated(
    tensors: dict[str, np.ndarray], length: Float[np.ndarray, " d_sae"], threshold: np.ndarray | None, *, unit: bool
) -> dict[str, np.ndarray]:
    """Let features compete by pre-activations times the length of their decoder rows, as they do there.

    With `unit` activations take up that length; else the thresholds do.
    """
    if unit:
        tensors = tensors | {name: tensors[name] * length for name in ("W_enc", "b_enc")}
        tensors["W_dec"] = tensors["W_dec"] / length[:, None]
    if threshold is not None:
        tensors = tensors | {"threshold": threshold if unit else threshold / length}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}
