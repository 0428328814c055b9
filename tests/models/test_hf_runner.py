"""Models of transformers run as they are, against hooks placed by hand, and against TransformerLens."""

import json
import threading
from functools import cache

import numpy as np
import pytest

from core.errors import DoesNotFitError
from core.models.architecture import Architecture
from core.models.hf_runner import LAST, HfRunner
from core.models.places import Places
from core.models.proof import Proof, WrongNumbersError
from tests.doubles.hooked_transformer import hooked_transformer
from tests.doubles.tiny_models import D_MLP, D_MODEL, D_VOCAB, N_CTX, TINY, tiny_model, write_tiny

TOKENS = np.random.default_rng(4).integers(0, D_VOCAB, (2, 7))
GPT, LLAMA = "transformer.h", "model.layers"
BLOCKS = dict.fromkeys(TINY, LLAMA) | dict.fromkeys(("gpt2", "gpt_neo", "gptj", "bloom", "falcon"), GPT)
BLOCKS |= dict.fromkeys(("gemma3", "qwen3_5", "qwen3_5_moe"), "model.language_model.layers")
BLOCKS |= {"gpt_neox": "gpt_neox.layers", "mamba": "backbone.layers"}
BLOCKS |= dict.fromkeys(("opt", "opt_projected"), "model.decoder.layers")
MOE = ("mixtral", "qwen3_moe", "gpt_oss")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are slower on several threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows():
    import torch

    return torch.from_numpy(TOKENS)


@cache
def runner(name: str) -> HfRunner:
    """A runner of a tiny model, which no test changes."""
    return fresh_runner(name)


def fresh_runner(name: str) -> HfRunner:
    model = tiny_model(name)
    config = json.loads(model.config.to_json_string()) | {"architectures": [type(model).__name__]}
    architecture = Architecture(config, name)
    return HfRunner(model, architecture, name, n_ctx=N_CTX, lock=threading.RLock())


@cache
def by_hand(name: str) -> dict:
    """What enters and leaves each block and the logits of another copy of the model: it runs whole, with hooks here."""
    import torch

    model, seen, handles = tiny_model(name), {}, []

    def keep(key, value):
        value = value[0] if isinstance(value, tuple) else value
        seen[key] = (value[0] if value.ndim == 4 else value).clone()  # Gemma 3n: its active stream

    for i, block in enumerate(model.get_submodule(BLOCKS[name])):
        handles.append(
            block.register_forward_pre_hook(
                lambda module, args, kwargs, i=i: keep(
                    f"blocks.{i}.hook_resid_pre", args[0] if args else kwargs["hidden_states"]
                ),
                with_kwargs=True,
            )
        )
        handles.append(
            block.register_forward_hook(lambda module, args, out, i=i: keep(f"blocks.{i}.hook_resid_post", out))
        )
    with torch.no_grad():
        seen["logits"] = model(rows(), use_cache=False).logits
    return seen


def close(found, expected, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(found.float().numpy(), expected.float().numpy(), rtol=0, atol=atol)


@pytest.mark.parametrize("name", TINY)
def test_streams_and_logits_are_those_of_hooks_placed_by_hand(name):
    expected, found = by_hand(name), runner(name)
    names = [hook for hook in expected if hook != "logits"]
    assert len(names) >= 4
    together = found.read(rows(), names)
    for hook in names:
        close(together[hook], expected[hook])
    assert found.places.get(names[0]).width == D_MODEL
    last = found.read(rows(), [LAST])[LAST]
    close(found.logits(last.flatten(0, 1)), expected["logits"].flatten(0, 1))


@pytest.mark.parametrize("name", TINY)
def test_every_hook_that_is_offered_fires_with_its_width_and_its_own_value_changes_nothing(name):
    found, layer = runner(name), runner(name).places.n_layers - 1
    hooks = [*found.places.points(layer), "hook_embed", "ln_final.hook_normalized"]
    hooks = [hook for hook in hooks if found.places.get(hook)]
    values, last = found.read(rows(), hooks), found.read(rows(), [LAST])[LAST]
    for hook in hooks:
        assert values[hook].shape == (*TOKENS.shape, found.places.get(hook).width), hook
        same = found.read(rows(), [LAST], replace=(hook, lambda old, hook=hook: values[hook]))[LAST]
        close(same, last, atol=1e-4)


@pytest.mark.parametrize("name", TINY)
def test_a_run_that_starts_at_a_block_ends_as_one_from_the_beginning(name):
    found = runner(name)
    hook = "blocks.1.hook_resid_pre"
    stream, last = found.read(rows(), [hook])[hook], found.read(rows(), [LAST])[LAST]
    if not found.can_start_late:  # one stream of Gemma 3n's is not all that enters a block
        return
    close(found.read(rows(), [LAST], start=(1, stream))[LAST], last, atol=0)
    zeros = found.read(rows(), [LAST], replace=(hook, lambda old: old * 0))[LAST]
    assert (zeros - last).abs().max() > 1e-3
    moved = found.read(rows(), [LAST], start=(1, stream + 1))[LAST]
    replaced = found.read(rows(), [LAST], replace=(hook, lambda old: old + 1))[LAST]
    close(moved, replaced)
    close(found.read(rows(), [LAST])[LAST], last, atol=0)


SHARED = ["hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "attn.hook_z"]
SHARED += ["ln1.hook_normalized", "ln2.hook_normalized", "attn.hook_q", "attn.hook_k", "attn.hook_v"]
SHARED += ["mlp.hook_pre", "mlp.hook_post"]


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "qwen3", "bloom", "mixtral"])
def test_hooks_have_the_values_that_transformer_lens_had_under_their_names(name, tmp_path):
    folder = write_tiny(name, tmp_path)
    old = hooked_transformer(folder, n_ctx=16)
    _, cache = old.run_with_cache(rows())
    found, compared = runner(name), 0
    for hook in [*(f"blocks.1.{point}" for point in SHARED), "hook_embed", "ln_final.hook_normalized"]:
        if found.places.get(hook) is None:
            assert hook not in cache or "mlp" in hook, hook
            continue
        compared += 1
        scale = 1 + cache[hook].abs().max().item()
        close(found.read(rows(), [hook])[hook] / scale, cache[hook].flatten(2).detach() / scale, atol=2e-5)
    assert compared >= 10


def test_a_stream_replaced_between_attention_and_mlp_is_replaced_for_all_that_follows(tmp_path):
    folder = write_tiny("gpt2", tmp_path)
    old = hooked_transformer(folder, n_ctx=16)
    hook = "blocks.0.hook_resid_mid"
    expected = old.run_with_hooks(rows(), fwd_hooks=[(hook, lambda value, hook: value * 0.5)])
    last = runner("gpt2").read(rows(), [LAST], replace=(hook, lambda value: value * 0.5))[LAST]
    close(runner("gpt2").logits(last), expected.detach(), atol=1e-4)


@pytest.mark.parametrize("name", MOE)
def test_a_mixture_of_experts_offers_no_neurons_and_says_why(name):
    places = runner(name).places
    assert places.get("blocks.1.mlp.hook_post") is None
    with pytest.raises(DoesNotFitError, match=rf"{name} has no hook .* made of experts .* nearest are blocks\.1\.mlp"):
        places.find("blocks.1.mlp.hook_post", name)


@pytest.mark.parametrize(
    ("name", "hook", "nearest"),
    [
        ("llama", "blocks.0.mlp.hook_pots", "blocks.0.mlp.hook_post"),
        ("llama", "blocks.7.hook_resid_pre", "blocks.1.hook_resid_pre"),
        ("gptj", "blocks.0.hook_resid_mid", "blocks.0.hook_resid_pre"),
        ("llama", "hook_pos_embed", "hook_embed"),
        ("opt_projected", "blocks.0.hook_resid_mid", "blocks.0.hook_resid_post"),
        ("gemma3n_text", "blocks.0.hook_attn_out", "blocks.0.hook_resid"),
        ("qwen3_5_text", "blocks.1.attn.hook_q", "blocks.1.attn.hook_k"),
        ("qwen3_5_text", "blocks.0.attn.hook_z", "blocks.0"),
        ("llama", "blocks.0.attn.hook_pattern", "blocks.0.attn"),
        ("llama", "blocks.0.hook_mlp_in", "blocks.0.mlp.hook_in"),
        ("llama", "model.layers.9.mlp", "nearest are"),
        ("llama", "model.layers", "nearest are"),
        ("llama", "model.layers.0.mlp.act_fn", "nearest are"),
        ("llama", "x" * 5000, "nearest are"),
        ("llama", "", "nearest are"),
    ],
)
def test_a_hook_that_a_model_lacks_is_refused_with_the_nearest_ones(name, hook, nearest):
    with pytest.raises(DoesNotFitError, match=rf"{name} has no hook .*layers 0 to \d: nearest are .*") as caught:
        runner(name).read(rows(), [hook])
    assert nearest in str(caught.value).partition("Expected")[2]
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("path", "hook"),
    [
        ("model.layers.1", "blocks.1.hook_resid_post"),
        ("model.layers.1.input", "blocks.1.hook_resid_pre"),
        ("model.layers.1.mlp", "blocks.1.hook_mlp_out"),
        ("model.layers.1.mlp.output", "blocks.1.mlp.hook_out"),
        ("model.layers.0.mlp.down_proj.input", "blocks.0.mlp.hook_post"),
        ("model.layers.0.post_attention_layernorm.input", "blocks.0.hook_resid_mid"),
        ("model.embed_tokens", "hook_embed"),
    ],
)
def test_a_path_in_the_model_names_what_passes_there(path, hook):
    found = runner("llama").read(rows(), [path, hook])
    close(found[path], found[hook], atol=0)
    assert runner("llama").places.get(path).width == (D_MLP if "down" in path else D_MODEL)
    assert runner("llama").layer_of(path) in (runner("llama").layer_of(hook), None)


def test_an_mlp_that_is_no_module_of_its_own_is_read_at_its_ends():
    found = runner("opt").read(rows(), ["blocks.1.mlp.hook_in", "blocks.1.ln2.hook_out", "blocks.1.hook_mlp_out"])
    close(found["blocks.1.mlp.hook_in"], found["blocks.1.ln2.hook_out"], atol=0)
    last = runner("opt").read(rows(), ["blocks.1.mlp.hook_out"])["blocks.1.mlp.hook_out"]
    close(last, found["blocks.1.hook_mlp_out"], atol=0)


def test_blocks_above_the_hook_do_not_run():
    found, run = fresh_runner("llama"), []
    stream = found.read(rows(), ["blocks.0.hook_resid_post", "blocks.1.hook_resid_pre"])["blocks.1.hook_resid_pre"]
    for i, block in enumerate(found.module.model.layers):
        block.mlp.register_forward_hook(lambda module, args, out, i=i: run.append(i))
    found.module.lm_head.register_forward_hook(lambda module, args, out: run.append("logits"))
    found.read(rows(), ["blocks.0.hook_resid_post"])
    assert run == [0]
    found.read(rows(), [LAST], start=(1, stream))
    assert run == [0, 1], "and neither does the unembedding"


def test_nothing_is_left_on_the_model_whatever_happens():
    found = fresh_runner("gpt2")
    names = [LAST, "blocks.0.hook_resid_mid", "blocks.1.hook_resid_mid"]
    expected = found.read(rows(), names)[LAST]

    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in found.module.modules())

    before = hooks()

    def fails(value):
        raise ZeroDivisionError

    with pytest.raises(DoesNotFitError, match=r"Nothing passes at blocks\.0\.hook_resid_mid"):
        found.read(rows(), [LAST], replace=("blocks.0.hook_resid_mid", fails), start=(1, expected))
    with pytest.raises(ZeroDivisionError):
        found.read(rows(), [LAST], replace=("blocks.1.hook_resid_mid", fails), start=(1, expected))
    assert hooks() == before
    assert not [module for module in found.module.modules() if "forward" in vars(module)]
    close(found.read(rows(), [LAST])[LAST], expected, atol=0)


def test_a_module_that_never_runs_is_named():
    found = fresh_runner("gpt2")
    import torch

    for model in (found.module, found._architecture.meta):
        model.transformer.h[0].spare = torch.nn.Linear(4, 4)
    with pytest.raises(DoesNotFitError, match=r"Nothing passes at transformer\.h\.0\.spare of gpt2 when"):
        found.read(rows(), ["transformer.h.0.spare"])


def test_a_model_whose_logits_are_not_its_own_is_refused_on_first_use(monkeypatch):
    found = fresh_runner("cohere")
    adapter = found._architecture.adapter
    monkeypatch.setattr(adapter, "apply_output_logits_transform", lambda logits: logits)
    with pytest.raises(WrongNumbersError, match=r"logits of cohere is not what it is on its own: .* on 16 tokens"):
        found.read(rows(), ["blocks.0.hook_resid_pre"])


def test_attention_that_differs_from_the_plainest_is_refused(monkeypatch):
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def blind(module, query, key, value, attention_mask, **kwargs):
        return sdpa_attention_forward(module, query, key, value, None, is_causal=False, **kwargs)

    monkeypatch.setitem(AttentionInterface._global_mapping, "sdpa", blind)
    with pytest.raises(WrongNumbersError, match=r"blocks\.0\.hook_resid_post of llama is not what it is on its own"):
        fresh_runner("llama").read(rows(), ["blocks.0.hook_resid_post"])


def test_a_hook_that_is_no_part_of_the_stream_is_not_passed_off_as_one():
    import torch

    pre, attn, mlp = torch.randn(3, 1, 4, 8)
    read = {"blocks.0.hook_resid_pre": pre, "blocks.0.hook_attn_out": attn, "blocks.0.hook_mlp_out": mlp}
    read |= {"blocks.0.hook_resid_post": pre + attn + mlp, "logits": pre}
    Proof("m", ["blocks.0.hook_mlp_out"], read, read, (), "float32").check()
    scaled = read | {"blocks.0.hook_mlp_out": 2 * mlp}
    with pytest.raises(WrongNumbersError, match=r"hook_mlp_out of m .* as a part of the stream after the block"):
        Proof("m", ["blocks.0.hook_mlp_out"], scaled, scaled, (), "float32").check()
    odd = read | {"blocks.0.hook_mlp_out": mlp * torch.nan}
    with pytest.raises(WrongNumbersError, match="off by nan"):
        Proof("m", ["blocks.0.hook_mlp_out"], odd, odd, (), "float32").check()
    later = read | {"blocks.1.hook_resid_pre": pre}
    with pytest.raises(WrongNumbersError, match="in transformers' hidden_states"):
        Proof("m", ["blocks.1.hook_resid_pre"], later, later, (pre + 1,), "float32").check()


def test_threads_share_a_model_and_none_sees_the_hooks_of_another():
    found = runner("llama")
    hook, wrong = "blocks.0.hook_resid_post", []
    plain = found.read(rows(), [LAST])[LAST]
    scaled = found.read(rows(), [LAST], replace=(hook, lambda old: old * 3))[LAST]

    def work(scale):
        for _ in range(10):
            how = {"replace": (hook, lambda old: old * 3)} if scale else {}
            if not found.read(rows(), [LAST], **how)[LAST].equal(scaled if scale else plain):
                wrong.append(scale)

    threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []


def test_places_are_found_without_weights():
    places = Places(runner("mistral")._architecture)
    assert places.n_layers == 2
    assert places.nearest("blocks.1.hook_resid_por")[0] in ("blocks.1.hook_resid_pre", "blocks.1.hook_resid_post")
