"""The config of a model in TransformerLens' names, and which hooks it has by that."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import BadDictionaryError

WHOLE_NUMBERS = ("d_model", "n_ctx", "d_vocab", "n_layers", "n_heads", "d_head", "d_mlp")
HOOK_WIDTHS = {
    **dict.fromkeys(("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out"), "stream"),
    **dict.fromkeys(("ln1.hook_normalized", "ln2.hook_normalized"), "stream"),
    **dict.fromkeys(("attn.hook_q", "attn.hook_z"), "heads"),
    **dict.fromkeys(("attn.hook_k", "attn.hook_v"), "key-value heads"),
    **dict.fromkeys(("mlp.hook_pre", "mlp.hook_post"), "mlp"),
}
"""The hooks of a block that hold one vector for each token, and which width it has. Attention patterns hold none."""
BEHIND_NORM = {
    **dict.fromkeys(("ln1.hook_out", "attn.hook_in"), "ln1.hook_normalized"),
    **dict.fromkeys(("ln2.hook_out", "mlp.hook_in"), "ln2.hook_normalized"),
}
"""What enters attention and MLP, and the hook inside the norm before it, which lies before the norm's weights."""
_SIZES = {"heads": "n_heads", "key-value heads": "n_heads", "mlp": "d_mlp"}


def read_model_config(folder: Path) -> dict[str, Any]:
    """Read and check config.json of a model folder in TransformerLens' names.

    Raises BadDictionaryError if it is no such config.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        odd = [name for name in WHOLE_NUMBERS if type(config[name]) is not int or config[name] < 1]
        shared = config.get("n_key_value_heads")
        odd += [] if shared is None or (type(shared) is int and shared > 0) else ["n_key_value_heads"]
        odd += [] if isinstance(config["model_name"], str) else ["model_name"]
        if odd:
            raise ValueError(f"{odd[0]} is {config[odd[0]]!r:.80}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadDictionaryError(
            f"{folder} is no model folder ({type(error).__name__}: {error}). Expected config.json with model_name "
            f"and whole numbers {', '.join(WHOLE_NUMBERS)}, beside model.safetensors and tokenizer.json. "
            "Export the model again, or name another folder."
        ) from error
    return config


def block_hooks(config: Mapping[str, Any]) -> list[str]:
    """Return those hooks of HOOK_WIDTHS that the blocks of a model have.

    Where attention and MLP run in parallel (GPT-J, every Pythia), there is no hook_resid_mid between them.
    """
    attn_only = bool(config.get("attn_only"))
    absent = {"hook_resid_mid"} if attn_only or config.get("parallel_attn_mlp") else set()
    # A config of Hugging Face's layout says no size of what the model has not.
    absent |= {point for point, size in HOOK_WIDTHS.items() if size in _SIZES and _SIZES[size] not in config}
    if attn_only:
        absent |= {"mlp.hook_pre", "mlp.hook_post", "hook_mlp_out", "ln2.hook_normalized"}
    if not _has_norms(config):
        absent |= {"ln1.hook_normalized", "ln2.hook_normalized"}
    return [point for point in HOOK_WIDTHS if point not in absent]


def _has_norms(config: Mapping[str, Any]) -> bool:
    return config.get("normalization_type", "LN") is not None


def n_heads(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of heads by their kind in HOOK_WIDTHS: several heads may share one pair of key and value."""
    n = config.get("n_heads", 0)
    return {"heads": n, "key-value heads": config.get("n_key_value_heads") or n}


def hook_width(config: Mapping[str, Any], hook_name: str) -> int | None:
    """The width of the activations at a hook, from the sizes in a model's config; None if the model lacks the hook."""
    first, _, rest = hook_name.partition(".")
    layer, _, point = rest.partition(".")
    point = BEHIND_NORM.get(point, point)
    if first == "blocks" and layer in map(str, range(config["n_layers"])) and point in block_hooks(config):
        widths = {"stream": config["d_model"], "mlp": config.get("d_mlp")}
        widths |= {kind: n * config.get("d_head", 0) for kind, n in n_heads(config).items()}
        return widths[HOOK_WIDTHS[point]]
    whole = ["hook_embed"] + (["ln_final.hook_normalized"] if _has_norms(config) else [])
    whole += ["hook_pos_embed"] if config.get("positional_embedding_type", "standard") == "standard" else []
    return config["d_model"] if hook_name in whole else None
