"""dictionary_learning (Marks, Karvonen and Mueller): ae.pt with config.json beside it, or a checkpoint's folder above.

Every class is read as its own `encode` and `decode` are written. Gated and JumpReLU dictionaries there
multiply activations by decoder norms, as folding does here. The hook comes from `submodule_name`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.dictionaries.accounting import unread_note
from core.dictionaries.claims import Claims, claims_of, need_k
from core.dictionaries.formats import (
    ALL_FITS,
    MAYBE,
    NAMES_FIT,
    NO,
    Contents,
    Place,
    Said,
    crosscoder_layouts,
    last_part,
    layout,
    rename,
)
from core.dictionaries.formats.plain import batch_note, config_file, config_of, trained_as, with_mean
from core.dictionaries.formats.stored import Stored, read_stored, turned
from core.dictionaries.hooks import hook_of, norm_warning
from core.dictionaries.transcoders import without_input_bias
from core.errors import BadDictionaryError, UnknownNameError
from core.files.fields import ConfigFields, short
from core.files.torch_saves import mentions

NAME = "dictionary_learning"
TITLE = "config.json and ae.pt"
_WEIGHTS, _CONFIG, _ABOVE = "ae.pt", "config.json", "../config.json"
_LINEAR = {"W_enc": "encoder.weight.T", "b_enc": "encoder.bias", "W_dec": "decoder.weight.T"}
_LINEAR_PAIRS = (
    ("encoder.weight", "decoder.weight"),
    ("encoder_linear.weight", "decoder_linear.weight"),
    ("encoder.0.weight", "decoder.0.weight"),
    ("enc.weight", "dec.weight"),
    ("encoder._orig_mod.weight", "decoder._orig_mod.weight"),
)
"""Names of the two linear layers in files of people who wrote their own SAE."""
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
"""Its classes of one hook; its crosscoders are read by crosscoder.py."""
_TRANSCODERS = {"standard": "transcoder", "jumprelu": "jumprelu_transcoder", "topk": "topk_transcoder"}


def score(place: Place) -> int:
    """config.json with a trainer says it; without, a folder has ae.pt and a file the names of one of the classes."""
    name = place.file or _WEIGHTS
    if not name.endswith((".pt", ".pth")) or not place.may_read(name):
        return NO
    path = place.folder / name
    if crosscoder_layouts.is_named(place.glance(_config(place))) or mentions(path, "code_normalization_id"):
        return NO
    linear = all(any(mentions(path, name) for name in names) for names in zip(*_LINEAR_PAIRS, strict=True))
    linear = linear and not mentions(path, "pre_bias", "latent_bias")
    if not (linear or mentions(path, "W_enc", "W_dec")):
        return NO
    if "dict_class" in place.settings or isinstance(place.glance(_config(place)).get("trainer"), dict):
        return ALL_FITS
    return NAMES_FIT if linear or (mentions(path, "threshold") and not mentions(path, "log_threshold")) else MAYBE


def files(place: Place) -> tuple[str, ...]:
    return tuple(name for name in (place.file or _WEIGHTS, _config(place)) if place.may_read(name))


def read(place: Place) -> Contents:
    """Read the class that the config names, or the one that the tensors fit. Raises BadDictionaryError."""
    path = place.need(place.file or _WEIGHTS)
    stored = read_stored(path)
    config, file = said_of(place, stored)
    top = ConfigFields(config, place.folder / file)
    trainer, buffer = (top.group("trainer") if top.peek("trainer") is not None else top), top.group("buffer")
    said = place.settings.get("dict_class") or trainer.peek("dict_class")
    claims = claims_of(trainer, place.settings, file) if not said or trainer is top else Claims()
    by_hand = "dict_class" in place.settings
    name, inferred, notes = class_of(said, stored.arrays, path, file, by_hand=by_hand, claims=claims)
    trainer.value("dict_class")
    kind = KINDS[name]
    if not said:
        kind, more = claimed(kind, claims, "threshold" in stored.arrays)
        inferred += more
    tensors, phrases = turned(rename(stored.arrays, kind.names, path, spare={*kind.own, "mean"}))
    tensors, more_notes = with_mean(
        with_threshold(kind, tensors, path), stored.arrays.get("mean"), subtracts=kind.subtracts
    )
    notes += more_notes + batch_note(claims, kind.architecture)
    metadata, more, hook_notes = whereabouts(trainer, buffer)
    metadata, notes = claims.metadata | metadata, notes + hook_notes
    inferred = stored.inferred + inferred + phrases
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
        metadata=metadata
        | {"training_architecture": kind.trained_as}
        | trained_as(claims, kind.architecture)
        | levels(stored.arrays, kind),
        d_in=trainer.whole("activation_dim") or claims.d_in,
        d_sae=trainer.whole("dict_size") or claims.d_sae,
        k=k_of(stored, trainer, claims, place.settings) if "topk" in kind.architecture else None,
        apply_b_dec_to_input=kind.subtracts,
        normalize_activations=claims.normalize,
    )
    for known in ("k", "k_max", "d_in"):
        trainer.value(known)
    notes += tokens_left_out(buffer) + unread_note(file, top, trainer, buffer)
    return Contents(raw, tensors, file, inferred=inferred + more, stated=claims.stated, notes=notes)


def said(place: Place) -> Said:
    """Return what config.json says. Raises BadDictionaryError."""
    config = place.json(_config(place)) if place.may_read(_config(place)) else {}
    top = ConfigFields(config, place.folder / _config(place))
    trainer = top.group("trainer")
    metadata = whereabouts(trainer, top.group("buffer"))[0]
    kind = KINDS.get(trainer.text("dict_class") or "")
    known = kind.trained_as or kind.architecture if kind else None
    if kind and metadata.get("hook_name_out"):
        known = kind.trained_as or _TRANSCODERS.get(kind.architecture)
    return Said(
        kind=known,
        d_sae=trainer.whole("dict_size"),
        hook_name=metadata.get("hook_name"),
        model_name=metadata.get("model_name"),
        k=trainer.whole("k"),
        seed=trainer.count("seed"),
    )


def said_of(place: Place, stored: Stored) -> tuple[dict[str, Any], str]:
    """Return the config of a file, with the name of the file that says it: in it, beside it, or one folder up."""
    if not stored.config and place.may_read(_config(place)):
        return place.json(_config(place)), _config(place)
    return config_of(place, stored)


def claimed(kind: _Kind, claims: Claims, has_threshold: bool) -> tuple[_Kind, tuple[str, ...]]:
    """Correct a kind that was guessed from names by what the config, or a person, says."""
    said = claims.architecture
    subtracts = kind.subtracts if claims.subtracts is None else claims.subtracts
    if said in (None, "standard", kind.architecture, kind.trained_as):
        return replace(kind, subtracts=subtracts), ()
    if said in ("topk", "batchtopk") and kind.architecture == "standard":
        # Of two linear layers with a bias each, published TopK dictionaries subtract the decoder's.
        by_rule = claims.subtracts is None
        guess = "the decoder's bias is subtracted from the input; if not, write #apply_b_dec_to_input=false"
        return replace(kind, architecture="topk", subtracts=by_rule or subtracts), (guess,) if by_rule else ()
    raise BadDictionaryError(
        f"The tensors are those of a {kind.architecture} dictionary, but {claims.said_by} says {said}"
        f"{'' if has_threshold else ', and there is no threshold'}. Expected tensors and config that go together; "
        "save the dictionary whole, or set #architecture= or #dict_class= behind the path."
    )


def levels(arrays: Mapping[str, np.ndarray], kind: _Kind) -> dict[str, Any]:
    """Return the widths of a Matryoshka dictionary's prefixes, from the group sizes in the file."""
    sizes = arrays.get("group_sizes")
    if kind.trained_as != "matryoshka_batchtopk" or sizes is None or not np.issubdtype(sizes.dtype, np.integer):
        return {}
    widths = np.cumsum(sizes.reshape(-1)).tolist()
    return {"training_architecture_details": {"matryoshka_widths": widths}}


def tokens_left_out(buffer: ConfigFields) -> tuple[str, ...]:
    """Return notes on tokens that were left out in training."""
    notes, multiple = [], buffer.value("max_activation_norm_multiple")
    if buffer.flag("remove_bos", default=False):
        notes.append(
            "It was trained without the first token of each text (remove_bos). What it does there was never trained: "
            "leave it out where a page on text offers it."
        )
    if multiple is not None:
        notes.append(
            f"It was trained without tokens whose activation is over {short(multiple, 20)} times as long as the median "
            "(max_activation_norm_multiple). Pages on text count them."
        )
    return tuple(notes)


def class_of(
    said: Any, stored: Mapping[str, Any], path: Path, file: str, *, by_hand: bool, claims: Claims
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the name of the class, as the config says it or as the names in the file have it, with phrases and notes.

    Raises BadDictionaryError for a class that no architecture computes, and for names that fit none or several.
    """
    if isinstance(said, str) and said in KINDS:
        return said, (() if by_hand else (f"class {said} from {file.rpartition('/')[2]}",)), ()
    if said:
        if by_hand:
            raise UnknownNameError("class of dictionary_learning", str(said), list(KINDS))
        raise BadDictionaryError(
            f"{path} holds a {said[:80] if isinstance(said, str) else short(said)}, for which sae-lens has no "
            f"architecture; expected one of {', '.join(KINDS)}. Choose another dictionary, save this one as one of "
            "these, or set #dict_class= behind the path."
        )
    there = {name for name in stored if name != "mean"}
    fitting = [
        name
        for name, kind in KINDS.items()
        if {theirs.removesuffix(".T") for theirs in kind.names.values()} <= there
        and there <= {theirs.removesuffix(".T") for theirs in kind.names.values()} | kind.own
    ]
    of_claim = [
        name for name in fitting if claims.architecture in (KINDS[name].trained_as or KINDS[name].architecture,)
    ]
    fitting = of_claim if len(of_claim) == 1 else fitting
    if len(fitting) != 1:
        raise BadDictionaryError(
            f"{path} has no config.json that names its dict_class, and its tensors "
            f"({', '.join(sorted(there))[:200]}) fit {' and '.join(fitting) or 'no class of dictionary_learning'}. "
            "Expected a config.json that says it: copy the one it was saved with, or set #dict_class= behind the path."
        )
    guess = (
        f"No config names the class of this dictionary. It is read as {fitting[0]} from the names of its tensors, "
        "which many classes share: if it is a TopK, say so behind the path, such as #k=32.",
    )
    phrases = (f"class {fitting[0]} from the names of its tensors",)
    return fitting[0], phrases, () if claims.architecture or KINDS[fitting[0]].architecture != "standard" else guess


def with_threshold(kind: _Kind, tensors: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Give every feature the one threshold that BatchTopK dictionaries have; raise BadDictionaryError for more."""
    threshold = tensors.get("threshold")
    if threshold is None:
        return tensors
    if threshold.size != 1 and not kind.trained_as:
        return tensors
    if threshold.size != 1:
        raise BadDictionaryError(
            f"{path} has a threshold of shape {threshold.shape}; expected one number for all features, as in a "
            f"{kind.trained_as} dictionary. Check dict_class in its config.json."
        )
    return tensors | {"threshold": np.full(tensors["b_enc"].shape, threshold.item(), threshold.dtype)}


def k_of(stored: Stored, trainer: ConfigFields, claims: Claims, settings: Mapping[str, Any]) -> int | None:
    """Return k as it was set by hand, else as the weights hold it, else as the config says."""
    k = settings.get("k", stored.arrays.get("k", stored.values.get("k")))
    if isinstance(k, np.ndarray) and k.size == 1 and np.issubdtype(k.dtype, np.integer):
        return int(k.item())
    return k if isinstance(k, int) else trainer.whole("k") or need_k(claims, "The file")


def as_transcoder(kind: _Kind, tensors: dict[str, np.ndarray], path: Path) -> tuple[_Kind, dict[str, np.ndarray]]:
    """Return the transcoder of a class; the bias that it subtracts from its input becomes part of b_enc.

    Raises BadDictionaryError for a class of which there is no transcoder.
    """
    if kind.architecture not in _TRANSCODERS:
        raise BadDictionaryError(
            f"{path} is a {kind.architecture} dictionary trained from a module's input to its output; expected one of "
            f"{', '.join(_TRANSCODERS)}, as sae-lens has no such transcoder. Choose another."
        )
    moved = without_input_bias(tensors) if kind.subtracts else tensors
    return replace(kind, architecture=_TRANSCODERS[kind.architecture], subtracts=False), moved


def whereabouts(trainer: ConfigFields, buffer: ConfigFields) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return model and hooks as config.json says them, with phrases and warnings about what was concluded."""
    model, name = last_part(trainer.text("lm_name")), trainer.text("submodule_name")
    layer = trainer.count("layer")
    metadata: dict[str, Any] = {"model_name": model, "context_size": buffer.whole("ctx_len")}
    metadata = {key: value for key, value in metadata.items() if value is not None}
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
    beside = config_file(place) if place.file else _CONFIG
    return beside if place.may_read(beside) else _ABOVE
