"""Build running TransformerLens models from the files of a folder, without a network."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from core.errors import BadDictionaryError
from core.files.tensors import read_tensors
from core.models import names
from core.work.temporary import temporary_folder

BY_NAME = ("llama", "gemma")
"""Parts of names by which TransformerLens recognises a model; it takes their shapes from the name, not the config."""


def weights_nbytes(config: Mapping[str, Any]) -> int:
    """Bytes of a model's matrices in float32, from the sizes in its config (TransformerLens' names)."""
    if config.get("n_params"):
        return 4 * config["n_params"]
    d, d_mlp = config["d_model"], config["d_mlp"]
    attention = 4 * d * config["n_heads"] * config["d_head"]
    mlp = (3 if config.get("gated_mlp") else 2) * d * d_mlp
    return 4 * (config["n_layers"] * (attention + mlp) + (2 * config["d_vocab"] + config["n_ctx"]) * d)


def build_from_own_names(folder: Path, config: Mapping[str, Any]):
    """Build a HookedTransformer in float32 on the CPU from its own config and state dict.

    Raises BadDictionaryError if the two do not fit TransformerLens or each other.
    """
    from core.work.torch_library import as_tensor, import_model_library

    import_model_library()
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    unheard = sorted(set(config) - {field.name for field in fields(HookedTransformerConfig)})
    if unheard:
        raise BadDictionaryError(
            f"config.json in {folder} has {', '.join(unheard)[:200]}, which TransformerLens does not know. "
            "Expected the fields of its HookedTransformerConfig; export the config again."
        )
    model = HookedTransformer(HookedTransformerConfig(**config, device="cpu", init_weights=False))
    state = {k: as_tensor(v).clone() for k, v in read_tensors(folder / "model.safetensors").items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    lacking = [name for name in missing if not name.endswith((".mask", ".IGNORE", "rotary_sin", "rotary_cos"))]
    if lacking or unexpected:
        raise BadDictionaryError(
            f"The weights in {folder} do not fit its config: missing {lacking[:5]}, "
            f"unexpected {unexpected[:5]}. Export model and config together."
        )
    return model


def build_from_layout(folder: Path, layout: Mapping[str, Any], name: str, *, n_ctx: int):
    """Build a HookedTransformer in float32 on the CPU, its weights as they are (nothing folded or centred).

    `name` is a hub repository or any other name. Raises BadDictionaryError if transformers or TransformerLens
    cannot read the folder.
    """
    from core.work.torch_library import import_model_library

    import_model_library()
    import torch
    import transformer_lens.loading_from_pretrained as conversion
    from transformer_lens import HookedTransformer
    from transformers import AutoModelForCausalLM

    try:
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        # TransformerLens reads the config from a folder and guesses the family from the folder's path; so the folder
        # must have a name that says nothing.
        with temporary_folder() as neutral:
            _write_config(neutral, layout)
            known = names.aliases().get(name.lower(), "")
            where = known if any(part in known.lower() for part in BY_NAME) else str(neutral)
            config = conversion.get_pretrained_model_config(
                where, hf_cfg=theirs.config.to_dict(), fold_ln=False, device="cpu", n_ctx=n_ctx
            )
            state = conversion.get_pretrained_state_dict(where, config, theirs)
        config.tokenizer_name = None
        model = HookedTransformer(config, move_to_device=False)
        model.load_and_process_state_dict(
            state, fold_ln=False, center_writing_weights=False, center_unembed=False, fold_value_biases=False
        )
    except Exception as error:  # damaged files make these libraries raise errors of any kind
        raise BadDictionaryError(
            f"TransformerLens cannot build the model in {folder} ({type(error).__name__}: {str(error)[:300]}). "
            "Expected a model of a family it knows, in Hugging Face's layout; export it from TransformerLens, or "
            "choose another."
        ) from error
    return model


def _write_config(folder: Path, layout: Mapping[str, Any]) -> None:
    config = dict(layout)
    if config.get("model_type") == "gpt2":  # newer files leave out n_ctx, but TransformerLens needs it
        config.setdefault("n_ctx", config["n_positions"])
    (folder / "config.json").write_text(json.dumps(config))
