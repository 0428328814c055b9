"""sae-lens' own folders: cfg.json and sae_weights.safetensors.

The layout since sae-lens 6 is read here without importing sae-lens; the older one is first handed
to sae-lens' own translation.
"""

from pathlib import Path
from typing import Any

import numpy as np

from core.dictionaries.config import UNFOLDED_NORMALISATIONS
from core.dictionaries.formats import ALL_FITS, MAYBE, NAMES_FIT, NO, Contents, Place
from core.dictionaries.parsing import CONFIG_FILE
from core.errors import BadDictionaryError
from core.files.tensors import read_tensors

NAME = "sae-lens"
TITLE = "cfg.json and sae_weights.safetensors"
WEIGHTS_FILE = "sae_weights.safetensors"


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
    raw, path = read_config(place), place.folder
    if not place.has(WEIGHTS_FILE):
        raise BadDictionaryError(
            f"{path} has a {CONFIG_FILE} but no {WEIGHTS_FILE}. "
            "Expected both, as sae-lens' save_model writes them; copy the weights beside the config."
        )
    weights = place.need(WEIGHTS_FILE)
    tensors = drop_unit_scaling(read_tensors(weights), weights)
    notes = []
    if raw.get("normalize_activations") in list(UNFOLDED_NORMALISATIONS):  # a list: what is there may not be hashable
        notes.append(
            f"This dictionary expects inputs that were rescaled ({raw['normalize_activations']}), but its folder does "
            "not say how, so activations and scores may be wrong. "
            "Fold the rescaling into the weights (sae-lens does so at the end of training) and save it again."
        )
    return Contents(raw, tensors, CONFIG_FILE, notes=tuple(notes), hook_needed=True)


def read_config(place: Place) -> dict[str, Any]:
    """Read cfg.json into sae-lens' current layout. Raises BadDictionaryError."""
    if not place.has(CONFIG_FILE):
        raise BadDictionaryError(
            f"{place.folder} holds no {CONFIG_FILE}, so it is no sae-lens dictionary. "
            f"Expected {CONFIG_FILE} and {WEIGHTS_FILE}; choose the folder that directly contains them."
        )
    raw = place.json(CONFIG_FILE)
    return raw if "metadata" in raw else translate_old(raw, place.folder / CONFIG_FILE)


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
