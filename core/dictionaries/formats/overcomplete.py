"""overcomplete (Fel et al. 2025): the state_dict of an SAE with a linear encoder and a dictionary of directions.

A batch norm behind the encoder is folded into it, as it runs after training; the dictionary is read as its own
`get_dictionary` makes it then. Its classes save the same tensors, so a config or a person says which one it is.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from core.dictionaries.accounting import unread_note
from core.dictionaries.claims import Claims, claims_of, need_k
from core.dictionaries.formats import ALL_FITS, NO, Contents, Place, layout, rename
from core.dictionaries.formats.plain import config_of
from core.dictionaries.formats.stored import read_stored
from core.dictionaries.weights import check_numbers
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.files.tensors import tensor_names
from core.files.torch_saves import mentions

NAME = "overcomplete"
TITLE = "a file with dictionary._weights and an encoder"
_DIRECTIONS, _ARCHETYPES = ("dictionary._weights",), ("dictionary.W", "dictionary.C", "dictionary.Relax")
_SCALE, _THRESHOLDS = "dictionary.multiplier", "thresholds"
_BLOCK, _NORM = "encoder.final_block.0.", "encoder.final_block.1."
_NORM_NAMES = ("weight", "bias", "running_mean", "running_var")
_EPSILON = 1e-5
"""Of torch's BatchNorm1d, which the file does not hold."""
_NEAR_ONE = 0.05
"""How far the lengths of directions may be from 1 after a last training step without normalisation."""


def score(place: Place) -> int:
    """By the names in the file."""
    if not place.file or not place.may_read(place.file):
        return NO
    path = place.path
    if path.suffix in (".pt", ".pth"):
        return ALL_FITS if any(mentions(path, *names) for names in (_DIRECTIONS, _ARCHETYPES)) else NO
    there = set(tensor_names(path)) if path.suffix == ".safetensors" else set()
    return ALL_FITS if there and any(set(names) <= there for names in (_DIRECTIONS, _ARCHETYPES)) else NO


def files(place: Place) -> tuple[str, ...]:
    return (place.file,) if place.file else ()


def read(place: Place) -> Contents:
    """Read the encoder and the directions; `thresholds` make it a JumpReLU, a k a TopK. Raises BadDictionaryError."""
    path = place.itself()
    stored = read_stored(path)
    said, file = config_of(place, stored)
    config = ConfigFields(said, place.folder / file)
    claims = claims_of(config, place.settings, file)
    arrays = {name: value for name, value in stored.arrays.items() if not name.endswith("num_batches_tracked")}
    W_dec, phrases = _directions(arrays, path)
    W_enc, b_enc = _encoder(arrays, W_dec, path)
    tensors = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": np.zeros(W_dec.shape[1], np.float32)}
    architecture, notes = _architecture(claims, arrays)
    if architecture == "jumprelu":
        _check_features(arrays, (_THRESHOLDS,), W_dec.shape[:1], path)
        tensors["threshold"] = np.exp(arrays[_THRESHOLDS])
    raw = layout(
        architecture,
        tensors,
        path,
        metadata=claims.metadata,
        d_in=claims.d_in,
        d_sae=claims.d_sae,
        k=need_k(claims, path.name) if architecture == "topk" else None,
        apply_b_dec_to_input=False,
        normalize_activations=claims.normalize,
    )
    notes += unread_note(file, config, known=("nb_concepts", "input_shape", "dictionary_params"))
    return Contents(raw, tensors, file, inferred=stored.inferred + phrases, stated=claims.stated, notes=notes)


def _directions(arrays: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the rows that features write, as the library fuses them when training ends, and what was concluded."""
    scale = np.exp(arrays[_SCALE].item()) if arrays.get(_SCALE, np.zeros(2)).size == 1 else 1.0
    if _DIRECTIONS[0] not in arrays:
        W, C, relax = (rename(arrays, {name: name}, path, spare=tuple(arrays))[name] for name in _ARCHETYPES)
        if W.ndim != 2 or C.ndim != 2 or W.shape[1] != len(C) or relax.shape != (len(W), C.shape[1]):
            raise BadDictionaryError(
                f"{path} has {', '.join(_ARCHETYPES)} of shapes {W.shape}, {C.shape} and {relax.shape}; expected "
                "(features, points), (points, d_in) and (features, d_in). Check that it is whole."
            )
        rows = W.astype(np.float64) @ C.astype(np.float64) + relax
        return (rows * scale).astype(np.float32), ("decoder rows are convex combinations of points (archetypal)",)
    check_numbers(_DIRECTIONS[0], arrays[_DIRECTIONS[0]])
    rows = arrays[_DIRECTIONS[0]].astype(np.float64)
    if rows.ndim != 2:
        raise BadDictionaryError(
            f"{path} has {_DIRECTIONS[0]} of shape {rows.shape}; expected (features, d_in). Check that it is whole."
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.abs(lengths - 1) < _NEAR_ONE).all():
        span = f"{lengths.min():.3g} to {lengths.max():.3g}"
        return (rows * scale).astype(np.float32), (f"decoder rows as stored, as they are {span} long",)
    phrase = "decoder rows brought to length 1, as the library's l2 does"
    return (rows / (lengths + 1e-8) * scale).astype(np.float32), (phrase,)


def _encoder(arrays: dict[str, np.ndarray], W_dec: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return W_enc and b_enc; a batch norm behind them is folded in, and without an encoder W_dec is its own.

    Raises BadDictionaryError for an encoder of several layers, with another norm, or with a part missing.
    """
    tied = not any(name.startswith("encoder.") for name in arrays.keys() - {"encoder.bias"})
    block = _BLOCK if _BLOCK + "weight" in arrays else "encoder."
    normed = _NORM + "running_mean" in arrays
    needed = () if tied else (block + "weight",)
    needed += (_BLOCK + "bias",) if block == _BLOCK else ()
    needed += tuple(_NORM + name for name in _NORM_NAMES) if normed else ()
    known = {*needed, _THRESHOLDS, *({"encoder.bias"} if block != _BLOCK else ())}
    own = {name for name in arrays if not name.startswith("dictionary.")}
    if own - known or set(needed) - own:
        raise BadDictionaryError(
            f"{path} has an encoder that no architecture here computes ({', '.join(sorted(own))[:300]}). Expected one "
            "linear layer, with a batch norm behind it or none. Choose another, or save it whole."
        )
    _check_features(arrays, (name for name in (own & known) - {block + "weight", _THRESHOLDS}), W_dec.shape[:1], path)
    if not tied:
        _check_features(arrays, (block + "weight",), W_dec.shape, path)
    W_enc = (W_dec if tied else arrays[block + "weight"]).astype(np.float64)
    b_enc = arrays.get(block + "bias", np.zeros(len(W_enc))).astype(np.float64)
    if normed:
        scale, shift, mean, variance = (arrays[_NORM + name].astype(np.float64) for name in _NORM_NAMES)
        factor = scale / np.sqrt(variance + _EPSILON)
        W_enc, b_enc = W_enc * factor[:, None], (b_enc - mean) * factor + shift
    return np.ascontiguousarray(W_enc.T, np.float32), b_enc.astype(np.float32)


def _check_features(arrays: dict[str, np.ndarray], names: Iterable[str], shape: tuple[int, ...], path: Path) -> None:
    """Raise BadDictionaryError unless all have a shape, a finite number or row for each feature."""
    for name in sorted(names):
        check_numbers(name, arrays[name])
        if arrays[name].shape != shape:
            raise BadDictionaryError(
                f"{name} in {path} has shape {arrays[name].shape}; expected {shape}, one {'number' * (len(shape) < 2)}"
                f"{'row' * (len(shape) > 1)} for each row of the dictionary. Check that it is whole."
            )


def _architecture(claims: Claims, arrays: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the architecture that a config, a person or `thresholds` say, with a note where it is a guess.

    Raises BadDictionaryError for one whose own numbers the file does not hold.
    """
    said = claims.architecture
    if _THRESHOLDS in arrays and said in (None, "jumprelu"):
        return "jumprelu", ()
    if said in ("topk", "standard"):
        return said, ()
    if said is not None:
        raise BadDictionaryError(
            f"It is said to be a {said} dictionary ({claims.said_by}), and its file holds no threshold: overcomplete "
            "keeps a running one that a state_dict leaves out. Expected a TopK or a plain one; write #k=32 behind the "
            "path to keep so many features on every token."
        )
    return "standard", (
        "Nothing says whether it keeps the k largest features: overcomplete saves the same tensors for a plain "
        "dictionary and for a TopK. It is read as a plain one (ReLU); if it is a TopK, write #k=32 behind the path.",
    )
