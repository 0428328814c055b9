"""Crosscoders (Lindsey et al. 2024): features that read several layers, or several models, and write to all of them.

Read are those of dictionary_learning (Minder et al. 2025), of Llamascopium, and of Kissane et al. (2024). One side is
looked at: its decoder rows, with features computed from what all sides read, one vector after the other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.dictionaries.accounting import unread_note
from core.dictionaries.formats import ALL_FITS, NO, WEIGHT_FILES, Contents, Place, Said, layout
from core.dictionaries.formats.crosscoder_layouts import CLASSES, LAYOUTS, hooks_of, is_named, layout_of
from core.dictionaries.formats.plain import config_file, config_of
from core.dictionaries.formats.stored import Stored, read_stored
from core.dictionaries.hooks import hook_in_config
from core.dictionaries.origin import Choice
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.files.tensors import tensor_shapes
from core.files.torch_saves import mentions

NAME = "crosscoder"
TITLE = "ae.pt, model.safetensors or sae_weights.safetensors with an encoder and a decoder of three axes"
_FOLDER_FILES = ("ae.pt", "model_final.pt", "model.safetensors", "sae_weights.safetensors")
_TRAINER_KEYS = (
    *("dict_class", "code_normalization", "code_normalization_alpha_sae", "code_normalization_alpha_cc", "target_rms"),
    *("dict_class_kwargs", "k_target", "k_initial", "k_annealing_steps", "auxk_alpha", "use_mse_loss", "top_k_aux"),
    *("num_layers", "activation_dim", "dict_size", "k", "same_init_for_all_layers", "norm_init_scale", "lm_name"),
    *("init_with_transpose", "encoder_layers", "num_decoder_layers", "layer", "submodule_name", "latent_processor"),
    *("sae_type", "d_model", "expansion_factor", "use_decoder_bias", "act_fn", "norm_activation", "top_k", "n_heads"),
    *("sparsity_include_decoder_norm", "use_triton_kernel", "sparsity_threshold_for_triton_spmm_kernel", "hook_points"),
    *("jumprelu_threshold_window", "hook_point", "model_name", "enc_dtype", "dec_init_norm", "d_in"),
)


def score(place: Place) -> int:
    """A file whose encoder has three axes; of a .pt file its config or its names tell."""
    name = _weights(place)
    if name is None:
        return NO
    path = place.folder / name
    if path.suffix == ".safetensors":
        shapes = tensor_shapes(path)
        return ALL_FITS if any(len(shapes.get(key, ())) == 3 for key in ("encoder.weight", "W_E", "W_enc")) else NO
    # A .pt file does not tell its axes before it is read.
    return ALL_FITS if mentions(path, "code_normalization_id") or is_named(place.glance(_config(place))) else NO


def files(place: Place) -> tuple[str, ...]:
    names = (_weights(place), _config(place))
    return tuple(dict.fromkeys(name for name in names if name and place.may_read(name)))


def read(place: Place) -> Contents:
    """Read the side that `#side=` names, the first without it. Raises BadDictionaryError."""
    path = place.need(_weights(place) or _FOLDER_FILES[0])
    stored = read_stored(path)
    raw, file = _config_said(place, stored)
    top = ConfigFields(raw, place.folder / file)
    config = top.group("trainer") if isinstance(raw.get("trainer"), dict) else top
    sides = LAYOUTS[layout_of(stored.arrays, path)](stored, config, path)
    n, (d, d_sae) = len(sides.W_enc), sides.W_enc.shape[1:]
    side = place.settings.get("side", 0)
    if not 0 <= side < n:
        raise BadDictionaryError(
            f"{path} is a crosscoder of {n} sides, and side {side} is none of them; expected 0 to {n - 1}. Correct it "
            "after the #."
        )
    hooks, models = _names(place, "hook_names", sides.hooks, n), _names(place, "model_names", sides.models, n)
    tensors = {"W_enc": sides.W_enc.reshape(n * d, d_sae), "b_enc": sides.b_enc, "W_dec": sides.W_dec[side]}
    tensors |= {"b_dec": sides.b_dec[side]}
    if sides.threshold is not None:
        tensors["threshold"] = sides.threshold[side]
    if sides.k is not None and sides.lengths is not None:
        length = sides.lengths[side]
        tensors |= {"W_enc": tensors["W_enc"] * length, "b_enc": sides.b_enc * length}
        tensors["W_dec"] = tensors["W_dec"] / np.where(length > 0, length, 1)[:, None]
    kind = "topk_" * (sides.k is not None) + "jumprelu_" * (sides.threshold is not None) + "transcoder"
    two = {model for model in models if model}
    metadata = {"training_architecture": sides.kind, "side": side, "sides": n, **sides.known}
    metadata |= {"model_name": models[side] if models else None, "hook_name": hooks[side] if hooks else None}
    metadata |= {"hook_name_out": hooks[side], "read_hooks": list(hooks)} if hooks else {}
    metadata |= {"read_models": list(models)} if len(two) > 1 else {}
    raw = layout(kind, _as_float32(tensors), path, metadata=metadata, k=sides.k, apply_b_dec_to_input=False)
    for name in _TRAINER_KEYS:
        config.value(name)
    groups = (config,) if config is top else (top, config)
    return Contents(
        raw,
        _as_float32(tensors),
        file,
        inferred=(*stored.inferred, f"side {side} of {n}: its decoder rows, with features computed from what all read"),
        notes=sides.notes + unread_note(file, *groups, known=("trainer", "buffer")),
        choices=(_choice(n, side, hooks, models),) if n > 1 else (),
        side_norms=np.linalg.norm(sides.W_dec.astype(np.float64), axis=2),
    )


def said(place: Place) -> Said:
    """Return what the config says. Raises BadDictionaryError."""
    raw, file = _config_beside(place)
    top = ConfigFields(raw, place.folder / file)
    config = top.group("trainer") if isinstance(raw.get("trainer"), dict) else top
    shapes = tensor_shapes(place.folder / (_weights(place) or ""))
    shape = next((shapes[name] for name in ("encoder.weight", "W_E", "W_enc") if name in shapes), None)
    hooks, n = hooks_of(config), shape[0] if shape else 0
    hooks, models = _names(place, "hook_names", hooks, n), _names(place, "model_names", (), n)
    side = place.settings.get("side", 0)
    batch = config.peek("dict_class") == CLASSES[1]
    return Said(
        kind="batchtopk_crosscoder" if batch else "crosscoder",
        d_sae=shape[-1] if shape else config.whole("dict_size"),
        hook_name=hooks[side] if len(hooks) > side else None,
        model_name=models[side] if len(models) > side else None,
    )


def _weights(place: Place) -> str | None:
    if place.file:
        return place.file if place.file.endswith(WEIGHT_FILES) and place.may_read(place.file) else None
    return next((name for name in _FOLDER_FILES if place.may_read(name)), None)


def _config(place: Place) -> str:
    named = config_file(place) if place.file else "config.json"
    return (
        named
        if place.may_read(named)
        else next((n for n in ("config.json", "../config.json") if place.may_read(n)), named)
    )


def _config_beside(place: Place) -> tuple[dict[str, Any], str]:
    file = _config(place)
    return (place.json(file) if place.may_read(file) else {}), file


def _config_said(place: Place, stored: Stored) -> tuple[dict[str, Any], str]:
    return config_of(place, stored) if stored.config else _config_beside(place)


def _names(place: Place, setting: str, said: tuple[str, ...], n: int) -> tuple[str, ...]:
    """Return one name for each side: those set by hand, else those of the config; one name is that of all sides.

    Raises BadDictionaryError for another number of them.
    """
    by_hand = place.settings.get(setting)
    names = tuple(part.strip() for part in str(by_hand).split(",")) if by_hand else said
    if setting == "hook_names":
        names = tuple(hook_in_config(name, None) for name in names)
    if len(names) in (0, n):
        return names
    if len(names) == 1:
        return names * n
    raise BadDictionaryError(
        f"{setting} has {len(names)} names ({', '.join(names)[:200]}), and the crosscoder {n} sides. Expected one name "
        "for each, with commas between, or one for all. Correct it after the #."
    )


def _as_float32(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}


def _choice(n: int, side: int, hooks: tuple[str, ...], models: tuple[str, ...]) -> Choice:
    places = [" of ".join(part for part in (hooks[i : i + 1] + models[i : i + 1]) if part) for i in range(n)]
    values = {str(i): f"side {i}" + (f": {place}" if place else "") for i, place in enumerate(places)}
    meaning = "A crosscoder's features have decoder rows for each layer, or each model. Pages show those of one side."
    return Choice("side", "Side of the crosscoder", values, str(side), meaning)
