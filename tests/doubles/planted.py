"""Small dictionaries and model folders with known contents, for tests of every module.

    dictionary = planted_dictionary("jumprelu", d_in=8, d_sae=20, threshold=0.3)
    model = planted_model(tmp_path, n_ctx=12)

Everything is drawn from a seeded numpy generator and written without torch, so a test pays for
torch only when it encodes or runs the model.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.origin import Origin
from core.dictionaries.parsing import parse_config
from core.models.language_model import LanguageModel
from core.models.tokens import byte_alphabet

SEPARATOR = "<|endoftext|>"
MODEL_NAME = "planted"


def planted_dictionary(
    architecture: str = "standard",
    *,
    d_in: int = 8,
    d_sae: int = 12,
    seed: int = 0,
    tensors: Mapping[str, np.ndarray] | None = None,
    hook_name: str = "blocks.0.hook_resid_pre",
    context_size: int | None = 6,
    k: int = 3,
    threshold: float = 0.2,
    normalize_activations: str = "none",
    apply_b_dec_to_input: bool = True,
    rescale_acts_by_decoder_norm: bool = False,
    fold_decoder_norms: bool = True,
    metadata: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    title: str | None = None,
    published: Mapping[str, float] | None = None,
) -> Dictionary:
    """Build a dictionary in memory, runnable by sae-lens; `tensors` replaces drawn weights by name.

    Architectures: standard, gated, topk, abstopk, jumprelu, matching_pursuit and transcoder (which
    writes to blocks.0.hook_mlp_out, as wide as it reads); others with their own `tensors`. `extra` are
    further fields of cfg.json. About half of all features fire on normal inputs.
    """
    rng = np.random.default_rng(seed)
    weights = draw_weights(rng, architecture, d_in, d_sae, threshold) | dict(tensors or {})
    raw = {
        "architecture": architecture,
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": apply_b_dec_to_input and "transcoder" not in architecture,
        "normalize_activations": normalize_activations,
        "reshape_activations": "none",
        "metadata": {
            "model_name": MODEL_NAME,
            "hook_name": hook_name,
            "context_size": context_size,
            "prepend_bos": False,
            **(metadata or {}),
        },
        **(extra or {}),
    }
    if architecture in ("topk", "abstopk"):
        raw |= {"k": k, "rescale_acts_by_decoder_norm": rescale_acts_by_decoder_norm}
    if "transcoder" in architecture:
        raw["d_out"] = d_in
        raw["metadata"] |= {"hook_name_out": "blocks.0.hook_mlp_out"}
    return Dictionary(
        id=f"planted/{architecture}-{d_sae}-{seed}",
        title=title or f"planted {architecture}",
        config=parse_config(raw, Path("planted")),
        raw_config=raw,
        tensors={name: np.ascontiguousarray(array, dtype=np.float32) for name, array in weights.items()},
        fold_decoder_norms=fold_decoder_norms,
        origin=Origin(published=published or {}),
    )


def draw_weights(
    rng: np.random.Generator, architecture: str, d_in: int, d_sae: int, threshold: float
) -> dict[str, np.ndarray]:
    """Draw random weights under the names that an architecture has."""
    W_dec = rng.normal(size=(d_sae, d_in))
    weights = {
        "W_enc": (0.9 * W_dec + 0.3 * rng.normal(size=(d_sae, d_in))).T,
        "W_dec": W_dec,
        "b_dec": 0.1 * rng.normal(size=d_in),
    }
    if architecture == "gated":
        biases = {name: 0.2 * rng.normal(size=d_sae) for name in ("b_gate", "b_mag", "r_mag")}
        return weights | biases
    if architecture in ("matching_pursuit", "temporal"):
        return {name: weights[name] for name in ("W_dec", "b_dec")}
    weights["b_enc"] = 0.2 * rng.normal(size=d_sae)
    if "jumprelu" in architecture:
        weights["threshold"] = np.full(d_sae, threshold)
    return weights


def planted_model(
    tmp_path: Path,
    *,
    positional: str = "standard",
    n_layers: int = 2,
    d_model: int = 8,
    n_heads: int = 2,
    n_ctx: int = 12,
    d_vocab: int = 257,
    seed: int = 0,
    tensors: Mapping[str, np.ndarray] | None = None,
    centred: bool = False,
) -> LanguageModel:
    """Write a model folder `tmp_path/planted` and open it; `tensors` replaces drawn weights by name.

    `positional` is 'standard' (learned, added to the embedding) or 'rotary'. Token 0 is the
    separator, 1 to 256 are bytes, printable ones first; a smaller d_vocab keeps the first ones.
    """
    folder = tmp_path / MODEL_NAME
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "n_layers": n_layers,
        "d_model": d_model,
        "n_heads": n_heads,
        "d_head": d_model // n_heads,
        "d_mlp": 2 * d_model,
        "n_ctx": n_ctx,
        "d_vocab": d_vocab,
        "act_fn": "gelu_new",
        "normalization_type": "LN",
        "positional_embedding_type": positional,
        "rotary_dim": d_model // n_heads if positional == "rotary" else None,
        "model_name": MODEL_NAME,
    }
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder / "tokenizer.json", d_vocab)
    from safetensors.numpy import save_file

    state = draw_model(np.random.default_rng(seed), config) | dict(tensors or {})
    state = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in state.items()}
    save_file(state, folder / "model.safetensors")
    return LanguageModel(folder, centred=centred)


def draw_model(rng: np.random.Generator, config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Draw a transformer's weights under TransformerLens' names."""
    d, heads, d_head, d_mlp = (config[name] for name in ("d_model", "n_heads", "d_head", "d_mlp"))
    state = {"embed.W_E": rng.normal(size=(config["d_vocab"], d))}
    if config["positional_embedding_type"] == "standard":
        state["pos_embed.W_pos"] = 0.7 * rng.normal(size=(config["n_ctx"], d))
    for layer in range(config["n_layers"]):
        block = {f"attn.W_{name}": (heads, d, d_head) for name in "QKV"} | {"attn.W_O": (heads, d_head, d)}
        block |= {f"attn.b_{name}": (heads, d_head) for name in "QKV"} | {"attn.b_O": (d,)}
        block |= {"mlp.W_in": (d, d_mlp), "mlp.b_in": (d_mlp,), "mlp.W_out": (d_mlp, d), "mlp.b_out": (d,)}
        state |= {f"blocks.{layer}.{name}": 0.3 * rng.normal(size=shape) for name, shape in block.items()}
        for norm in ("ln1", "ln2"):
            state |= {f"blocks.{layer}.{norm}.w": np.ones(d), f"blocks.{layer}.{norm}.b": np.zeros(d)}
    state |= {"ln_final.w": 1 + 0.1 * rng.normal(size=d), "ln_final.b": 0.1 * rng.normal(size=d)}
    return state | {"unembed.W_U": rng.normal(size=(d, config["d_vocab"])), "unembed.b_U": np.zeros(config["d_vocab"])}


def write_tokenizer(path: Path, d_vocab: int) -> None:
    """Write a byte-level BPE without merges: the separator, then single bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    names = [SEPARATOR, *sorted(byte_alphabet(), key=ord)][:d_vocab]
    tokenizer = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([SEPARATOR])
    tokenizer.save(str(path))
