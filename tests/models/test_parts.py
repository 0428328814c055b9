"""Weight pages on every architecture: what is read from the files gives the model's own logits."""

import json

import numpy as np
import pytest
from safetensors.torch import save_file

from core.logit_weights.unembedding import LogitSettings, describe_directions, unembedding
from core.models import downloads
from core.models.language_model import LanguageModel
from core.models.layouts import WEIGHTS_FILE
from core.models.parts import ModelParts
from core.models.search import find_model
from core.models.writing import writing_matrix
from core.workspace import Workspace
from tests.doubles.hub_files import use_hub
from tests.doubles.planted import planted_dictionary
from tests.doubles.standin_hub import StandIn
from tests.doubles.tiny_models import D_MODEL, D_VOCAB, RARE, TINY, tiny_model, write_tiny
from tests.house.test_imports import HEAVY, NETWORK, loaded_by

FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f", "final_norm")
TOKENS = np.arange(1, 13)[None] * 17


def final_norm(parts, x: np.ndarray, w: np.ndarray | None, b: np.ndarray | None) -> np.ndarray:
    if parts.norm is None:
        return x
    x = x - x.mean(axis=-1, keepdims=True) if parts.norm == "LN" else x
    x = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + parts.eps)
    return x * (1 if w is None else w) + (0 if b is None else b)


def owner_of_blocks(model):
    """Return the module that has the blocks, and the blocks."""
    import torch

    found = [(part, blocks) for part in model.get_decoder().modules() for blocks in part.children()]
    return next((part, blocks) for part, blocks in found if isinstance(blocks, torch.nn.ModuleList))


def norm_of(model):
    children = dict(owner_of_blocks(model)[0].named_children())
    return next((children[name] for name in FINAL_NORMS if name in children), None)


def run(name: str) -> dict[str, np.ndarray]:
    """Return what transformers itself gives in float64: what enters the blocks and leaves them, and the logits."""
    import torch

    model, seen = tiny_model(name), {}
    model.set_experts_implementation("eager")
    model, blocks = model.double(), owner_of_blocks(model)[1]

    def before(module, args, kwargs):
        seen["first"] = args[0] if args else kwargs["hidden_states"]

    def after(module, args, kwargs, out):
        seen["last"] = out[0] if isinstance(out, tuple) else out

    blocks[0].register_forward_pre_hook(before, with_kwargs=True)
    blocks[-1].register_forward_hook(after, with_kwargs=True)
    if name == "gemma3n_text":  # whose blocks hand on two streams, and whose last one is their mean
        norm_of(model).register_forward_pre_hook(lambda module, args: seen.__setitem__("last", args[0]))
    with torch.no_grad():
        seen["logits"] = model(torch.from_numpy(TOKENS), use_cache=False).logits
    seen["first"] = seen["first"][0] if seen["first"].ndim == 4 else seen["first"]
    return {name: value.numpy() for name, value in seen.items()}


@pytest.mark.parametrize("name", TINY | RARE)
def test_logits_by_hand_from_the_last_residual_are_the_models(tmp_path, name):
    model, theirs = LanguageModel(write_tiny(name, tmp_path)), run(name)
    parts = model.parts
    logits = final_norm(parts, theirs["last"], *model.ln_final) @ model.W_U.astype(np.float64) + model.b_U
    if parts.logit_cap is not None:
        logits = parts.logit_cap * np.tanh(logits / parts.logit_cap)
    np.testing.assert_allclose(logits, theirs["logits"], rtol=0, atol=2e-6 * np.abs(theirs["logits"]).max())


@pytest.mark.parametrize("name", TINY | RARE)
def test_embedding_and_positions_are_what_enters_the_first_block(tmp_path, name):
    model, theirs = LanguageModel(write_tiny(name, tmp_path)), run(name)
    entered = model.W_E[TOKENS] + (model.W_pos[: TOKENS.shape[1]] if model.positions == "absolute" else 0)
    np.testing.assert_allclose(entered, theirs["first"], rtol=0, atol=2e-6 * np.abs(theirs["first"]).max())


def weight_of(norm) -> tuple[np.ndarray | float, bool]:
    """Ask a norm what it multiplies by, and whether it takes the mean off."""
    import torch

    if norm is None:
        return 1.0, False
    x = 1.0 - 2 * (torch.arange(D_MODEL) % 2).double()  # mean 0, mean square 1
    norm = norm.double()
    with torch.no_grad():
        weight = (norm(x) - norm(-x)) / 2 * x * (1 + eps_of(norm)) ** 0.5
        return weight.numpy(), torch.allclose(norm(x + 3), norm(x))


def eps_of(norm) -> float:
    return next((getattr(norm, name) for name in ("eps", "variance_epsilon") if hasattr(norm, name)), 1e-5)


@pytest.mark.parametrize("name", TINY | RARE)
def test_the_processed_unembedding_is_the_head_folded_by_hand(tmp_path, name):
    model, theirs = LanguageModel(write_tiny(name, tmp_path)), tiny_model(name)
    head = theirs.get_output_embeddings().weight.detach().double().numpy()
    if name == "opt_projected":
        head = head @ theirs.model.decoder.project_out.weight.detach().double().numpy()
    head = head * {"cohere": 0.0625, "granite": 0.25}.get(name, 1.0)
    weight, takes_mean_off = weight_of(norm_of(theirs))
    head = head * weight
    head = head - head.mean(axis=1, keepdims=True) if takes_mean_off else head
    head -= head.mean(axis=0)
    np.testing.assert_allclose(unembedding(model, LogitSettings()).rows, head, rtol=0, atol=1e-6 * np.abs(head).max())
    assert (model.d_model, model.d_vocab) == (D_MODEL, D_VOCAB)


OUTPUTS = {  # the matrix of block 1, and the norm behind it
    "gpt2": {"attn.W_O": ("attn.c_proj", None), "mlp.W_out": ("mlp.c_proj", None)},
    "granite": {"attn.W_O": ("self_attn.o_proj", None), "mlp.W_out": ("mlp.down_proj", None)},
}
for other in ("gemma2", "gemma3", "olmo2"):
    OUTPUTS[other] = {
        "attn.W_O": ("self_attn.o_proj", "post_attention_layernorm"),
        "mlp.W_out": ("mlp.down_proj", "post_feedforward_layernorm"),
    }


OUTPUTS |= {
    "glm4": {
        "attn.W_O": ("self_attn.o_proj", "post_self_attn_layernorm"),
        "mlp.W_out": ("mlp.down_proj", "post_mlp_layernorm"),
    },
}


@pytest.mark.parametrize("matrix", ["attn.W_O", "mlp.W_out"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_what_a_matrix_writes_to_the_stream_has_the_direction_that_the_block_adds(tmp_path, name, matrix):
    import torch

    block = owner_of_blocks(tiny_model(name))[1][1]
    path, norm = OUTPUTS[name][matrix]
    W = writing_matrix(LanguageModel(write_tiny(name, tmp_path)), 1, matrix)
    inputs = torch.randn(5, len(W), generator=torch.Generator().manual_seed(0))
    linear = block.get_submodule(path)
    with torch.no_grad():
        out = linear(inputs) - (linear(torch.zeros_like(inputs)) if norm is None else 0)
        added = (block.get_submodule(norm)(out) if norm else out * (0.5 if name == "granite" else 1)).numpy()
    mine = inputs.numpy() @ W
    if norm:  # whose scale is the token's
        added, mine = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (added, mine))
    np.testing.assert_allclose(mine, added, rtol=0, atol=1e-5 * np.abs(added).max())


@pytest.mark.parametrize(
    ("matrix", "read", "added"),
    [("attn.W_O", "attn.hook_z", "hook_attn_out"), ("mlp.W_out", "mlp.hook_post", "hook_mlp_out")],
)
def test_a_folder_in_transformer_lens_names_with_norms_behind_is_read_alike(tmp_path, matrix, read, added):
    import torch
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    sizes = {"d_model": 8, "n_ctx": 5, "d_vocab": 257, "n_layers": 2, "n_heads": 2, "d_head": 4, "d_mlp": 6}
    config = sizes | {"model_name": "own", "act_fn": "gelu", "normalization_type": "RMS"}
    config |= {"positional_embedding_type": "rotary", "rotary_dim": 4, "use_normalization_before_and_after": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = HookedTransformer(HookedTransformerConfig(**config, device="cpu"))
        for name, parameter in module.named_parameters():
            parameter.data = torch.randn(parameter.shape) * (0 if "_post" not in name and ".b_" in name else 1)
    state = {name: value for name, value in module.state_dict().items() if not name.endswith(("mask", "IGNORE"))}
    save_file(
        {name: value.contiguous() for name, value in state.items() if "rotary" not in name}, tmp_path / WEIGHTS_FILE
    )
    (tmp_path / "config.json").write_text(json.dumps(config))
    _, cache = module.run_with_cache(torch.tensor([[3, 1, 4, 1, 5]]))
    inputs, outputs = (cache[f"blocks.1.{hook}"].flatten(2)[0].detach().numpy() for hook in (read, added))
    mine = inputs @ writing_matrix(LanguageModel(tmp_path), 1, matrix)
    rows = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (mine, outputs))
    np.testing.assert_allclose(*rows, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "hook", "says"),
    [
        ("gemma2", "blocks.1.attn.hook_z", "by the weight of the norm behind the matrix"),
        ("gemma2", "blocks.1.hook_resid_post", ""),
        ("llama", "blocks.1.attn.hook_z", ""),
    ],
)
def test_captions_say_when_directions_leave_out_a_scale(tmp_path, name, hook, says):
    dictionary = planted_dictionary(d_in=D_MODEL, hook_name=hook)
    said = describe_directions(dictionary, LanguageModel(write_tiny(name, tmp_path)))
    assert "".join(said).startswith(says)
    assert bool(said) == bool(says)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gemma2", "final norm folded, centred over the vocabulary, before the model's cap of its logits at ±2"),
        ("granite", "final norm folded, centred over the vocabulary, times the model's logit scale 0.25"),
        ("olmo", "final norm not folded, centred over d_model, centred over the vocabulary"),
        ("opt_projected", "final norm not folded, centred over the vocabulary"),
    ],
)
def test_captions_say_what_was_done_to_the_unembedding(tmp_path, name, says):
    assert LogitSettings().describe(LanguageModel(write_tiny(name, tmp_path))) == says


@pytest.mark.parametrize(("name", "dtype"), [("gpt2", "float32"), ("gemma3", "bfloat16")])
def test_a_weight_page_needs_torch_for_a_model_once_and_never_again(tmp_path, name, dtype):
    import torch

    cache, folder = str(tmp_path / "cache"), str(write_tiny(name, tmp_path, tokenizer=True))
    tiny_model(name).to(getattr(torch, dtype)).save_pretrained(folder)
    page = f"""
from pathlib import Path
from core.logit_weights.unembedding import LogitSettings, unembedding
from core.models.search import find_model
from core.models.writing import writing_matrix
from core.workspace import Workspace
model = find_model({name!r}, Workspace(cache=Path({cache!r}), models=(Path({folder!r}),)))
assert unembedding(model, LogitSettings()).rows.shape == ({D_VOCAB}, {D_MODEL})
assert model.tensor("blocks.1.mlp.W_out").shape[1] == {D_MODEL}
assert model.hook_width("blocks.1.hook_resid_post") == {D_MODEL} and model.W_E.any() and model.token_strings
"""
    assert "torch" in loaded_by(page, HEAVY)[0]
    assert loaded_by(page, (*HEAVY, *NETWORK, "transformers"))[0] == []


def test_another_config_or_other_names_in_the_files_are_another_question(tmp_path):
    config = (write_tiny("gpt2", tmp_path) / "config.json").read_text()
    keys = {ModelParts.key(text, names) for text in (config, config + " ") for names in (["a", "b"], ["b", "a"], ["a"])}
    assert len(keys) == 4


def test_kept_tensors_of_a_projected_and_normed_embedding_are_those_of_the_whole_model(tmp_path, monkeypatch):
    workspace = Workspace(cache=tmp_path / "app", models=())
    whole = {name: write_tiny(name, tmp_path / "hub", tokenizer=True) for name in ("opt_projected", "bloom", "phi")}
    with StandIn({f"tiny/{name}": folder for name, folder in whole.items()}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub_cache")
        for name, folder in whole.items():
            downloads.download_tensors(f"tiny/{name}", workspace)
            kept, expected = find_model(f"tiny/{name}", workspace), LanguageModel(folder)
            for part in ("W_E", "W_U", "b_U"):
                np.testing.assert_array_equal(getattr(kept, part), getattr(expected, part))
            for one, other in zip(kept.ln_final, expected.ln_final, strict=True):
                np.testing.assert_array_equal(one, other)
            assert not kept.whole
