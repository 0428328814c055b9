"""Reads a config in sae-lens' present layout. Errors name the missing or odd field."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.dictionaries.config import ADDITIVE, TRANSCODERS, UNFOLDED_NORMALISATIONS, WITH_K, DictionaryConfig
from core.dictionaries.hooks import hook_in_config, hook_of
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields
from core.installation import started_with

CONFIG_FILE = "cfg.json"
ARCHITECTURES = ADDITIVE | TRANSCODERS | {"topk", "abstopk", "temporal", "matching_pursuit"}
# Saved by training checkpoints; at inference sae-lens writes both as jumprelu.
TRAINING_ONLY = {"batchtopk", "matryoshka_batchtopk"}
NORMALISATIONS = {"none", "layer_norm", "constant_norm_rescale"} | UNFOLDED_NORMALISATIONS
LONGEST_CONTEXT = 2**24
_LONGEST_NAME = 200
MODEL_OPTIONS = {"center_writing_weights", "fold_ln", "center_unembed", "fold_value_biases", "device", "dtype"}
"""Ways in which a config may want the model loaded. This app does the first; the others change nothing that a
dictionary reads."""


def parse_config(
    raw: Mapping[str, Any], path: Path, *, config_file: str = CONFIG_FILE, hook_needed: bool = True
) -> DictionaryConfig:
    """Check a config and return it under our names; `path` and `config_file` are for messages.

    Raises BadDictionaryError, naming the field.
    """
    top = ConfigFields(raw, path / config_file)
    metadata = top.group("metadata")
    architecture = top.text("architecture", needed=True)
    check_architecture(architecture, path)
    transcodes = architecture in TRANSCODERS
    d_in, d_sae = top.whole("d_in", needed=True), top.whole("d_sae", needed=True)
    subtracts = top.flag("apply_b_dec_to_input", default=not transcodes)
    if transcodes and subtracts:
        raise top.bad("apply_b_dec_to_input", "false, as a transcoder's b_dec belongs to its output")
    scalings = NORMALISATIONS | ({"constant_scalar_rescale"} if architecture == "temporal" else set())
    model_name = metadata.text("model_name")
    hook_name = metadata.name("hook_name", needed=hook_needed) or ""
    hook_name_out = metadata.name("hook_name_out") if transcodes else None
    return DictionaryConfig(
        architecture=architecture,
        d_in=d_in,
        d_sae=d_sae,
        d_out=top.whole("d_out", needed=True) if transcodes else d_in,
        model_name=model_name,
        hook_name=_hook(hook_name, metadata.name("hf_hook_name"), model_name),
        hook_name_out=_hook(hook_name_out, metadata.name("hf_hook_name_out"), model_name) if hook_name_out else None,
        context_size=metadata.whole("context_size", most=LONGEST_CONTEXT),
        prepend_bos=metadata.flag("prepend_bos", default=False),
        k=top.whole("k", most=d_sae, needed=architecture in WITH_K),
        apply_b_dec_to_input=subtracts,
        normalize_activations=top.one_of("normalize_activations", scalings),
        reshape_activations=top.one_of("reshape_activations", {"none", "hook_z"}),
        rescale_acts_by_decoder_norm=top.flag("rescale_acts_by_decoder_norm", default=False),
        center_writing_weights=metadata.group("model_from_pretrained_kwargs").flag(
            "center_writing_weights", default=False
        ),
        training_architecture=metadata.text("training_architecture"),
        hook_head_index=metadata.count("hook_head_index"),
        matryoshka_widths=_widths(metadata, d_sae),
        reconstructs=metadata.flag("reconstructs", default=True),
        target_layer=metadata.count("target_layer"),
        read_hooks=tuple(hook_in_config(hook, model_name) for hook in _texts(metadata, "read_hooks")),
        blocks=metadata.whole("feature_blocks") or 1,
        sides=metadata.whole("sides") or 1,
        read_models=_texts(metadata, "read_models"),
        side=metadata.count("side"),
    )


def _texts(metadata: ConfigFields, name: str) -> tuple[str, ...]:
    texts = metadata.value(name)
    if texts is None:
        return ()
    if isinstance(texts, list | tuple) and all(isinstance(text, str) and len(text) <= _LONGEST_NAME for text in texts):
        return tuple(texts)
    raise metadata.bad(name, "a list of names")


def _hook(hook_name: str, hf_hook_name: str | None, model_name: str | None) -> str:
    # If the config says both, the module of the Hugging Face model is the place that was read.
    return (hook_of(hf_hook_name, model_name=model_name) if hf_hook_name else None) or hook_in_config(
        hook_name, model_name
    )


def _widths(metadata: ConfigFields, d_sae: int) -> tuple[int, ...]:
    """Return the prefixes that sae-lens keeps among the details of training; sae-lens adds d_sae where it lacks."""
    widths = metadata.group("training_architecture_details").widths("matryoshka_widths", most=d_sae)
    return widths if not widths or widths[-1] == d_sae else (*widths, d_sae)


def not_applied(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a note on how the config wants the model loaded where that is not done here; empty if all of it is.

    Folding the norms and centring the unembedding change no activation that a dictionary reads.
    """
    metadata = raw.get("metadata")
    options = metadata.get("model_from_pretrained_kwargs") if isinstance(metadata, Mapping) else None
    asked = {str(k): v for k, v in options.items() if k not in MODEL_OPTIONS} if isinstance(options, Mapping) else {}
    if not asked:
        return ()
    listed = ", ".join(f"{name}={value!r:.40}" for name, value in asked.items())
    return (
        f"The dictionary was trained on a model loaded with {listed[:300]}, which is not done here, so it may read "
        "other values than in training. Name a model folder that was saved this way: "
        f"{started_with('--model FOLDER')}",
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
            "Convert the dictionary to one of these, or add a format that reads it."
        )
