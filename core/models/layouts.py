"""Model folders in Hugging Face's layout: for each family, how its fields and tensors become ours.

The conventions are TransformerLens' conversions, without its processing: W_U is transposed, Gemma's
embedding is scaled by the root of its width and its norms by 1 + weight. A new family is one entry.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import BadDictionaryError
from core.files.tensors import file_sha256, read_tensors

WEIGHTS_FILE, INDEX_FILE, CONFIG_FILE = "model.safetensors", "model.safetensors.index.json", "config.json"
LONGEST = 8192
"""Contexts are cut to this length: no dictionary was trained on more, and pages scale with it."""


def _plain(array: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    return array


def _turned(array: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    return array.T


def _by_head(array: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    return array.reshape(config["n_heads"], config["d_head"], config["d_model"])


def _turned_by_head(array: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    return _by_head(np.ascontiguousarray(array.T), config)


def _scaled(array: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    return array * np.float32(config["d_model"] ** 0.5)


def _one_more(array: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    return array + np.float32(1)


@dataclass(frozen=True)
class Source:
    """Where one of our tensors comes from."""

    names: tuple[str, ...]
    """Stored names to try in this order; '{}' stands for the layer."""
    turn: Callable[[np.ndarray, Mapping[str, Any]], np.ndarray] = _plain
    """Gives our tensor from the stored one and our config."""


@dataclass(frozen=True)
class Family:
    """One model family."""

    prefixes: tuple[str, ...]
    """Any of these may stand before every stored name."""
    fields: Mapping[str, str]
    """Our config names, and theirs."""
    fixed: Mapping[str, str]
    """Our config names, with the value that all models of the family have."""
    tensors: Mapping[str, Source]
    """Our tensor names ('{}' is the layer), and their sources."""
    optional: Mapping[str, str] = field(default_factory=dict)
    """As `fields`, but a config may lack them."""
    parallel: str = ""
    """Their config name for attention and MLP in parallel, which is true by default; empty if never parallel."""


def _fields(d_model: str, n_ctx: str, n_layers: str, n_heads: str) -> dict[str, str]:
    named = {"d_model": d_model, "n_ctx": n_ctx, "n_layers": n_layers, "n_heads": n_heads}
    return named | {"d_vocab": "vocab_size"}


_WIDE = _fields("hidden_size", "max_position_embeddings", "num_hidden_layers", "num_attention_heads")
_GPT2 = Family(
    prefixes=("", "transformer."),
    fields=_fields("n_embd", "n_positions", "n_layer", "n_head"),
    optional={"d_mlp": "n_inner", "act_fn": "activation_function"},
    fixed={"normalization_type": "LN", "positional_embedding_type": "standard"},
    tensors={
        "embed.W_E": Source(("wte.weight",)),
        "pos_embed.W_pos": Source(("wpe.weight",)),
        "unembed.W_U": Source(("lm_head.weight", "wte.weight"), _turned),
        "ln_final.w": Source(("ln_f.weight",)),
        "ln_final.b": Source(("ln_f.bias",)),
        # Conv1D stores its weights as (in, out), as we do: no transposing.
        "blocks.{}.mlp.W_in": Source(("h.{}.mlp.c_fc.weight",)),
        "blocks.{}.mlp.W_out": Source(("h.{}.mlp.c_proj.weight",)),
        "blocks.{}.attn.W_O": Source(("h.{}.attn.c_proj.weight",), _by_head),
    },
)
_NEO = Family(
    prefixes=_GPT2.prefixes,
    fields=_fields("hidden_size", "max_position_embeddings", "num_layers", "num_heads"),
    optional={"d_mlp": "intermediate_size", "act_fn": "activation_function"},
    fixed=_GPT2.fixed,
    tensors={
        **_GPT2.tensors,
        "blocks.{}.mlp.W_in": Source(("h.{}.mlp.c_fc.weight",), _turned),
        "blocks.{}.mlp.W_out": Source(("h.{}.mlp.c_proj.weight",), _turned),
        "blocks.{}.attn.W_O": Source(("h.{}.attn.attention.out_proj.weight",), _turned_by_head),
    },
)
_NEOX = Family(
    prefixes=("gpt_neox.", ""),
    fields=_WIDE,
    optional={"d_mlp": "intermediate_size", "act_fn": "hidden_act"},
    fixed={"normalization_type": "LN", "positional_embedding_type": "rotary"},
    parallel="use_parallel_residual",
    tensors={
        "embed.W_E": Source(("embed_in.weight",)),
        "unembed.W_U": Source(("embed_out.weight", "lm_head.weight", "embed_in.weight"), _turned),
        "ln_final.w": Source(("final_layer_norm.weight",)),
        "ln_final.b": Source(("final_layer_norm.bias",)),
        "blocks.{}.mlp.W_in": Source(("layers.{}.mlp.dense_h_to_4h.weight",), _turned),
        "blocks.{}.mlp.W_out": Source(("layers.{}.mlp.dense_4h_to_h.weight",), _turned),
        "blocks.{}.attn.W_O": Source(("layers.{}.attention.dense.weight",), _turned_by_head),
    },
)
_LLAMA = Family(
    prefixes=("model.", ""),
    fields=_WIDE,
    optional={"d_mlp": "intermediate_size", "act_fn": "hidden_act", "d_head": "head_dim"},
    fixed={"normalization_type": "RMS", "positional_embedding_type": "rotary"},
    tensors={
        "embed.W_E": Source(("embed_tokens.weight",)),
        "unembed.W_U": Source(("lm_head.weight", "embed_tokens.weight"), _turned),
        "ln_final.w": Source(("norm.weight",)),
        "blocks.{}.mlp.W_in": Source(("layers.{}.mlp.up_proj.weight",), _turned),
        "blocks.{}.mlp.W_out": Source(("layers.{}.mlp.down_proj.weight",), _turned),
        "blocks.{}.attn.W_O": Source(("layers.{}.self_attn.o_proj.weight",), _turned_by_head),
    },
)
_GEMMA = Family(
    prefixes=_LLAMA.prefixes,
    fields=_LLAMA.fields,
    optional=_LLAMA.optional | {"act_fn": "hidden_activation"},
    fixed=_LLAMA.fixed,
    tensors={
        **_LLAMA.tensors,
        "embed.W_E": Source(("embed_tokens.weight",), _scaled),
        "ln_final.w": Source(("norm.weight",), _one_more),
    },
)
FAMILIES = {
    "gpt2": _GPT2,
    "gpt_neo": _NEO,
    "gpt_neox": _NEOX,
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), _LLAMA),
    **dict.fromkeys(("gemma", "gemma2", "gemma3_text"), _GEMMA),
}
"""By model_type in config.json."""
EMBEDDINGS = ("embed.W_E", "pos_embed.W_pos", "unembed.W_U", "ln_final.w", "ln_final.b")
"""The tensors that the weight pages of a dictionary on the residual stream need."""


def is_layout(config: object) -> bool:
    """Whether a config.json is in Hugging Face's layout rather than TransformerLens'."""
    return isinstance(config, dict) and ("model_type" in config or "architectures" in config)


def read_layout_config(folder: Path) -> dict[str, Any] | None:
    """Return config.json of a folder in Hugging Face's layout; None for any other folder."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return config if is_layout(config) else None


def translate_config(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the config in TransformerLens' names: the entries that a weight page needs.

    Raises BadDictionaryError for a family that is not known, KeyError for a field that is missing.
    """
    family = family_of(config)
    ours = {key: config[theirs] for key, theirs in family.fields.items()} | dict(family.fixed)
    ours |= {key: config[theirs] for key, theirs in family.optional.items() if config.get(theirs) is not None}
    if family.parallel and config.get(family.parallel, True):
        ours["parallel_attn_mlp"] = True
    ours.setdefault("d_mlp", 4 * ours["d_model"])
    ours.setdefault("d_head", ours["d_model"] // (ours["n_heads"] or 1))
    return ours | {"n_ctx": min(ours["n_ctx"], LONGEST), "model_name": name}


def family_of(config: Mapping[str, Any]) -> Family:
    """Return the family of a config in Hugging Face's layout; raise BadDictionaryError for an unknown one."""
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        raise BadDictionaryError(
            f"Models of type {kind[:80]!r} are not read straight from their files. Expected one of "
            f"{', '.join(FAMILIES)}. Save the model from TransformerLens (config.json in its names, its state dict as "
            "model.safetensors) and name that folder with --model."
        )
    return FAMILIES[kind]


def stored_names(config: Mapping[str, Any], names: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    """Map our names of tensors to the names that a file stores; tensors that the file lacks are left out."""
    family, present = family_of(config), set(stored)
    by_ours = {}
    for name in names:
        layer, source = _source(family, name)
        names_of_theirs = source.names if source else ()
        tries = (prefix + n.format(layer) for n in names_of_theirs for prefix in (*family.prefixes, ""))
        match = next((theirs for theirs in tries if theirs in present), None)
        if match is not None:
            by_ours[name] = match
    return by_ours


def _source(family: Family, name: str) -> tuple[str, Source | None]:
    """Return the layer in one of our names ('' if it has none) and the source of its tensor."""
    match = re.match(r"blocks\.(\d+)\.(.*)", name)
    layer, general = (match[1], f"blocks.{{}}.{match[2]}") if match else ("", name)
    return layer, family.tensors.get(general)


def read_layout(folder: Path, config: Mapping[str, Any], names: list[str]) -> dict[str, np.ndarray]:
    """Read tensors by our names from a Hugging Face folder, as float32; absent ones are left out.

    Only these are read, from the shards that hold them. b_U is zero, as no family here has a bias on its
    unembedding. Raises BadDictionaryError for files that are missing or damaged.
    """
    ours, shards = translate_config(config, ""), shard_of(folder)
    by_ours = stored_names(config, names, shards)
    raw: dict[str, np.ndarray] = {}
    for shard in sorted({shards[name] for name in by_ours.values()}):
        raw |= read_tensors(folder / shard, [name for name in by_ours.values() if shards[name] == shard])
    family = family_of(config)
    tensors = {}
    for name, theirs in by_ours.items():
        _, source = _source(family, name)
        try:
            tensors[name] = source.turn(raw[theirs], ours)
        except ValueError as error:
            raise BadDictionaryError(
                f"{theirs} in {folder} has shape {raw[theirs].shape}; expected one that fits config.json ({error}). "
                "Save model and config together."
            ) from error
    if tensors.get("pos_embed.W_pos") is not None:
        tensors["pos_embed.W_pos"] = tensors["pos_embed.W_pos"][: ours["n_ctx"]]
    if "unembed.b_U" in names and "unembed.W_U" in tensors:
        tensors["unembed.b_U"] = np.zeros(ours["d_vocab"], np.float32)
    return tensors


def shard_of(folder: Path) -> dict[str, str]:
    """Return the file that holds each tensor, by name. Raises BadDictionaryError for a damaged index or file."""
    from safetensors import SafetensorError, safe_open

    single, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    try:
        if single.is_file():
            with safe_open(single, framework="numpy") as file:
                return dict.fromkeys(file.keys(), WEIGHTS_FILE)
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {name: shard for name, shard in listed.items() if isinstance(shard, str) and "/" not in shard}
        if len(files) < len(listed):
            raise ValueError("a shard's name is no plain file name")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDictionaryError(
            f"{folder} has no readable weights ({type(error).__name__}: {str(error)[:200]}). Expected {WEIGHTS_FILE}, "
            f"or {INDEX_FILE} with its shards; download or save the model as safetensors again."
        ) from error
    return files


def weights_sha256(folder: Path) -> str:
    """Return a content hash of all weights files: the one that the hub's cache keeps, else a computed one."""
    from core.hub.cache import stored_sha256

    shards = sorted(set(shard_of(folder).values()))
    hashes = [stored_sha256(folder / shard) or file_sha256(folder / shard) for shard in shards]
    return hashes[0] if len(hashes) == 1 else " ".join(hashes)
