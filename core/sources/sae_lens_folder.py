"""A folder as sae-lens saves it: cfg.json and sae_weights.safetensors.

The layout since sae-lens 6 is read here without importing sae-lens; the older one is first handed
to sae-lens' own translation.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.config_fields import ConfigFields
from core.dictionary import Dictionary
from core.dictionary_config import ADDITIVE, TRANSCODERS, UNFOLDED_NORMALISATIONS, DictionaryConfig
from core.errors import BadDictionaryError
from core.sources import Entry
from core.tensors import read_tensors
from core.workspace import Workspace

NAME = "folder"
TITLE = "Folder"
CONFIG_FILE, WEIGHTS_FILE = "cfg.json", "sae_weights.safetensors"
ARCHITECTURES = ADDITIVE | {"topk", "abstopk", "temporal", "matching_pursuit"}
# Saved by training checkpoints; at inference sae-lens writes both as jumprelu.
TRAINING_ONLY = {"batchtopk", "matryoshka_batchtopk"}
NORMALISATIONS = {"none", "layer_norm", "constant_norm_rescale"} | UNFOLDED_NORMALISATIONS
LONGEST_CONTEXT = 2**24


def entries(workspace: Workspace) -> list[Entry]:
    """List the folders named on the command line."""
    return [Entry(id=f"{NAME}/{path.resolve()}", title=path.resolve().name) for path in workspace.pinned]


def open(key: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open a folder that lies below an allowed root."""
    path = workspace.allowed_folder(key)
    workspace.check_files(path, (CONFIG_FILE, WEIGHTS_FILE))
    return read_folder(path, id=f"{NAME}/{path}", title=path.name, fold_decoder_norms=fold_decoder_norms)


def read_folder(
    path: Path,
    *,
    id: str,
    title: str,
    fold_decoder_norms: bool = True,
    labels: Mapping[str, str | int] | None = None,
    published: Mapping[str, float] | None = None,
) -> Dictionary:
    """Read config and weights, check them, and return the dictionary."""
    raw = read_config(path / CONFIG_FILE)
    if not (path / WEIGHTS_FILE).is_file():
        raise BadDictionaryError(
            f"{path} has a {CONFIG_FILE} but no {WEIGHTS_FILE}. "
            "Expected both, as sae-lens' save_model writes them; copy the weights beside the config."
        )
    config = parse_config(raw, path)
    tensors = drop_unit_scaling(read_tensors(path / WEIGHTS_FILE), path)
    notes = []
    if config.normalize_activations in UNFOLDED_NORMALISATIONS:
        notes.append(
            f"This dictionary expects inputs that were rescaled ({config.normalize_activations}), in a way that its "
            "folder does not hold, so activations and scores may be off. "
            "Fold the rescaling into the weights (sae-lens does so at the end of training) and save it again."
        )
    return Dictionary(
        id=id,
        title=title,
        config=config,
        raw_config=raw,
        tensors=tensors,
        fold_decoder_norms=fold_decoder_norms,
        labels=labels,
        published=published,
        notes=tuple(notes),
    )


def read_config(path: Path) -> dict[str, Any]:
    """Read cfg.json into sae-lens' current layout."""
    if not path.is_file():
        raise BadDictionaryError(
            f"{path.parent} holds no {CONFIG_FILE}, so it is no sae-lens dictionary. "
            f"Expected {CONFIG_FILE} and {WEIGHTS_FILE}; choose the folder that directly contains them."
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadDictionaryError(
            f"{path} is not valid JSON ({error}). Expected sae-lens' config; save the dictionary again."
        ) from error
    if not isinstance(raw, dict):
        raise BadDictionaryError(
            f"{path} holds a JSON {type(raw).__name__}, expected an object with sae-lens' config. "
            "Save the dictionary again."
        )
    if "metadata" not in raw:
        raw = translate_old(raw, path)
    return raw


def translate_old(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """Rename a config from before sae-lens 6 with sae-lens' own code (imports it)."""
    from core.lens import quiet_imports

    quiet_imports()
    from sae_lens.loading.pretrained_sae_loaders import handle_pre_6_0_config

    try:
        return handle_pre_6_0_config(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadDictionaryError(
            f"{path} is no config that sae-lens can read ({type(error).__name__}: {error}). "
            "Expected the fields d_in, d_sae, hook_name and architecture; check the file."
        ) from error


def drop_unit_scaling(tensors: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Leave out the scaling factor of files from before sae-lens 6, which is 1 unless it was finetuned."""
    scaling = tensors.pop("scaling_factor", np.ones(1))
    if not np.allclose(scaling, 1):
        raise BadDictionaryError(
            f"{path / WEIGHTS_FILE} holds a finetuned scaling_factor ({scaling.min():.3g} to {scaling.max():.3g}); "
            "expected 1, since sae-lens has no such factor any more. Multiply it into the weights and save them again."
        )
    return tensors


def parse_config(raw: Mapping[str, Any], path: Path) -> DictionaryConfig:
    """Turn sae-lens' config into ours, naming the field that is missing or odd."""
    top = ConfigFields(raw, path / CONFIG_FILE)
    metadata = top.group("metadata")
    architecture = top.text("architecture", needed=True)
    check_architecture(architecture, path)
    transcodes = architecture in TRANSCODERS
    d_in, d_sae = top.whole("d_in", needed=True), top.whole("d_sae", needed=True)
    subtracts = top.flag("apply_b_dec_to_input", default=not transcodes)
    if transcodes and subtracts:
        raise top.bad("apply_b_dec_to_input", "false, as a transcoder's b_dec belongs to its output")
    scalings = NORMALISATIONS | ({"constant_scalar_rescale"} if architecture == "temporal" else set())
    return DictionaryConfig(
        architecture=architecture,
        d_in=d_in,
        d_sae=d_sae,
        d_out=top.whole("d_out", needed=True) if transcodes else d_in,
        model_name=metadata.text("model_name"),
        hook_name=metadata.name("hook_name", needed=True),
        hook_name_out=metadata.name("hook_name_out") if transcodes else None,
        context_size=metadata.whole("context_size", most=LONGEST_CONTEXT),
        prepend_bos=metadata.flag("prepend_bos", default=False),
        k=top.whole("k", most=d_sae, needed=architecture in ("topk", "abstopk")),
        apply_b_dec_to_input=subtracts,
        normalize_activations=top.one_of("normalize_activations", scalings),
        reshape_activations=top.one_of("reshape_activations", {"none", "hook_z"}),
        rescale_acts_by_decoder_norm=top.flag("rescale_acts_by_decoder_norm", default=False),
        center_writing_weights=metadata.group("model_from_pretrained_kwargs").flag(
            "center_writing_weights", default=False
        ),
        training_architecture=metadata.text("training_architecture"),
    )


def check_architecture(architecture: str, path: Path) -> None:
    """Raise BadDictionaryError for an architecture that does not run at inference."""
    if architecture in TRAINING_ONLY:
        raise BadDictionaryError(
            f"{path} is a training checkpoint of a {architecture} dictionary. "
            "Expected an inference model: load it with sae-lens' TrainingSAE and call save_inference_model."
        )
    if architecture not in ARCHITECTURES:
        raise BadDictionaryError(
            f"{path} has architecture {architecture[:80]!r}; expected one of {', '.join(sorted(ARCHITECTURES))}. "
            "Convert the dictionary to one of these, or add a source that reads it."
        )
