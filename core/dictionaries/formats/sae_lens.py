"""sae-lens' own folders: cfg.json and sae_weights.safetensors.

The layout since sae-lens 6 is read here without importing sae-lens; the older one is first handed
to sae-lens' own translation.
"""

from pathlib import Path
from typing import Any

import numpy as np

from core.dictionaries.accounting import text_notes, unread_note
from core.dictionaries.claims import architecture_word
from core.dictionaries.config import UNFOLDED_NORMALISATIONS
from core.dictionaries.formats import ALL_FITS, MAYBE, NAMES_FIT, NO, Contents, Place, Said
from core.dictionaries.formats.stored import read_stored, turned
from core.dictionaries.parsing import CONFIG_FILE
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields

NAME = "sae-lens"
TITLE = "cfg.json and sae_weights.safetensors"
WEIGHTS_FILE = "sae_weights.safetensors"
_USED_TEXT = """
architecture d_in d_sae d_out k apply_b_dec_to_input normalize_activations reshape_activations
rescale_acts_by_decoder_norm metadata n_heads n_attn_layers bottleneck_factor sae_diff_type kval_topk
tied_weights activation_normalization_factor residual_threshold max_iterations stop_on_duplicate_support
"""
_USED = frozenset(_USED_TEXT.split())
"""Fields of the config classes of sae-lens' inference architectures, which it runs by."""
_OF_METADATA_TEXT = """
model_name hook_name hook_name_out hf_hook_name hf_hook_name_out context_size prepend_bos
training_architecture training_architecture_details model_from_pretrained_kwargs hook_head_index
hook_head_index_out reconstructs target_layer read_hooks read_models feature_blocks side sides
"""
_OF_METADATA = frozenset(_OF_METADATA_TEXT.split())
_OLD_NAMES = ("hook_point", "hook_point_head_index", "activation_fn", "activation_fn_str", "activation_fn_kwargs")
_OLD_NAMES += ("finetuning_scaling_factor", "scaling_factor")


def score(place: Place) -> int:
    """Both files make a folder of this format; one of them alone is one that lacks the other."""
    if not any(place.names(name) for name in (CONFIG_FILE, WEIGHTS_FILE)):
        return NO
    if not (place.has(CONFIG_FILE) and place.has(WEIGHTS_FILE)):
        return MAYBE
    said = place.glance(CONFIG_FILE)
    return ALL_FITS if {"d_sae", "metadata"} & said.keys() else NAMES_FIT


def files(place: Place) -> tuple[str, ...]:
    return tuple(name for name in (WEIGHTS_FILE, CONFIG_FILE) if place.has(name))


def read(place: Place) -> Contents:
    """Read config and weights. Raises BadDictionaryError."""
    said, path = read_said(place), place.folder
    raw = said if "metadata" in said else translate_old(said, path / CONFIG_FILE)
    if not place.has(WEIGHTS_FILE):
        raise BadDictionaryError(
            f"{path} has a {CONFIG_FILE} but no {WEIGHTS_FILE}. "
            "Expected both, as sae-lens' save_model writes them; copy the weights beside the config."
        )
    weights = place.need(WEIGHTS_FILE)
    stored = read_stored(weights)
    tensors, phrases = turned(drop_unit_scaling(stored.arrays, weights))
    notes = [*account(said, raw, path / CONFIG_FILE)]
    if raw.get("normalize_activations") in list(
        UNFOLDED_NORMALISATIONS
    ):  # a list, because the value may not be hashable
        notes.append(
            f"This dictionary expects inputs that were rescaled ({raw['normalize_activations']}), but its folder does "
            "not say how, so activations and scores may be wrong. "
            "Fold the rescaling into the weights (sae-lens does so at the end of training) and save it again."
        )
    inferred = stored.inferred + phrases
    return Contents(raw, tensors, CONFIG_FILE, inferred=inferred, notes=tuple(notes), hook_needed=True)


def said(place: Place) -> Said:
    """Return what cfg.json says, in the present layout or the older flat one. Raises BadDictionaryError."""
    raw = place.json(CONFIG_FILE)
    top = ConfigFields(raw, place.folder / CONFIG_FILE)
    metadata = top.group("metadata") if "metadata" in raw else top
    return Said(
        kind=metadata.text("training_architecture") or top.text("architecture"),
        d_sae=top.whole("d_sae"),
        hook_name=metadata.name("hook_name") or top.name("hook_point"),
        model_name=metadata.text("model_name"),
        k=top.whole("k"),
        seed=metadata.count("seed"),
        data=metadata.text("dataset_path"),
    )


def account(said: dict[str, Any], raw: dict[str, Any], path: Path) -> tuple[str, ...]:
    """Return notes on config keys that this app does not use, in the old or the present layout.

    Raises BadDictionaryError for an activation function that the architecture does not have.
    """
    fields = ConfigFields(said, path)
    check_activation(fields, raw)
    metadata = ConfigFields(metadata_of(raw), path)
    notes = text_notes(metadata)
    top = _USED | set(_OLD_NAMES) | (set() if "metadata" in said else _OF_METADATA | {"seqpos_slice"})
    for name in (*top, *([] if "metadata" in said else ["exclude_special_tokens", "hook_name"])):
        fields.value(name)
    for name in _OF_METADATA:
        metadata.value(name)
    return notes + unread_note(CONFIG_FILE, fields, metadata)


def metadata_of(raw: dict[str, Any]) -> dict[str, Any]:
    metadata = raw.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def check_activation(fields: ConfigFields, raw: dict[str, Any]) -> None:
    """Raise BadDictionaryError if a config names an activation function that its architecture does not run.

    sae-lens ignores such a name: a dictionary that was trained with another function would run as a ReLU.
    """
    for name in ("activation_fn", "activation_fn_str"):
        value, architecture = fields.value(name), str(raw.get("architecture"))
        known = architecture_word(value) if isinstance(value, str) else None
        topk = known in ("topk", "batchtopk")
        if value in (None, "") or known == "standard" or (topk and "topk" in architecture):
            continue
        if not topk:
            raise fields.bad(name, "relu, or topk with its k: sae-lens runs no other. Convert the dictionary")
        raise fields.bad(
            name, "topk with activation_fn_kwargs that say k: set #architecture=topk&k=... behind the path"
        )


def read_said(place: Place) -> dict[str, Any]:
    """Read cfg.json as it is, with k where a TopK of the old layout has it. Raises BadDictionaryError."""
    if not place.has(CONFIG_FILE):
        raise BadDictionaryError(
            f"{place.folder} holds no {CONFIG_FILE}, so it is no sae-lens dictionary. "
            f"Expected {CONFIG_FILE} and {WEIGHTS_FILE}; choose the folder that directly contains them."
        )
    said = place.json(CONFIG_FILE)
    activation = next((said[name] for name in ("activation_fn_str", "activation_fn") if said.get(name)), None)
    topk = isinstance(activation, str) and architecture_word(activation) == "topk"
    k = place.settings.get("k", said.get("k"))
    if "metadata" not in said and topk and k is not None and not _k_of(said.get("activation_fn_kwargs")):
        # Converters of several people write k beside the activation instead of among its arguments.
        return said | {"architecture": "topk", "activation_fn_kwargs": {"k": k}}
    return said


def _k_of(arguments: object) -> object:
    return arguments.get("k") if isinstance(arguments, dict) else None


def translate_old(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """Rename a config from before sae-lens 6 with sae-lens' own code (imports it). Raises BadDictionaryError."""
    from core.work.torch_library import import_model_library

    import_model_library()
    from sae_lens.loading.pretrained_sae_loaders import handle_pre_6_0_config

    try:
        return handle_pre_6_0_config(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadDictionaryError(
            f"{path} is no config that sae-lens can read ({type(error).__name__}: {error}). "
            "Expected the fields d_in, d_sae, hook_name and architecture; check the file."
        ) from error


def drop_unit_scaling(tensors: dict[str, np.ndarray], weights: Path) -> dict[str, np.ndarray]:
    """Leave out the scaling factor of files from before sae-lens 6, which is 1 unless it was finetuned.

    Raises BadDictionaryError for any other.
    """
    scaling = tensors.pop("scaling_factor", np.ones(1))
    if not np.allclose(scaling, 1):
        raise BadDictionaryError(
            f"{weights} holds a finetuned scaling_factor ({scaling.min():.3g} to {scaling.max():.3g}); "
            "expected 1, since sae-lens has no such factor any more. Multiply it into the weights and save them again."
        )
    return tensors
