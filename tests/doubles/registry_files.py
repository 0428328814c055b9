"""One small dictionary in every format of sae-lens' registry, under the exact names of its repository."""

import json
import re
from pathlib import Path

import numpy as np

from core.dictionaries.registry.index import RegistryItem
from core.models.names import repository

D, M = 32, 128


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_yaml(path: Path, content: dict) -> None:
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def write_tensors(path: Path, **tensors: np.ndarray) -> None:
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def write_pt(path: Path, **tensors: np.ndarray) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, path)


def linear() -> dict[str, np.ndarray]:
    """Encoder and decoder as torch's Linear layers keep them."""
    return {
        "encoder.weight": numbers(M, D, seed=1),
        "encoder.bias": numbers(M, seed=2),
        "decoder.weight": numbers(D, M),
    }


def canonical() -> dict[str, np.ndarray]:
    return {"W_enc": numbers(D, M), "W_dec": numbers(M, D), "b_enc": numbers(M), "b_dec": numbers(D)}


def hook_z(root: Path, item: RegistryItem) -> None:
    about = {"act_size": D, "dict_size": M, "act_name": "blocks.0.attn.hook_z"}
    write_json(root / f"{item.path.split('.pt')[0]}_cfg.json", about)
    write_pt(root / item.path, **canonical())


def dictionary_learning(root: Path, item: RegistryItem) -> None:
    layer = int(re.search(r"layer_(\d+)", item.path)[1])
    trainer = {"dict_class": "AutoEncoderTopK", "k": 8, "layer": layer, "activation_dim": D, "dict_size": M}
    trainer |= {"lm_name": repository(item.model)}
    write_json(root / item.path / "config.json", {"trainer": trainer, "buffer": {"ctx_len": 128}})
    scalars = {"k": np.array(8), "threshold": np.array(0.3, np.float32)}
    write_pt(root / item.path / "ae.pt", **linear(), b_dec=numbers(D), **scalars)


def llama_scope(root: Path, item: RegistryItem) -> None:
    layer, point = re.match(r"l(\d+)([ram])", item.sae_id).groups()
    hook = f"blocks.{layer}.{ {'r': 'hook_resid_post', 'a': 'hook_attn_out', 'm': 'hook_mlp_out'}[point] }"
    about = {"d_model": D, "d_sae": M, "jump_relu_threshold": 0.5, "hook_point_in": hook}
    write_json(root / item.path / "hyperparams.json", about | {"dataset_average_activation_norm": {"in": 3.0}})
    write_tensors(root / item.path / "checkpoints/final.safetensors", **linear(), **{"decoder.bias": numbers(D)})


def llama_scope_r1(root: Path, item: RegistryItem) -> None:
    about = {"d_model": D, "expansion_factor": M // D, "hook_point_in": "blocks.0.hook_resid_post"}
    write_json(root / item.path / "config.json", about)
    more = {"decoder.bias": numbers(D), "log_jumprelu_threshold": numbers(M)}
    write_tensors(root / item.path / "sae_weights.safetensors", **linear(), **more)


def gemma_3(root: Path, item: RegistryItem) -> None:
    about = {"architecture": "jump_relu", "model_name": "google/gemma-3-270m"}
    write_json(root / item.path / "config.json", about | {"hf_hook_point_in": "model.layers.12.output"})
    tensors = {name.lower(): array for name, array in canonical().items()} | {"threshold": np.full(M, 0.3, np.float32)}
    write_tensors(root / item.path / "params.safetensors", **tensors)


def gemma_2(root: Path, item: RegistryItem) -> None:
    """In full size, which sae-lens takes from the name; almost all zeros, so that the file is small."""
    d, m = 2304, 4096
    W_enc, W_dec = np.zeros((d, m), np.float32), np.zeros((m, d), np.float32)
    W_enc[:D, :M], W_dec[:M, :D] = numbers(D, M), numbers(M, D)
    rest = {"b_enc": numbers(m), "b_dec": numbers(d), "threshold": np.full(m, 0.3, np.float32)}
    (root / item.path).mkdir(parents=True)
    np.savez_compressed(root / item.path / "params.npz", W_enc=W_enc, W_dec=W_dec, **rest)


def mwhanna(root: Path, item: RegistryItem) -> None:
    values = {"d_model": {"value": D}, "d_feature": {"value": M}, "batch_size": {"value": 64}}
    write_yaml(root / "wanb-config.yaml", values)  # spelt so in some repositories
    write_yaml(root / "config.yaml", {"model_name": repository(item.model)})
    write_tensors(root / item.path, **canonical() | {"W_enc": numbers(M, D)})


def mntss(root: Path, item: RegistryItem) -> None:
    hooks = {"feature_input_hook": "hook_resid_mid", "feature_output_hook": "hook_mlp_out"}
    write_yaml(root / "config.yaml", {"model_name": "google/gemma-2-2b"} | hooks)
    layer = item.path
    encoder = {f"W_enc_{layer}": numbers(M, D), f"b_enc_{layer}": numbers(M), f"b_dec_{layer}": numbers(D)}
    write_tensors(root / f"W_enc_{layer}.safetensors", **encoder)
    write_tensors(root / f"W_dec_{layer}.safetensors", **{f"W_dec_{layer}": numbers(M, 3, D)})


def temporal(root: Path, item: RegistryItem) -> None:
    sae = {"exp_factor": M // D, "n_heads": 1, "n_attn_layers": 1, "bottleneck_factor": 64, "sae_diff_type": "topk"}
    sae |= {"kval_topk": 4, "tied_weights": True, "scaling_factor": 0.1}
    write_yaml(root / item.path / "conf.yaml", {"llm": {"dimin": D}, "sae": sae, "data": {"dtype": "float32"}})
    tensors = {"D": numbers(M, D), "b": numbers(D)}
    for name, shape in {"k_ctx": (2, M), "q_target": (2, M), "v_ctx": (M, M), "c_proj": (M, M)}.items():
        tensors |= {f"attn_layers.0.{name}.weight": numbers(*shape), f"attn_layers.0.{name}.bias": numbers(shape[0])}
    write_tensors(root / item.path / "latest_ckpt.safetensors", **tensors)


FORMATS = {
    "gpt2-small-hook-z-kk/blocks.0.hook_z": hook_z,
    "sae_bench_pythia70m_sweep_topk_ctx128_0730/blocks.3.hook_resid_post__trainer_0": dictionary_learning,
    "llama_scope_lxr_8x/l0r_8x": llama_scope,
    "llama_scope_r1_distill/l0r_800m_slimpajama": llama_scope_r1,
    "gemma-scope-2-270m-pt-res/layer_12_width_16k_l0_big": gemma_3,
    "gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6": gemma_2,
    "mwhanna-qwen3-0.6b-transcoders-lowl0/layer_0": mwhanna,
    "mntss-gemma-2-2b-2.5m-clt-as-per-layer/layer_0": mntss,
    "temporal-sae-gemma-2-2b/blocks.12.hook_resid_post": temporal,
    "gpt2-small-res-jb/blocks.0.hook_resid_pre": None,  # written before this process started
}
"""One of every format of the registry whose shapes are free (and gemma_2)."""


def sae_lens(root: Path, item: RegistryItem) -> None:
    """In sae-lens' own format, at the hook that the id names."""
    hook = re.search(r"blocks\.\d+\.[a-z_.]+(?<!_)", item.sae_id)[0]
    about = {"architecture": "standard", "d_in": D, "d_sae": M, "dtype": "float32", "device": "cpu"}
    about |= {"apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none"}
    about["metadata"] = {"model_name": item.model, "hook_name": hook, "context_size": 16, "sae_lens_version": "6.0.0"}
    write_json(root / item.path / "cfg.json", about)
    write_tensors(root / item.path / "sae_weights.safetensors", **canonical())


def gemma_small(root: Path, item: RegistryItem) -> None:
    """Gemma Scope's arrays, in a small size; sae-lens believes the name, see `believing_shapes`."""
    (root / item.path).mkdir(parents=True, exist_ok=True)
    np.savez(root / item.path / "params.npz", **canonical(), threshold=np.full(M, 0.3, np.float32))


def gemma_3_inferred(root: Path, item: RegistryItem) -> None:
    """Without a config.json, which sae-lens then concludes from the names."""
    tensors = {name.lower(): array for name, array in canonical().items()} | {"threshold": np.full(M, 0.3, np.float32)}
    more = {"affine_skip_connection": numbers(D, D)} if "affine" in item.path else {}
    write_tensors(root / item.path / "params.safetensors", **tensors, **more)


def qwen_scope(root: Path, item: RegistryItem) -> None:
    weights = canonical() | {"W_enc": numbers(M, D), "W_dec": numbers(D, M)}
    write_pt(root / item.path, **weights)


def goodfire(root: Path, item: RegistryItem) -> None:
    weights = {name.replace("coder.", "coder_linear."): array for name, array in linear().items()}
    write_pt(root / item.path, **weights, **{"decoder_linear.bias": numbers(D)})


def deepseek_r1(root: Path, item: RegistryItem) -> None:
    write_pt(root / item.path, **linear(), **{"decoder.bias": numbers(D)})


WRITERS = {
    None: sae_lens,
    "connor_rob_hook_z": hook_z,
    "deepseek_r1": deepseek_r1,
    "dictionary_learning_1": dictionary_learning,
    "gemma_2": gemma_small,
    "gemma_2_transcoder": gemma_small,
    "gemma_3": gemma_3_inferred,
    "goodfire": goodfire,
    "llama_scope": llama_scope,
    "llama_scope_r1_distill": llama_scope_r1,
    "mntss_clt_layer_transcoder": mntss,
    "mwhanna_transcoder": mwhanna,
    "qwen_scope": qwen_scope,
    "temporal": temporal,
}
"""One writer for each of sae-lens' loaders that the registry uses; d_in is 32 in all."""
