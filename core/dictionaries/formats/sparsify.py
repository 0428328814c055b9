"""EleutherAI's sparsify: cfg.json and sae.safetensors, model and context in config.json one folder up.

Read as sparsify itself runs them: W_dec has one row per feature already, and b_dec is subtracted from
the input unless it transcodes, whether or not decoder rows are normalised.
"""

from typing import Any

from core.dictionaries.accounting import unread_note
from core.dictionaries.formats import ALL_FITS, MAYBE, NAMES_FIT, NO, Contents, Place, Said, last_part, layout, rename
from core.dictionaries.formats.stored import read_stored
from core.dictionaries.hooks import hook_of, norm_warning
from core.dictionaries.transcoders import without_input_bias
from core.files.fields import ConfigFields

NAME = "sparsify"
TITLE = "cfg.json and sae.safetensors"
_CONFIG, _WEIGHTS, _RUN = "cfg.json", "sae.safetensors", "../config.json"
_NAMES = {"W_enc": "encoder.weight.T", "b_enc": "encoder.bias", "W_dec": "W_dec", "b_dec": "b_dec"}
_UNABLE = ("embed_skip", "gram_lookup")
"""Settings that make the output depend on more than the input."""


def score(place: Place) -> int:
    """Both files make a folder of this format; what cfg.json says tells it from others."""
    if not any(place.names(name) for name in (_CONFIG, _WEIGHTS)) or not place.has(_WEIGHTS):
        return NO
    if not place.has(_CONFIG):
        return MAYBE
    return ALL_FITS if {"expansion_factor", "num_latents"} & place.glance(_CONFIG).keys() else NAMES_FIT


def files(place: Place) -> tuple[str, ...]:
    return tuple(name for name in (_WEIGHTS, _CONFIG, _RUN) if place.may_read(name))


def read(place: Place) -> Contents:
    """Read config and weights; with a skip connection or transcoding they become a TopK transcoder.

    Raises BadDictionaryError.
    """
    said, run = place.json(_CONFIG), ConfigFields(place.glance(_RUN), place.folder / _RUN)
    config = ConfigFields(said, place.folder / _CONFIG)
    check_settings(config)
    transcodes, skips = config.flag("transcode", default=False), config.flag("skip_connection", default=False)
    path = place.need(_WEIGHTS)
    stored = read_stored(path)
    tensors = rename(stored.arrays, _NAMES | ({"W_skip": "W_skip"} if skips else {}), path)
    model = last_part(run.value("model"))
    metadata, inferred, notes = whereabouts(place.folder.name, transcodes, model)
    metadata |= {"model_name": model, "context_size": run.value("ctx_len")}
    if skips and not transcodes:
        # In sae-lens only transcoders have a skip connection, and they subtract nothing.
        tensors = without_input_bias(tensors)
        metadata["hook_name_out"] = metadata.get("hook_name")
    signed = config.flag("signed", default=False)
    raw = layout(
        architecture(transcodes, skips, signed, config),
        tensors,
        path,
        metadata=metadata,
        d_in=config.value("d_in"),
        d_sae=config.value("num_latents") or None,
        k=said.get("k", 32),
        apply_b_dec_to_input=not (transcodes or skips),
    )
    config.value("k")
    for known in (
        "sae",
        "hookpoints",
        "hook_mode",
        "layers",
        "layer_stride",
        "load_in_8bit",
        "max_examples",
        "text_column",
    ):
        run.value(known)
    notes += unread_note(_CONFIG, config) + unread_note("config.json one folder up", run)
    return Contents(raw, tensors, _CONFIG, inferred=stored.inferred + inferred, notes=notes)


def said(place: Place) -> Said:
    """Return what cfg.json, config.json above it and the folder's name say. Raises BadDictionaryError."""
    config, run = ConfigFields(place.json(_CONFIG), place.folder / _CONFIG), place.glance(_RUN)
    transcodes, skips = config.flag("transcode", default=False), config.flag("skip_connection", default=False)
    model, factor = last_part(run.get("model")), config.count("expansion_factor") or 0
    above = ConfigFields(run, place.folder / _RUN)
    return Said(
        kind=architecture(transcodes, skips, config.flag("signed", default=False), config),
        d_sae=config.count("num_latents") or factor * (config.whole("d_in") or 0) or None,
        hook_name=whereabouts(place.folder.name, transcodes, model)[0].get("hook_name"),
        model_name=model,
        k=config.whole("k"),
        seed=above.count("seed"),
        data=above.text("dataset"),
    )


def check_settings(config: ConfigFields) -> None:
    """Raise BadDictionaryError for settings that no architecture of sae-lens has."""
    config.one_of("activation", {"topk"}, default="topk")
    for name in _UNABLE:
        if config.flag(name, default=False):
            raise config.bad(name, "false: sae-lens can run no dictionary that needs more than its input")


def architecture(transcodes: bool, skips: bool, signed: bool, config: ConfigFields) -> str:
    """Return which of sae-lens' architectures, or of ours beside them, computes the same.

    Raises BadDictionaryError if none does.
    """
    if not (transcodes or skips):
        return "abstopk" if signed else "topk"
    if signed:
        raise config.bad("signed", "false: there is no transcoder with signed features")
    return "topk_skip_transcoder" if skips else "topk_transcoder"


def whereabouts(
    folder: str, transcodes: bool, model: str | None
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return hooks from the name of the folder, which is the module's, with phrases and warnings about them."""
    output = hook_of(folder, "out", model_name=model)
    hook = hook_of(folder, "in", model_name=model) if transcodes else output
    if not hook:
        return {}, (), ()
    metadata = {"hook_name": hook} | ({"hook_name_out": output} if transcodes else {})
    written = f" to {output}" if transcodes and output else ""
    inferred = (f"hook {hook}{written} from the folder's name",)
    return metadata, inferred, norm_warning(hook)
