"""Tiny random models of many architectures, as folders in Hugging Face's layout.

    folder = write_tiny("gemma2", tmp_path)
    assert (folder / "model.safetensors").is_file()

Matrices are drawn fifteen times larger than transformers draws them, so that attention is peaked: at the usual size a
wrong rotary embedding changes logits by 1e-4 only, and passes. Norms and biases are moved off their defaults, so
that leaving one out shows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.doubles.planted import write_tokenizer

D_MODEL, D_VOCAB, N_CTX, D_MLP = 32, 257, 64, 48
_NAMED = {"vocab_size": D_VOCAB, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
_WIDE = _NAMED | {"hidden_size": D_MODEL, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": D_MLP}
_WIDE |= {"max_position_embeddings": N_CTX, "num_key_value_heads": 2}
_HEADS = _WIDE | {"head_dim": 8}
_ROUTED = {"num_experts_per_tok": 2}
_GPT = _NAMED | {"n_embd": D_MODEL, "n_layer": 2, "n_head": 4, "n_positions": N_CTX}
_GEMMA3 = _HEADS | {"num_hidden_layers": 3, "sliding_window": 4, "query_pre_attn_scalar": 8}
_GEMMA3 |= {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"]}
_LOCAL = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4}
_LINEAR = {"layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2}
_LINEAR |= {"linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
_MOE = _ROUTED | {"num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
_MAMBA = {"state_size": 4, "conv_kernel": 3, "expand": 2, "time_step_rank": 4}
_GEMMA3N = _HEADS | {"num_hidden_layers": 3, "layer_types": _GEMMA3["layer_types"], "sliding_window": 4}
_GEMMA3N |= {"vocab_size_per_layer_input": D_VOCAB, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0}
_GEMMA3N |= {"altup_num_inputs": 2, "laurel_rank": 4, "activation_sparsity_pattern": [0.5, 0.0, 0.0]}
_GEMMA3N |= {"intermediate_size": [D_MLP] * 3}
_VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
_VISION |= {"image_size": 8, "patch_size": 4}
_QWEN_VISION = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "patch_size": 4}
_QWEN_VISION |= {"out_hidden_size": D_MODEL, "num_position_embeddings": 16}

TINY: dict[str, tuple[str, Mapping[str, Any]]] = {
    "gpt2": ("GPT2LMHeadModel", _GPT),
    "gpt_neo": (
        "GPTNeoForCausalLM",
        _WIDE | {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 4},
    ),
    "gptj": ("GPTJForCausalLM", _GPT | {"rotary_dim": 4}),
    "gpt_neox": ("GPTNeoXForCausalLM", _WIDE),
    "opt": ("OPTForCausalLM", _WIDE | {"ffn_dim": D_MLP, "word_embed_proj_dim": D_MODEL}),
    "opt_projected": (
        "OPTForCausalLM",
        _WIDE | {"ffn_dim": D_MLP, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    ),
    "bloom": ("BloomForCausalLM", _NAMED | {"hidden_size": D_MODEL, "n_layer": 2, "n_head": 4}),
    "llama": ("LlamaForCausalLM", _WIDE),
    "mistral": ("MistralForCausalLM", _WIDE | {"sliding_window": 4}),
    "mixtral": ("MixtralForCausalLM", _WIDE | _ROUTED | {"num_local_experts": 4}),
    "qwen2": ("Qwen2ForCausalLM", _WIDE),
    "qwen3": ("Qwen3ForCausalLM", _HEADS),
    "qwen3_moe": ("Qwen3MoeForCausalLM", _HEADS | _ROUTED | {"num_experts": 4, "moe_intermediate_size": 16}),
    "qwen3_5_text": ("Qwen3_5ForCausalLM", _HEADS | _LINEAR),
    "qwen3_5": ("Qwen3_5ForConditionalGeneration", {"text_config": _HEADS | _LINEAR, "vision_config": _QWEN_VISION}),
    "qwen3_5_moe": (
        "Qwen3_5MoeForConditionalGeneration",
        {"text_config": _HEADS | _LINEAR | _MOE, "vision_config": _QWEN_VISION},
    ),
    "phi": ("PhiForCausalLM", _WIDE | {"partial_rotary_factor": 0.5}),
    "phi3": ("Phi3ForCausalLM", _WIDE),
    "gemma": ("GemmaForCausalLM", _HEADS),
    "gemma2": ("Gemma2ForCausalLM", _HEADS | _LOCAL | {"query_pre_attn_scalar": 8, "final_logit_softcapping": 2.0}),
    "gemma3_text": ("Gemma3ForCausalLM", _GEMMA3),
    "gemma3": (
        "Gemma3ForConditionalGeneration",
        {"text_config": _GEMMA3, "vision_config": _VISION, "mm_tokens_per_image": 4},
    ),
    "gemma3n_text": ("Gemma3nForCausalLM", _GEMMA3N),
    "olmo": ("OlmoForCausalLM", _WIDE),
    "olmo2": ("Olmo2ForCausalLM", _WIDE),
    "olmo3": ("Olmo3ForCausalLM", _WIDE | _LOCAL),
    "gpt_oss": ("GptOssForCausalLM", _HEADS | _LOCAL | _ROUTED | {"num_local_experts": 4}),
    "glm4": ("Glm4ForCausalLM", _HEADS),
    "falcon": ("FalconForCausalLM", _WIDE | {"alibi": False}),
    "mamba": ("MambaForCausalLM", _NAMED | _MAMBA | {"hidden_size": D_MODEL, "num_hidden_layers": 2}),
    "stablelm": ("StableLmForCausalLM", _WIDE),
    "cohere": ("CohereForCausalLM", _WIDE),
    "granite": (
        "GraniteForCausalLM",
        _WIDE | {"embedding_multiplier": 3.0, "residual_multiplier": 0.5, "logits_scaling": 4.0},
    ),
}
"""The class of transformers and what its config says, by name; all are 32 wide, with two or three layers."""
_MIXED = {"lru_width": D_MODEL, "attention_window_size": 8, "block_types": ["recurrent", "attention"]}
_MAMBA2 = {
    "hidden_size": D_MODEL,
    "num_hidden_layers": 2,
    "num_heads": 8,
    "head_dim": 8,
    "state_size": 4,
    "n_groups": 1,
}
RARE: dict[str, tuple[str, Mapping[str, Any]]] = {
    "recurrent_gemma": ("RecurrentGemmaForCausalLM", _HEADS | _MIXED),
    "mamba2": ("Mamba2ForCausalLM", _NAMED | _MAMBA2),
}
"""More of the same, which only what is read from files is held to."""


def write_tiny(name: str, root: Path, *, tokenizer: bool = False, n_layers: int | None = None) -> Path:
    """Write the model `root/name`: config.json and model.safetensors under the names that the hub's files have."""
    folder = root / name
    tiny_model(name, n_layers).save_pretrained(folder)
    if tokenizer:
        write_tokenizer(folder / "tokenizer.json", D_VOCAB)
    return folder


def tiny_model(name: str, n_layers: int | None = None):
    """Return transformers' model, in float32 and evaluating. It can be deeper than the usual two or three layers."""
    import torch
    import transformers

    architecture, fields = (TINY | RARE)[name]
    fields = fields if n_layers is None else deeper(fields, n_layers)
    model_class = getattr(transformers, architecture)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = model_class(model_class.config_class(**fields)).float().eval()
        for part, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape))
            elif not part.endswith("A_log"):  # which makes the decay of a state
                parameter.copy_(0.3 * torch.randn(parameter.shape))
    return model


def deeper(fields: Mapping[str, Any], n_layers: int) -> dict[str, Any]:
    """Return a config with so many layers, kinds of layers in the same order over and over."""
    found = dict(fields)
    for name, value in fields.items():
        if name in ("num_hidden_layers", "n_layer", "num_layers"):
            found[name] = n_layers
        elif name == "layer_types":
            found[name] = [value[i % len(value)] for i in range(n_layers)]
        elif name == "text_config":
            found[name] = deeper(value, n_layers)
    return found
