"""One file of tensors under sae-lens' names, with what its training script wrote inside it or beside it.

Many people who train with their own script save this way: 1L-Sparse-Autoencoder and the attention dictionaries of
Kissane et al. (2024) write NAME_cfg.json beside NAME.pt, BatchTopK writes config.json beside sae.pt.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.dictionaries.accounting import text_notes, unread_note
from core.dictionaries.claims import Claims, claims_of, need_k
from core.dictionaries.formats import (
    ALL_FITS,
    MAYBE,
    NAMES_FIT,
    NO,
    Contents,
    Place,
    crosscoder_layouts,
    layout,
    rename,
)
from core.dictionaries.formats.stored import Stored, centred, read_stored, turned
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.files.npz import array_names
from core.files.tensors import tensor_names
from core.files.torch_saves import mentions

NAME = "plain"
TITLE = "a file with W_enc, W_dec, b_enc and b_dec"
_NAMES = ("W_enc", "W_dec", "b_enc", "b_dec")
_THRESHOLDS = ("threshold", "log_threshold", "jumprelu.log_threshold", "jumprelu.threshold")
_GATES = ("b_gate", "b_mag", "r_mag")
_BESIDE = ("config.json", "cfg.json", "sae_config.json")
"""Configs whose names do not say which file they are of."""


def score(place: Place) -> int:
    """By the names in the file; one with a threshold or groups is rather of another library."""
    if not place.file or not place.may_read(place.file):
        return NO
    path, config = place.path, place.glance(config_file(place))
    if crosscoder_layouts.is_named(config):
        return NO
    if path.suffix in (".pt", ".pth"):
        if not mentions(path, *_NAMES[:2]):
            return NO
        if config.keys() & {"act_name", "act_size", "sae_type"}:
            return ALL_FITS
        return MAYBE if mentions(path, "threshold") and not mentions(path, "log_threshold") else NAMES_FIT
    there = tensor_names(path) if path.suffix == ".safetensors" else array_names(path) if path.suffix == ".npz" else ()
    bare = {name.rpartition(".")[2] for name in there}
    return NO if not {"W_enc", "W_dec"} <= bare else MAYBE if "threshold" in bare else NAMES_FIT


def files(place: Place) -> tuple[str, ...]:
    names = (place.file, config_file(place)) if place.file else ()
    return tuple(name for name in names if place.may_read(name))


def read(place: Place) -> Contents:
    """Read tensors and config as standard, TopK, JumpReLU or gated. Raises BadDictionaryError."""
    path = place.itself()
    stored = read_stored(path)
    said, file = config_of(place, stored)
    config = ConfigFields(said, place.folder / file)
    claims = claims_of(config, place.settings, file)
    architecture, names = _architecture(claims, stored, path.name)
    spare = tuple(name for name in stored.arrays if name in ("mean", "num_batches_not_active", "k"))
    tensors, phrases = turned(_thresholds(rename(stored.arrays, names, path, spare=spare), names))
    # Outside sae-lens, JumpReLU dictionaries read x itself; a BatchTopK with its threshold subtracts b_dec.
    by_rule = architecture != "jumprelu" or claims.architecture == "batchtopk"
    subtracts = by_rule if claims.subtracts is None else claims.subtracts
    tensors, notes = with_mean(tensors, stored.arrays.get("mean"), subtracts=subtracts)
    metadata = claims.metadata | trained_as(claims, architecture)
    model = published_model(said, path.name)
    raw = layout(
        architecture,
        tensors,
        path,
        metadata=({"model_name": model} if model else {}) | metadata,
        d_in=claims.d_in,
        d_sae=claims.d_sae,
        k=need_k(claims, path.name) if "topk" in architecture else None,
        apply_b_dec_to_input=subtracts,
        normalize_activations=claims.normalize,
    )
    inferred = stored.inferred + phrases
    if claims.subtracts is None:
        what = f"b_dec is {'' if subtracts else 'not '}subtracted from the input, which the file does not say"
        inferred += (f"{what} (if it is otherwise, write #apply_b_dec_to_input={str(not subtracts).lower()})",)
    if model:
        inferred += (f"model {model} from the file's name",)
    notes += batch_note(claims, architecture) + text_notes(config) + unread_note(file, config)
    return Contents(raw, tensors, file, inferred=inferred, stated=claims.stated, notes=notes)


def config_file(place: Place) -> str:
    """Return the config that belongs to a file: by its name, or else the one in the same folder."""
    stem = (place.file or "").rpartition(".")[0]
    named = (f"{stem}_cfg.json", f"{stem}_config.json", f"{stem}.json")
    return next((name for name in (*named, *_BESIDE) if place.may_read(name)), named[0])


def config_of(place: Place, stored: Stored) -> tuple[dict[str, Any], str]:
    """Return the config inside the file, or else the one beside it, and the name of the file that holds it."""
    if stored.config:
        return stored.config, place.file or place.path.name
    file = config_file(place)
    if place.may_read(file):
        return place.json(file), file
    return {}, file


def published_model(said: Mapping[str, Any], file: str) -> str | None:
    """Return the model of the published hook_z dictionaries, whose config names none."""
    return "gpt2-small" if str(said.get("act_name", "")).endswith("hook_z") and "gpt2-small" in file else None


def _architecture(claims: Claims, stored: Stored, file: str) -> tuple[str, dict[str, str]]:
    """Return the architecture of the claims, and the names of its tensors in the file."""
    threshold = next((name for name in _THRESHOLDS if name in stored.arrays), None)
    names = {name: name for name in _NAMES}
    said = claims.architecture or ("jumprelu" if threshold else "gated" if "b_gate" in stored.arrays else "standard")
    if said == "gated":
        return "gated", {name: name for name in (*_NAMES, *_GATES) if name != "b_enc"}
    if said in ("jumprelu", "batchtopk") and threshold:
        return "jumprelu", names | {"threshold": threshold}
    if said == "jumprelu":
        raise BadDictionaryError(
            f"{file} is a JumpReLU dictionary ({claims.said_by}) without a threshold. Expected one of "
            f"{', '.join(_THRESHOLDS)} among its tensors; save it whole."
        )
    return ("topk" if said == "batchtopk" else said), names


def _thresholds(tensors: dict[str, np.ndarray], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Give every feature its threshold, even if the file holds logarithms or one number for all features."""
    if "threshold" not in tensors:
        return tensors
    threshold = tensors["threshold"]
    if names["threshold"].endswith("log_threshold"):
        threshold = np.exp(threshold)
    return tensors | {"threshold": np.full(tensors["b_enc"].shape, threshold) if threshold.size == 1 else threshold}


def with_mean(
    tensors: dict[str, np.ndarray], mean: np.ndarray | None, *, subtracts: bool
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Fold a mean of inputs, if one lies beside the weights, into the biases, and return a note."""
    if mean is None:
        return tensors, ()
    if mean.size == 1:
        mean = np.full(tensors["b_dec"].shape, mean.item(), np.float32)
    fits = tensors["W_enc"].ndim == 2 and mean.reshape(-1).shape == tensors["b_dec"].shape == tensors["W_enc"].shape[:1]
    if not fits or not np.issubdtype(mean.dtype, np.floating):
        raise BadDictionaryError(
            f"The mean beside the weights has shape {mean.shape}; expected one number for each of the inputs, "
            f"{tensors['b_dec'].shape}. Save the weights alone, or a mean that fits them."
        )
    note = (
        "The file holds a mean beside the weights. It is taken to have been subtracted from every input in training, "
        "and is subtracted from the input and added to the output here."
    )
    return centred(tensors, mean.reshape(-1), subtracts=subtracts), (note,)


def trained_as(claims: Claims, architecture: str) -> dict[str, str]:
    """Return the architecture in training if it differs from the one that runs."""
    return {"training_architecture": "batchtopk"} if claims.architecture == "batchtopk" != architecture else {}


def batch_note(claims: Claims, architecture: str) -> tuple[str, ...]:
    """Return a note on a BatchTopK dictionary that has no threshold to run by."""
    if claims.architecture != "batchtopk" or architecture != "topk":
        return ()
    return (
        f"It was trained to keep k {claims.k} features a token on average over a batch, and the file holds no "
        f"threshold. Here it keeps exactly {claims.k} on every token, so tokens differ from training.",
    )
