"""Reads weights from files: unwraps checkpoints, removes prefixes of names, and transposes matrices if needed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.dictionaries.weights import encoder_fits
from core.errors import BadDictionaryError
from core.files.npz import array_names, read_npz
from core.files.tensors import read_tensors, tensor_names
from core.files.torch_saves import read_torch

MOST_TENSORS = 2_000
"""A dictionary has about a dozen; a temporal one some more for each attention layer."""
_WEIGHTS = (
    "state_dict",
    "model_state_dict",
    "sae_state_dict",
    "sae",
    "ae",
    "autoencoder",
    "model",
    "weights",
    "params",
)
_CONFIGS = ("cfg", "config", "hparams", "hyper_parameters", "hyperparameters", "args", "sae_cfg", "sae_config")
_WRAPPERS = ("_orig_mod", "module", "model", "sae", "ae", "autoencoder", "net", "dictionary", "_forward_module")
_ANYWHERE = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_LINEAR = re.compile(r"^(?:(enc)|(dec))(?:oder|ode)?(?:_linear|\.linear|\.0)?\.(weight|bias)$")


@dataclass(frozen=True)
class Stored:
    """What a file of weights holds."""

    arrays: dict[str, np.ndarray]
    values: dict[str, Any] = field(default_factory=dict)
    """Other values beside the arrays, such as an activation's name or a k."""
    config: dict[str, Any] = field(default_factory=dict)
    """The config that was saved in the same file."""
    inferred: tuple[str, ...] = ()
    """What was unwrapped, removed or turned, one phrase each."""


def read_stored(path: Path) -> Stored:
    """Read a .pt, .npz or .safetensors file; raise BadDictionaryError for one that is damaged or holds no one dict."""
    if path.suffix == ".npz":
        _check_number(len(array_names(path)), path)
        found = Stored(read_npz(path))
    elif path.suffix == ".safetensors":
        _check_number(len(tensor_names(path)), path)
        found = Stored(read_tensors(path))
    else:
        found = _unwrapped(read_torch(path), path)
    _check_number(len(found.arrays), path)
    return _bare(found, path)


def _check_number(n: int, path: Path) -> None:
    if n > MOST_TENSORS:
        raise BadDictionaryError(
            f"{path} holds {n:,} tensors; expected at most {MOST_TENSORS:,}. Choose the file of one dictionary."
        )


def _unwrapped(content: Mapping[str, Any], path: Path) -> Stored:
    """Take the weights out of a checkpoint {state_dict: ..., cfg: ...}; a plain state dict does not change."""
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    values = {name: value for name, value in content.items() if not isinstance(value, np.ndarray)}
    inside = {name: value for name, value in values.items() if _holds_weights(value)}
    deeper = [
        value for value in values.values() if isinstance(value, dict) and any(map(_holds_weights, value.values()))
    ]
    if not arrays and not inside and len(deeper) == 1:
        return _unwrapped(deeper[0], path)
    if any(array.ndim > 1 for array in arrays.values()) or not inside:
        config = _config_in(values)
        return Stored(arrays, values, config)
    known = [name for name in _WEIGHTS if name in inside]
    if len(inside) > 1 and not known:
        raise BadDictionaryError(
            f"{path} holds several sets of tensors ({', '.join(map(str, inside))[:200]}); expected the weights of one "
            "dictionary. Save one of them alone with torch.save."
        )
    name = known[0] if known else next(iter(inside))
    weights = inside[name]
    within = {key: value for key, value in weights.items() if isinstance(value, np.ndarray)}
    beside = {key: value for key, value in weights.items() if not isinstance(value, np.ndarray)}
    # A mean or a scale beside the weights is part of what the dictionary computes.
    outer = {key: value for key, value in arrays.items() if key not in within and value.size > 1}
    numbers = {key: value.item() for key, value in arrays.items() if value.size == 1}
    rest = {key: value for key, value in values.items() if key not in inside}
    # Only weights have prefixes; the values beside them have none.
    inner = _bare(Stored(within), path)
    found = Stored(inner.arrays | outer, numbers | rest | beside, _config_in(rest) | _config_in(beside), inner.inferred)
    return _with(found, f"weights from {name!r} inside the file")


def _holds_weights(value: object) -> bool:
    return isinstance(value, dict) and sum(isinstance(v, np.ndarray) and v.ndim > 0 for v in value.values()) > 1


def _config_in(values: Mapping[str, Any]) -> dict[str, Any]:
    found = [values[name] for name in _CONFIGS if isinstance(values.get(name), dict)]
    return {str(name): value for name, value in found[0].items()} if found else {}


def _bare(found: Stored, path: Path) -> Stored:
    """Remove prefixes of compilers and wrappers. Raises BadDictionaryError if two names become equal."""
    names = {name: _ANYWHERE.sub("", name) for name in found.arrays}
    while (first := {name.partition(".")[0] for name in names.values()}) and len(first) == 1:
        (word,) = first
        if word not in _WRAPPERS or not all("." in name for name in names.values()):
            break
        names = {name: bare.partition(".")[2] for name, bare in names.items()}
    taken = sorted({name[: len(name) - len(bare)] for name, bare in names.items() if name.endswith(bare)} - {""})
    names = {name: _LINEAR.sub(_linear, bare) for name, bare in names.items()}
    if len(set(names.values())) < len(names):
        raise BadDictionaryError(
            f"{path} holds tensors under names that mean the same ({', '.join(sorted(names))[:200]}). Expected one of "
            "each; save the dictionary's own state_dict() alone."
        )
    arrays = {names[name]: array for name, array in found.arrays.items()}
    bare = Stored(arrays, found.values, found.config, found.inferred)
    return _with(bare, f"{', '.join(taken)[:80]} taken off the names of the tensors") if taken else bare


def _linear(match: re.Match) -> str:
    return f"{'encoder' if match[1] else 'decoder'}.{match[3]}"


def _with(found: Stored, phrase: str) -> Stored:
    return Stored(found.arrays, found.values, found.config, (*found.inferred, phrase))


def turned(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Transpose an encoder or decoder that is stored the other way round, as the length of a bias per feature shows.

    Returns the tensors and a phrase on each transposed one. A square matrix is never transposed (see `unseen_turns`).
    """
    per_feature = next((tensors[name] for name in ("b_enc", "b_gate", "threshold") if name in tensors), None)
    if per_feature is None or per_feature.ndim != 1:
        return dict(tensors), ()
    n, out, phrases = len(per_feature), dict(tensors), []
    for name, axis in (("W_enc", 1), ("W_dec", 0)):
        array = tensors.get(name)
        if array is not None and array.ndim == 2 and array.shape[axis] != n and array.shape[1 - axis] == n:
            out[name] = np.ascontiguousarray(array.T)
            phrases.append(f"{name} is stored the other way round, as the length of the biases shows")
    return out, tuple(phrases)


def unseen_turns(tensors: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Return a phrase that names the square matrices, of which no length shows which way round they are stored."""
    square = [name for name in ("W_enc", "W_dec") if name in tensors and _is_square(tensors[name])]
    if not square:
        return ()
    they = "they are" if len(square) > 1 else "it is"
    return (
        f"{' and '.join(square)} as this format stores {'them' if len(square) > 1 else 'it'}: with as many features as "
        f"inputs, no length can show whether {they} stored the other way round",
    )


def _is_square(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.shape[0] == array.shape[1]


def centred(tensors: Mapping[str, np.ndarray], mean: np.ndarray, *, subtracts: bool) -> dict[str, np.ndarray]:
    """Return weights that read x where the file's read x - mean, and whose output has the mean added again.

    Tensors that do not go together stay as they are.
    """
    moved = dict(tensors)
    if not encoder_fits(tensors):
        return moved
    moved["b_dec"] = (tensors["b_dec"].astype(np.float64) + mean).astype(np.float32)
    if not subtracts:
        shift = mean.astype(np.float64) @ tensors["W_enc"].astype(np.float64)
        for name in ("b_enc", "b_gate"):
            if name in tensors:
                moved[name] = (tensors[name] - shift).astype(np.float32)
        if "b_mag" in tensors:  # the magnitudes of a gated dictionary are exp(r_mag) times what its gates see
            moved["b_mag"] = (tensors["b_mag"] - shift * np.exp(tensors["r_mag"].astype(np.float64))).astype(np.float32)
    return moved
