"""A model's architecture from its config.json: transformers' class, its tree of modules, and the places of its hooks.

No weights are read, and no code that comes with a model is run.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from core.errors import BadDictionaryError, DoesNotFitError, LoupeError
from core.models.layer_kinds import MOST_LAYERS, settle
from core.work.torch_library import import_model_library

_BUILDING = threading.RLock()
_LAYERS = {"num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth", "encoder_layers", "decoder_layers"}
_HOW = {"attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"}
"""Entries that choose kernels, which may be named as a repository of the hub. We choose ourselves."""
_HOW |= {"bos_token_id"}
"""It shapes no weight, and an odd value would refuse the whole model; core.models.tokenizer_files reads it."""
_GIVES_LOGITS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""Endings of the classes that are language models with an unembedding."""
_SAME_TREE = {"Gemma3nForCausalLM": ("Gemma3nForConditionalGeneration", "model.language_model.", "model.")}
"""Classes that TransformerLens does not name: a class that it does, and how the beginnings of paths differ."""


class Architecture:
    """One model's config. Error messages call the model `where`; `names` are those of the tensors in its files."""

    def __init__(self, stored: Mapping[str, Any], where: str, names: Iterable[str] = ()):
        """Raise BadDictionaryError for a config that transformers cannot read, or only by running a stranger's code."""
        import_model_library()
        self.where = where
        config_class = _config_class(stored, where)
        try:
            plain, self.notes = settle(_plain(stored), names)
            self.config = config_class.from_dict(plain, attn_implementation="eager")
            text = self.config.get_text_config(decoder=True)
        except Exception as error:  # a config checks itself in many ways
            raise _unusable(where, error) from error
        self.text_config = text
        """The config of the language model alone, where the whole one has parts for pictures or sound."""
        self.name = _class_name(stored, self.config, where)
        """The class in transformers, such as GPT2LMHeadModel."""

    @property
    def model_class(self) -> type:
        import_model_library()
        import transformers

        return getattr(transformers, self.name)

    @cached_property
    def meta(self):
        """The whole model on torch's meta device: modules with shapes and names, and no memory for weights."""
        import_model_library()
        import torch

        try:
            with _BUILDING, torch.device("meta"):
                return self.model_class(self.config).eval()
        except Exception as error:  # each architecture fails in its own way on sizes that do not fit each other
            raise _unusable(self.where, error) from error

    @cached_property
    def adapter(self):
        """TransformerLens' map of this architecture: `component_mapping` names embed, blocks, ln_final, unembed.

        Raises DoesNotFitError where TransformerLens has none.
        """
        import_model_library()
        import torch
        from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
        from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf

        known, theirs, ours = _SAME_TREE.get(self.name, (self.name, "", ""))
        try:
            fields = build_bridge_config_from_hf(self.config, known, self.where, torch.float32)
            # Some want a library for pictures, which their map of modules does without.
            map_alone = type(known, (SUPPORTED_ARCHITECTURES[known],), {"required_libraries": []})
            adapter = map_alone(fields)
        except Exception as error:  # an adapter that meets sizes it did not expect raises anything
            raise DoesNotFitError(
                f"TransformerLens {_version('transformer_lens')} has no map of {self.name}, which {self.where} is "
                f"({type(error).__name__}: {str(error)[:200]}). Expected an architecture whose hooks it names; choose "
                "another model."
            ) from error
        for component in adapter.component_mapping.values():
            if theirs and component.name and component.name.startswith(theirs):
                component.name = ours + component.name.removeprefix(theirs)
        return adapter


def read_architecture(folder: Path, names: Iterable[str] = ()) -> Architecture:
    """Read config.json of a folder whose files hold tensors of these names. Raises BadDictionaryError."""
    try:
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(stored, dict):
            raise ValueError(f"a {type(stored).__name__}, no object")
    except (OSError, ValueError, RecursionError) as error:
        raise _unusable(str(folder), error) from error
    return Architecture(stored, str(folder), names)


def _config_class(stored: Mapping[str, Any], where: str) -> type:
    import_model_library()
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = stored.get("model_type")
    if isinstance(kind, str) and kind in CONFIG_MAPPING:
        return CONFIG_MAPPING[kind]
    if stored.get("auto_map"):
        raise BadDictionaryError(
            f"{where} is of type {str(kind)[:80]!r}, whose code lies beside its weights (auto_map in config.json). "
            f"Code that comes with a model is never run here (no trust_remote_code): expected a type that "
            f"transformers {_version('transformers')} has. Save the model under such a type, or choose another one."
        )
    raise BadDictionaryError(
        f"{where} is of type {str(kind)[:80]!r} (model_type in config.json), which transformers "
        f"{_version('transformers')} does not have. Expected one that it has, such as gpt2, llama or gemma2; check the "
        "config, or choose another model."
    )


def _class_name(stored: Mapping[str, Any], config: Any, where: str) -> str:
    """Return the class that the config names if it gives logits, else the one that its type has for text."""
    import_model_library()
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as FOR_TEXT

    named = stored.get("architectures")
    name = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""
    if (name.endswith("Model") and not name.endswith(_GIVES_LOGITS)) or not name:  # saved without its unembedding
        name = FOR_TEXT.get(config.model_type) or ""
    model_class = getattr(transformers, name, None) if name.endswith(_GIVES_LOGITS) else None
    whose = getattr(model_class, "config_class", None)
    if whose is None or not isinstance(config, whose) or getattr(config, "is_encoder_decoder", False):
        raise BadDictionaryError(
            f"{where} is of type {str(config.model_type)[:80]!r}, class {name[:80] or '(none)'}, which does not "
            "predict next tokens from left to right. Expected a language model such as gpt2 or llama; choose another."
        )
    return name


def _plain(stored: Any) -> Any:
    """Copy a config without what names kernels. Raises ValueError for a number of layers that nobody could run."""
    if isinstance(stored, list):
        return [_plain(item) for item in stored]
    if not isinstance(stored, Mapping):
        return stored
    if stored.keys() == {"__float__"}:  # transformers' way to write infinity (Mamba 2 has one)
        return float(stored["__float__"])
    for name, value in stored.items():
        if name in _LAYERS and isinstance(value, int | float) and value > MOST_LAYERS:
            raise ValueError(f"{name} is {value}, of at most {MOST_LAYERS}")
    return {key: _plain(value) for key, value in stored.items() if key not in _HOW}


def _unusable(where: str, error: Exception) -> LoupeError:
    return BadDictionaryError(
        f"{where} is no model that transformers can build ({type(error).__name__}: {str(error)[:300]}). Expected a "
        "config.json in Hugging Face's layout; save the model again with save_pretrained, or choose another one."
    )


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
