"""Dictionaries as other libraries save them: small files in the exact names and shapes of each format."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.doubles import foreign_maths
from tests.doubles.foreign_maths import D_IN, D_SAE, K, Run


@dataclass(frozen=True)
class Case:
    """One dictionary: where it is saved below a folder, its arrays in the file's names, and the library's numbers."""

    format: str
    architecture: str
    path: str
    """What a person would name: a folder, or a file."""
    weights: str
    """The file of the arrays, below `path` if that is a folder."""
    arrays: dict[str, np.ndarray]
    run: Run
    configs: dict[str, object] = field(default_factory=dict)
    """JSON files by their place."""
    extra: dict[str, object] = field(default_factory=dict)
    """What lies beside the arrays in a .pt file."""
    hook_name: str = ""
    hook_name_out: str | None = None
    model_name: str | None = None
    kind: str | None = None
    folds: bool = False
    """Whether the library itself multiplies activations by decoder norms."""

    def write(self, folder: Path) -> Path:
        """Write all files and return the path to name."""
        file = folder / self.weights
        file.parent.mkdir(parents=True, exist_ok=True)
        for place, said in self.configs.items():
            (folder / place).write_text(json.dumps(said))
        write_arrays(file, self.arrays, self.extra)
        return folder / self.path

    def reference(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return acts and x_hat as the library computes them."""
        return self.run({name: array.astype(np.float64) for name, array in self.arrays.items()}, x.astype(np.float64))


def write_arrays(file: Path, arrays: dict[str, np.ndarray], extra: dict[str, object] | None = None) -> None:
    if file.suffix == ".npz":
        np.savez(file, **arrays)
    elif file.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file(arrays, file)
    else:
        import torch

        torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()} | (extra or {}), file)


def draw(seed: int, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Draw arrays; a double underscore in a name stands for a dot."""
    rng = np.random.default_rng(seed)
    return {
        name.replace("__", "."): (rng.normal(size=shape) * (0.8 if len(shape) == 2 else 0.3)).astype(np.float32)
        for name, shape in shapes.items()
    }


def linear(seed: int, **more: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Draw an encoder and a decoder as torch.nn.Linear stores them, and more."""
    return draw(seed, encoder__weight=(D_SAE, D_IN), decoder__weight=(D_IN, D_SAE), **more)


def trainer(dict_class: str, **more: object) -> dict[str, object]:
    said = {"dict_class": dict_class, "activation_dim": D_IN, "dict_size": D_SAE, "layer": 3}
    said |= {"lm_name": "EleutherAI/pythia-70m-deduped", "submodule_name": "resid_post_layer_3"}
    return {"trainer": said | more, "buffer": {"ctx_len": 128, "io": "out"}}


TRANSPOSED = {"W_enc": (D_IN, D_SAE), "W_dec": (D_SAE, D_IN), "b_enc": (D_SAE,), "b_dec": (D_IN,)}
GEMMA = {name.replace("W_", "w_"): shape for name, shape in TRANSPOSED.items()}
THRESHOLDS = np.linspace(0.05, 0.6, D_SAE, dtype=np.float32)
ONE_THRESHOLD = {"threshold": np.float32(0.4), "k": np.array(K, np.int32)}
GROUPS = {"group_sizes": np.array([4, 8])}
CODER = {"encoder__weight": (D_SAE, D_IN), "encoder__bias": (D_SAE,), "W_dec": (D_SAE, D_IN), "b_dec": (D_IN,)}
RESID = {"hook_name": "blocks.3.hook_resid_post", "model_name": "pythia-70m-deduped"}
OPENAI = {"latent_bias": (D_SAE,), "pre_bias": (D_IN,)}
COUNTS = {
    "stats_last_nonzero": np.zeros(D_SAE, np.int64),
    "latents_activation_frequency": np.ones(D_SAE, np.float32),
    "latents_mean_square": np.zeros(D_SAE, np.float32),
}


def learned(architecture: str, dict_class: str, arrays: dict, run: Run, said: dict | None = None, **more) -> Case:
    config = trainer(dict_class, **(said or {}))
    options = RESID | more
    return Case("dictionary_learning", architecture, ".", "ae.pt", arrays, run, {"config.json": config}, **options)


def coder(architecture: str, run: Run, said: dict | None = None, folder: str = "layers.5", **more) -> Case:
    config = {"activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": D_SAE, "k": K}
    config |= {"multi_topk": False, "skip_connection": False, "transcode": False, "d_in": D_IN} | (said or {})
    arrays = draw(20, **CODER, **({"W_skip": (D_IN, D_IN)} if config["skip_connection"] else {}))
    configs = {f"{folder}/cfg.json": config, "config.json": {"model": "EleutherAI/pythia-70m", "ctx_len": 256}}
    options = {"hook_name": "blocks.5.hook_resid_post", "model_name": "pythia-70m"} | more
    return Case("sparsify", architecture, folder, f"{folder}/sae.safetensors", arrays, run, configs, **options)


def scope(folder: str, architecture: str = "jumprelu", run: Run = foreign_maths.gemma, **more) -> Case:
    arrays = draw(30, **GEMMA) | {"threshold": THRESHOLDS}
    options = {"model_name": "gemma-2-2b"} | more
    return Case("gemma-scope", architecture, folder, f"{folder}/params.npz", arrays, run, **options)


SCOPE_2 = {
    "hf_hook_point_in": "model.layers.3.output",
    "hf_hook_point_out": "model.layers.3.output",
    "width": D_SAE,
    "model_name": "google/gemma-3-270m-pt",
    "architecture": "jump_relu",
    "l0": 10,
    "affine_connection": False,
    "type": "sae",
}
SCOPE_2_TRANSCODER = {
    "hf_hook_point_in": "model.layers.3.pre_feedforward_layernorm.output",
    "hf_hook_point_out": "model.layers.3.post_feedforward_layernorm.output",
    "affine_connection": True,
    "type": "transcoder",
}
LLAMA = {"W_E": (D_IN, D_SAE), "b_E": (D_SAE,), "W_D": (D_SAE, D_IN), "b_D": (D_IN,)}
LOG_THRESHOLDS = {"activation_function.log_jumprelu_threshold": np.log(THRESHOLDS)}


def llama(name: str, run: Run, said: dict, architecture: str = "jumprelu", more: dict | None = None, **options) -> Case:
    """A folder of Llamascopium: config.json and sae_weights.safetensors."""
    arrays = draw(60, **LLAMA) | (LOG_THRESHOLDS if more is None else more)
    config = {"sae_type": "sae", "d_model": D_IN, "expansion_factor": 1.5, "act_fn": "jumprelu", "dtype": "float32"}
    config |= {"hook_point_in": "blocks.3.hook_resid_post", "hook_point_out": "blocks.3.hook_resid_post"}
    config |= {"norm_activation": "inference", "sparsity_include_decoder_norm": True, "use_decoder_bias": True} | said
    configs = {f"{name}/config.json": config, f"{name}/lm_config.json": {"model_name": "EleutherAI/pythia-70m"}}
    options = {"hook_name": "blocks.3.hook_resid_post", "model_name": "pythia-70m"} | options
    return Case("llama-scope", architecture, name, f"{name}/sae_weights.safetensors", arrays, run, configs, **options)


def lengths(**by_hook: float) -> dict[str, np.ndarray]:
    """What scales inputs and outputs, as Llamascopium saves it: the average length at each hook."""
    return {
        f"dataset_average_activation_norm.blocks.3.{hook}": np.array(length, np.float32)
        for hook, length in by_hook.items()
    }


PUBLISHED = {
    "act_fn": "jumprelu",
    "jump_relu_threshold": 0.7,
    "d_model": D_IN,
    "d_sae": D_SAE,
    "hook_point_in": "blocks.5.hook_resid_post",
    "hook_point_out": "blocks.5.hook_resid_post",
    "norm_activation": "dataset-wise",
    "dataset_average_activation_norm": {"in": 2.0, "out": 2.0},
    "sparsity_include_decoder_norm": True,
    "top_k": 50,
}
NORMED = {
    "encoder.final_block.1.weight": np.linspace(0.5, 1.5, D_SAE, dtype=np.float32),
    "encoder.final_block.1.bias": np.linspace(-0.3, 0.4, D_SAE, dtype=np.float32),
    "encoder.final_block.1.running_mean": np.linspace(-1, 1, D_SAE, dtype=np.float32),
    "encoder.final_block.1.running_var": np.linspace(0.2, 3, D_SAE, dtype=np.float32),
    "encoder.final_block.1.num_batches_tracked": np.array(9),
}


def atoms(seed: int, *, archetypal: bool = False) -> dict[str, np.ndarray]:
    """The tensors of overcomplete: a linear encoder, and directions nearly of length 1 or mixed from points."""
    block = "encoder__final_block__0__"
    drawn = draw(seed, **{f"{block}weight": (D_SAE, D_IN), f"{block}bias": (D_SAE,)}, rows=(D_SAE, D_IN), C=(6, D_IN))
    rows, points = drawn.pop("rows"), drawn.pop("C")
    scale = {"dictionary.multiplier": np.array(0.4, np.float32)}
    if archetypal:
        mixed = np.abs(draw(seed + 1, W=(D_SAE, 6))["W"])
        own = {"dictionary.W": mixed / mixed.sum(1, keepdims=True), "dictionary.C": points}
        return drawn | own | {"dictionary.Relax": 0.1 * rows} | scale
    lengths = np.linalg.norm(rows, axis=1, keepdims=True) * np.linspace(0.97, 1.03, D_SAE, dtype=np.float32)[:, None]
    return drawn | {"dictionary._weights": rows / lengths} | scale


def overcomplete(name: str, architecture: str, arrays: dict, run: Run, **options) -> Case:
    return Case("overcomplete", architecture, name, name, arrays, run, **options)


IN_AND_OUT = trainer("AutoEncoder", submodule_name="mlp") | {"buffer": {"ctx_len": 64, "io": "in_and_out"}}
MLP = {"hook_name": "blocks.3.mlp.hook_in", "hook_name_out": "blocks.3.hook_mlp_out"}
CASES = {
    "AutoEncoder": learned(
        "standard", "AutoEncoder", linear(1, encoder__bias=(D_SAE,), bias=(D_IN,)), foreign_maths.auto_encoder
    ),
    "AutoEncoderNew": learned(
        "standard",
        "AutoEncoderNew",
        linear(2, encoder__bias=(D_SAE,), decoder__bias=(D_IN,)),
        foreign_maths.auto_encoder_new,
    ),
    "GatedAutoEncoder": learned(
        "gated",
        "GatedAutoEncoder",
        linear(3, decoder_bias=(D_IN,), r_mag=(D_SAE,), gate_bias=(D_SAE,), mag_bias=(D_SAE,)),
        foreign_maths.gated,
        folds=True,
    ),
    "AutoEncoderTopK": learned(
        "topk",
        "AutoEncoderTopK",
        linear(4, encoder__bias=(D_SAE,), b_dec=(D_IN,)) | ONE_THRESHOLD,
        foreign_maths.auto_encoder_topk,
        {"k": K, "submodule_name": "mlp_out_layer_3"},
        hook_name="blocks.3.hook_mlp_out",
    ),
    "BatchTopKSAE": learned(
        "jumprelu",
        "BatchTopKSAE",
        linear(5, encoder__bias=(D_SAE,), b_dec=(D_IN,)) | ONE_THRESHOLD,
        foreign_maths.batch_topk,
        {"submodule_name": None},
        kind="batchtopk",
    ),
    "MatryoshkaBatchTopKSAE": learned(
        "jumprelu",
        "MatryoshkaBatchTopKSAE",
        draw(6, **TRANSPOSED) | ONE_THRESHOLD | GROUPS,
        foreign_maths.matryoshka,
        {"submodule_name": "gpt_neox.layers.4.attention"},
        hook_name="blocks.4.hook_attn_out",
        kind="matryoshka_batchtopk",
    ),
    "JumpReluAutoEncoder": learned(
        "jumprelu",
        "JumpReluAutoEncoder",
        draw(7, **TRANSPOSED) | {"threshold": THRESHOLDS},
        foreign_maths.jump_relu,
        folds=True,
    ),
    "AutoEncoder transcoder": Case(
        "dictionary_learning",
        "transcoder",
        ".",
        "ae.pt",
        linear(8, encoder__bias=(D_SAE,), bias=(D_IN,)),
        foreign_maths.auto_encoder,
        {"config.json": IN_AND_OUT},
        **MLP,
        model_name="pythia-70m-deduped",
    ),
    "checkpoint": Case(
        "dictionary_learning",
        "standard",
        "run/checkpoints/ae_100.pt",
        "run/checkpoints/ae_100.pt",
        linear(9, encoder__bias=(D_SAE,), bias=(D_IN,)),
        foreign_maths.auto_encoder,
        {"run/config.json": trainer("AutoEncoder")},
        **RESID,
    ),
    "sparsify": coder("topk", foreign_maths.sparse_coder()),
    "sparsify not normalised": coder("topk", foreign_maths.sparse_coder(), {"normalize_decoder": False}),
    "sparsify signed": coder("abstopk", foreign_maths.sparse_coder(signed=True), {"signed": True}),
    "sparsify transcoder": coder(
        "topk_transcoder",
        foreign_maths.sparse_coder(transcode=True),
        {"transcode": True},
        "layers.5.mlp",
        hook_name="blocks.5.mlp.hook_in",
        hook_name_out="blocks.5.hook_mlp_out",
    ),
    "sparsify skip transcoder": coder(
        "topk_skip_transcoder",
        foreign_maths.sparse_coder(transcode=True),
        {"transcode": True, "skip_connection": True},
        "layers.5.mlp",
        hook_name="blocks.5.mlp.hook_in",
        hook_name_out="blocks.5.hook_mlp_out",
    ),
    "sparsify skip": coder(
        "topk_skip_transcoder",
        foreign_maths.sparse_coder(),
        {"skip_connection": True},
        hook_name_out="blocks.5.hook_resid_post",
    ),
    "Gemma Scope": scope(
        "gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71", hook_name="blocks.20.hook_resid_post"
    ),
    "Gemma Scope attention": scope("gemma-scope-2b-pt-att/layer_2/width_16k", hook_name="blocks.2.attn.hook_z"),
    "Gemma Scope transcoder": scope(
        "gemma-scope-2b-pt-transcoders/layer_7/width_16k",
        "jumprelu_transcoder",
        hook_name="blocks.7.ln2.hook_normalized",
        hook_name_out="blocks.7.hook_mlp_out",
    ),
    "Gemma Scope embedding": scope(
        "gemma-scope-2b-pt-res/embedding/width_4k", run=foreign_maths.gemma_embedding, hook_name="hook_embed"
    ),
    "Gemma Scope 2": Case(
        "gemma-scope-2",
        "jumprelu",
        "layer_3_width_16k_l0_small",
        "layer_3_width_16k_l0_small/params.safetensors",
        draw(32, **GEMMA) | {"threshold": THRESHOLDS},
        foreign_maths.gemma,
        {"layer_3_width_16k_l0_small/config.json": SCOPE_2},
        hook_name="blocks.3.hook_resid_post",
        model_name="gemma-3-270m",
    ),
    "Gemma Scope 2 transcoder": Case(
        "gemma-scope-2",
        "jumprelu_skip_transcoder",
        "transcoder",
        "transcoder/params.safetensors",
        draw(33, **GEMMA, affine_skip_connection=(D_IN, D_IN)) | {"threshold": THRESHOLDS},
        foreign_maths.gemma_skip,
        {"transcoder/config.json": SCOPE_2 | SCOPE_2_TRANSCODER},
        hook_name="blocks.3.ln2.hook_out",
        hook_name_out="blocks.3.hook_mlp_out",
        model_name="gemma-3-270m",
    ),
    "one .npz": Case(
        "gemma-scope",
        "jumprelu",
        "mine.npz",
        "mine.npz",
        draw(31, **GEMMA) | {"threshold": THRESHOLDS},
        foreign_maths.gemma,
    ),
    "OpenAI ReLU": Case(
        "openai",
        "standard",
        "7.pt",
        "7.pt",
        linear(40, **OPENAI) | COUNTS,
        foreign_maths.openai_relu,
        extra={"activation": "ReLU"},
    ),
    "OpenAI TopK": Case(
        "openai",
        "topk",
        "resid_post_mlp_v5_32k/autoencoders/8.pt",
        "resid_post_mlp_v5_32k/autoencoders/8.pt",
        linear(41, **OPENAI) | COUNTS,
        foreign_maths.openai_topk,
        extra={"activation": "TopK", "activation_state_dict": {"k": K, "postact_fn": "ReLU"}},
        hook_name="blocks.8.hook_resid_post",
        model_name="gpt2-small",
    ),
    "Llamascopium": llama("L3R", foreign_maths.llama_scope(), {}),
    "Llamascopium scaled": llama(
        "L3R",
        foreign_maths.llama_scope((5.0, 5.0), subtracts=True),
        {"norm_activation": "dataset-wise", "apply_decoder_bias_to_pre_encoder": True},
        more=LOG_THRESHOLDS | lengths(hook_resid_post=5.0),
    ),
    "Llamascopium TopK": llama(
        "L3R",
        foreign_maths.llama_scope_topk((5.0, 5.0)),
        {"norm_activation": "dataset-wise", "act_fn": "topk", "top_k": K},
        "topk",
        lengths(hook_resid_post=5.0),
    ),
    "Llamascopium transcoder": llama(
        "L3M",
        foreign_maths.llama_scope((5.0, 2.0)),
        {
            "norm_activation": "dataset-wise",
            "hook_point_in": "blocks.3.ln2.hook_normalized",
            "hook_point_out": "blocks.3.hook_mlp_out",
        },
        "jumprelu_transcoder",
        LOG_THRESHOLDS | lengths(**{"ln2.hook_normalized": 5.0, "hook_mlp_out": 2.0}),
        hook_name="blocks.3.ln2.hook_normalized",
        hook_name_out="blocks.3.hook_mlp_out",
    ),
    "Llama Scope": Case(
        "llama-scope",
        "jumprelu",
        "Llama3_1-8B-Base-L5R-8x",
        "Llama3_1-8B-Base-L5R-8x/checkpoints/final.safetensors",
        linear(61, encoder__bias=(D_SAE,), decoder__bias=(D_IN,)),
        foreign_maths.llama_scope_published(D_IN**0.5 / 2, D_IN**0.5 / 2, 0.7),
        {"Llama3_1-8B-Base-L5R-8x/hyperparams.json": PUBLISHED},
        hook_name="blocks.5.hook_resid_post",
        model_name="Llama-3.1-8B",
    ),
    "overcomplete": overcomplete("sae.pt", "standard", atoms(70), foreign_maths.overcomplete()),
    "overcomplete batch norm": overcomplete("sae.pt", "standard", atoms(71) | NORMED, foreign_maths.overcomplete()),
    "overcomplete TopK": overcomplete(
        "topk.safetensors",
        "topk",
        atoms(72, archetypal=True),
        foreign_maths.overcomplete("topk", archetypal=True),
        configs={"config.json": {"sae_class": "TopKSAE", "top_k": K}},
    ),
    "overcomplete JumpReLU": overcomplete(
        "jump.pt", "jumprelu", atoms(73) | {"thresholds": np.log(THRESHOLDS)}, foreign_maths.overcomplete("jump")
    ),
    "Gemma Scope 2 without config": Case(
        "gemma-scope-2",
        "jumprelu",
        "gemma-scope-2-1b-it/resid_post/layer_7_width_16k_l0_small",
        "gemma-scope-2-1b-it/resid_post/layer_7_width_16k_l0_small/params.safetensors",
        draw(34, **GEMMA) | {"threshold": THRESHOLDS},
        foreign_maths.gemma,
        hook_name="blocks.7.hook_resid_post",
        model_name="gemma-3-1b-it",
    ),
    "hook_z": Case(
        "plain",
        "standard",
        "gpt2-small_L1_Hcat_z.pt",
        "gpt2-small_L1_Hcat_z.pt",
        draw(50, **TRANSPOSED),
        foreign_maths.plain,
        {"gpt2-small_L1_Hcat_z_cfg.json": {"act_name": "blocks.1.attn.hook_z", "act_size": D_IN, "dict_size": D_SAE}},
        hook_name="blocks.1.attn.hook_z",
        model_name="gpt2-small",
    ),
    "plain .pt": Case("plain", "standard", "mine.pt", "mine.pt", draw(51, **TRANSPOSED), foreign_maths.plain),
}
