"""Small repositories in exact names and shapes, and the settings that point core at a stand-in hub."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.doubles.planted import draw_weights, write_tokenizer

GPT2 = {"n_embd": 8, "n_positions": 12, "n_ctx": 12, "n_layer": 2, "n_head": 2, "vocab_size": 257}
RES_JB = "jbloom/GPT2-Small-SAEs-Reformatted"
RES_JB_ID = "registry/gpt2-small-res-jb/blocks.0.hook_resid_pre"


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Point this process at a hub and an empty cache, and let nothing wait."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("core.hub.client.WAITS_S", (0.0, 0.0))
    monkeypatch.setattr("core.hub.client.CHUNK", 512)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def write_gpt2(folder: Path, *, prefix: str = "", shards: int = 1) -> Path:
    """Write a random GPT-2 as its repository holds it (without a prefix), or as save_pretrained names it."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new"}
    (folder / "config.json").write_text(json.dumps(GPT2 | about | {"bos_token_id": 0, "eos_token_id": 0}))
    write_tokenizer(folder / "tokenizer.json", GPT2["vocab_size"])
    rng, d = np.random.default_rng(3), GPT2["n_embd"]
    shapes = {"wte.weight": (GPT2["vocab_size"], d), "wpe.weight": (GPT2["n_positions"], d), "ln_f.weight": (d,)}
    shapes["ln_f.bias"] = (d,)
    for layer in range(GPT2["n_layer"]):
        block = {"attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d), "mlp.c_fc": (d, 4 * d), "mlp.c_proj": (4 * d, d)}
        block |= {"ln_1": (d,), "ln_2": (d,)}
        shapes |= {f"h.{layer}.{name}.weight": shape for name, shape in block.items()}
        shapes |= {f"h.{layer}.{name}.bias": shape[-1:] for name, shape in block.items()}
    state = {f"{prefix}{n}": rng.normal(size=shape).astype(np.float32) for n, shape in shapes.items()}
    save_shards(folder, state, shards)
    return folder


def save_shards(folder: Path, state: dict[str, np.ndarray], shards: int) -> None:
    if shards == 1:
        save_file(state, folder / "model.safetensors")
        return
    names = [f"model-{i:05d}-of-{shards:05d}.safetensors" for i in range(1, shards + 1)]
    where = {tensor: names[i % shards] for i, tensor in enumerate(state)}
    for name in names:
        save_file({tensor: state[tensor] for tensor, shard in where.items() if shard == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def write_res_jb(root: Path, *, layers: tuple[int, ...] = (0,), d_sae: int = 12) -> Path:
    """Write dictionaries in the layout from before sae-lens 6 that gpt2-small-res-jb still has."""
    for layer in layers:
        folder = root / f"blocks.{layer}.hook_resid_pre"
        folder.mkdir(parents=True, exist_ok=True)
        drawn = draw_weights(np.random.default_rng(layer), "standard", GPT2["n_embd"], d_sae, 0.2)
        weights = {name: np.ascontiguousarray(array, np.float32) for name, array in drawn.items()}
        weights["scaling_factor"] = np.ones(d_sae, np.float32)
        save_file(weights, folder / "sae_weights.safetensors")
        save_file({"sparsity": np.full(d_sae, -3, np.float32)}, folder / "sparsity.safetensors")
        config = {"model_name": "gpt2-small", "hook_point": f"blocks.{layer}.hook_resid_pre", "hook_point_layer": layer}
        config |= {"hook_point_head_index": None, "d_in": GPT2["n_embd"], "d_sae": d_sae, "dtype": "torch.float32"}
        config |= {"device": "mps", "context_size": 6, "prepend_bos": True, "normalize_activations": False}
        config |= {"dataset_path": "Skylion007/openwebtext", "is_dataset_tokenized": False, "l1_coefficient": 8e-05}
        (folder / "cfg.json").write_text(json.dumps(config))
    return root
