"""Queries, keys and values that one module gives together are those that the model's own attention takes."""

import json
import threading

import numpy as np
import pytest

from core.models.architecture import Architecture
from core.models.hf_runner import LAST, HfRunner
from core.models.places import Places
from tests.doubles.tiny_models import D_VOCAB, N_CTX, TINY

TOKENS = np.random.default_rng(4).integers(0, D_VOCAB, (2, 7))
N_HEADS, D_HEAD, HOOKS = 4, 8, ("attn.hook_q", "attn.hook_k", "attn.hook_v")
NEW = {"new_decoder_architecture": True, "num_kv_heads": 2}
VARIANTS = [("phi3", {}, 2), ("phi3", {"num_key_value_heads": 4}, 4), ("phi3", {"num_key_value_heads": 1}, 1)]
VARIANTS += [("falcon", {}, 1), ("falcon", {"multi_query": False}, 4), ("falcon", NEW, 2)]
VARIANTS += [("falcon", NEW | {"num_kv_heads": 4}, 4)]


def built(name: str, changes: dict) -> HfRunner:
    import torch
    import transformers

    model_class = getattr(transformers, TINY[name][0])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = model_class(model_class.config_class(**TINY[name][1] | changes)).float().eval()
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    config = json.loads(model.config.to_json_string()) | {"architectures": [model_class.__name__]}
    return HfRunner(model, Architecture(config, name), name, n_ctx=N_CTX, lock=threading.RLock())


def taken_by_attention(monkeypatch, runner: HfRunner, name: str) -> list[dict]:
    """Run a model and note for each layer what its rotary embedding and its attention take, (batch, head, pos, d)."""
    import torch
    from transformers.models.falcon import modeling_falcon
    from transformers.models.phi3 import modeling_phi3

    module, layers = {"phi3": modeling_phi3, "falcon": modeling_falcon}[name], []
    rotary, attention = module.apply_rotary_pos_emb, torch.nn.functional.scaled_dot_product_attention

    def turned(q, k, *args, **kwargs):
        layers.append({"attn.hook_q": q.clone(), "attn.hook_k": k.clone()})
        return rotary(q, k, *args, **kwargs)

    def attended(q, k, v, *args, **kwargs):
        layers[-1]["attn.hook_v"] = v.clone()
        return attention(q, k, v, *args, **kwargs)

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(module, "apply_rotary_pos_emb", turned)
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", attended)
        runner.module(torch.from_numpy(TOKENS), use_cache=False)
    return layers


@pytest.mark.parametrize(("name", "changes", "n_shared"), VARIANTS)
def test_each_is_what_the_models_own_attention_takes(monkeypatch, name, changes, n_shared):
    import torch

    runner = built(name, changes)
    layers = taken_by_attention(monkeypatch, runner, name)
    found = runner.read(torch.from_numpy(TOKENS), [f"blocks.{i}.{hook}" for i in (0, 1) for hook in HOOKS])
    for layer, taken in enumerate(layers):
        for hook, expected in taken.items():
            n = N_HEADS if hook == "attn.hook_q" else n_shared
            once = expected[:, :: expected.shape[1] // n]  # heads that share a key may each have a copy of it
            value = found[f"blocks.{layer}.{hook}"]
            assert value.shape[-1] == n * D_HEAD == runner.places.get(f"blocks.{layer}.{hook}").width
            assert value.equal(once.transpose(1, 2).flatten(2)), (layer, hook)


@pytest.mark.parametrize(("name", "changes", "n_shared"), VARIANTS)
def test_one_is_replaced_without_the_others(name, changes, n_shared):
    import torch

    runner, tokens = built(name, changes), torch.from_numpy(TOKENS)
    names = [f"blocks.1.{hook}" for hook in HOOKS]
    before, last = runner.read(tokens, names), runner.read(tokens, [LAST])[LAST]
    for name in names:
        after = runner.read(tokens, [*names, LAST], replace=(name, lambda value: value * 2 + 1))
        for other in names:
            assert after[other].equal(before[other] * 2 + 1 if other == name else before[other])
        assert (after[LAST] - last).abs().max() > 1e-3
        same = runner.read(tokens, [LAST], replace=(name, lambda value: value * 1))[LAST]
        assert same.equal(last)


def test_a_module_of_another_width_is_not_taken_apart():
    import torch

    runner = built("phi3", {})
    runner._architecture.meta.model.layers[1].self_attn.qkv_proj = torch.nn.Linear(32, 60, device="meta")
    places = Places(runner._architecture)
    assert places.get("blocks.0.attn.hook_q") is not None
    assert places.get("blocks.1.attn.hook_q") is None
