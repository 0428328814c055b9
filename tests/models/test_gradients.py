"""Gradients at hooks against finite differences in float64, and against torch on models run without our hooks."""

import json
import threading
from functools import cache

import numpy as np
import pytest

from core.errors import DoesNotFitError
from core.models import gradients, proof
from core.models.architecture import Architecture
from core.models.gradients import Target, logits_of, losses
from core.models.hf_runner import LAST, HfRunner
from core.models.language_model import LanguageModel
from core.models.proof import WrongNumbersError
from core.models.search import DEMO
from tests.doubles.tiny_models import D_VOCAB, N_CTX, tiny_model, write_tiny

ROWS = np.random.default_rng(7).integers(0, D_VOCAB, (2, 6))
KEEP = np.ones(ROWS.shape, bool)
KEEP[1, 2] = False
ALL = np.arange(ROWS.size)
POINTS = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "attn.hook_z")
POINTS += ("mlp.hook_post", "attn.hook_q")
EXACT = ("gpt2", "falcon", "opt_projected")
ROUNDED = ("llama", "gemma2", "gemma3n_text", "granite", "bloom")
"""Models that compute parts in float32 whatever the weights are: their differences need a longer step."""


@pytest.fixture(scope="module", autouse=True)
def small_and_in_float64():
    """Matrices this small are slower on several threads; and no model of the app runs in float64."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    proof._TOLERANCE["float64"] = proof._TOLERANCE["float32"]
    yield
    del proof._TOLERANCE["float64"]
    torch.set_num_threads(before)


def tokens(rows=ROWS):
    import torch

    return torch.from_numpy(rows)


def runner(name: str, dtype: str = "float64") -> HfRunner:
    import torch

    model = tiny_model(name).to(getattr(torch, dtype))
    config = json.loads(model.config.to_json_string()) | {"architectures": [type(model).__name__]}
    architecture = Architecture(config, name)
    return HfRunner(model, architecture, name, n_ctx=N_CTX, lock=threading.RLock())


@cache
def double(name: str) -> HfRunner:
    return runner(name)


def sum_of(target: Target, found: HfRunner, hook: str, value) -> float:
    """The target's sum with a value put at a hook, from all logits at once."""
    last = found.read(tokens(), [LAST], replace=(hook, lambda old: value))[LAST].flatten(0, 1)
    return float(target.of(found.logits(last[target.tokens]), slice(None)).sum())


@pytest.mark.parametrize("name", EXACT + ROUNDED)
def test_the_gradient_of_the_loss_is_that_of_finite_differences(name):
    import torch

    found, target = double(name), losses(ROWS, KEEP)
    hooks = [f"blocks.1.{point}" for point in POINTS if found.places.get(f"blocks.1.{point}")]
    assert len(hooks) >= 3
    generator = torch.Generator().manual_seed(1)
    for hook in hooks:
        got = found.gradient(tokens(), hook, target)
        assert got.at.dtype == got.gradient.dtype == torch.float64
        assert torch.equal(got.at, found.read(tokens(), [hook])[hook])
        way = torch.randn(got.at.shape, generator=generator, dtype=torch.float64)
        step, off = (1e-6, 2e-5) if name in EXACT else (1e-3, 5e-3)
        rise = sum_of(target, found, hook, got.at + step * way) - sum_of(target, found, hook, got.at - step * way)
        assert float((got.gradient * way).sum()) == pytest.approx(rise / (2 * step), rel=off, abs=1e-6), hook
        assert float(got.values.sum()) == pytest.approx(sum_of(target, found, hook, got.at), rel=1e-9)


def test_the_gradient_of_positions_is_one_for_each_row():
    found, target = double("gpt2"), losses(ROWS, KEEP)
    whole, positions = (found.gradient(tokens(), hook, target) for hook in ("hook_embed", "hook_pos_embed"))
    assert positions.gradient.shape == whole.gradient.shape
    np.testing.assert_allclose(positions.gradient, whole.gradient, rtol=1e-9)


@pytest.mark.parametrize("two", [False, True])
def test_the_gradient_of_logits_is_that_of_finite_differences(two):
    import torch

    found, hook, where = double("gpt2"), "blocks.1.hook_resid_pre", np.array([2, 5, 9])
    plus, minus = (np.random.default_rng(s).integers(0, D_VOCAB, 3) for s in (1, 2))
    got = found.gradient(tokens(), hook, target := logits_of(where, plus, minus if two else None))
    way = torch.randn(got.at.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    above, below = (sum_of(target, found, hook, got.at + s * 1e-6 * way) for s in (1, -1))
    assert float((got.gradient * way).sum()) == pytest.approx((above - below) / 2e-6, rel=1e-5)
    logits = found.logits(found.read(tokens(), [LAST])[LAST].flatten(0, 1)[where]).numpy()
    np.testing.assert_allclose(got.values, logits[[0, 1, 2], plus] - two * logits[[0, 1, 2], minus])


def test_a_token_changes_no_number_before_it():
    found = double("gpt2")
    got = found.gradient(tokens(), "blocks.0.hook_resid_pre", logits_of(np.array([3]), np.array([5])))
    assert (got.gradient[0, :4].abs().sum(dim=1) > 0).all()
    assert not got.gradient[0, 4:].any()
    assert not got.gradient[1].any()


def test_a_folder_has_the_gradient_that_torch_gives_the_library_s_own_model(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    folder = write_tiny("llama", tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    leaf = []

    def put(block, args, out):
        leaf.append((out[0] if isinstance(out, tuple) else out).detach().requires_grad_())
        return (leaf[0], *out[1:]) if isinstance(out, tuple) else leaf[0]

    theirs.model.layers[0].register_forward_hook(put)
    logits = theirs(tokens(), use_cache=False).logits
    every = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens()[:, 1:].flatten(), reduction="none")
    every[torch.from_numpy(KEEP[:, :-1].ravel())].sum().backward()
    ours = LanguageModel(folder).running.gradient(tokens(), "blocks.0.hook_resid_post", losses(ROWS, KEEP))
    np.testing.assert_allclose(ours.gradient, leaf[0].grad, atol=1e-6)


def test_the_demo_has_the_gradient_that_torch_gives_it():
    import torch

    model = LanguageModel(DEMO)
    rows = np.random.default_rng(2).integers(0, model.d_vocab, (2, 9))
    leaf = []

    def put(value, hook):
        leaf.append(value.detach().requires_grad_())
        return leaf[0]

    logits = model.hooked.run_with_hooks(tokens(rows), fwd_hooks=[("blocks.2.hook_resid_pre", put)])
    torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), tokens(rows)[:, 1:].flatten(), reduction="sum"
    ).backward()
    target = losses(rows, np.ones(rows.shape, bool))
    ours = model.running.gradient(tokens(rows), "blocks.2.hook_resid_pre", target)
    np.testing.assert_allclose(ours.gradient, leaf[0].grad, atol=2e-6)
    late = model.running.gradient(tokens(rows), "blocks.2.hook_resid_pre", target, start=(2, ours.at))
    np.testing.assert_allclose(late.gradient, ours.gradient, atol=1e-7)
    heads = model.running.gradient(tokens(rows), "blocks.2.attn.hook_z", target, names=["blocks.1.hook_resid_post"])
    assert heads.gradient.shape == (2, 9, 128)
    np.testing.assert_allclose(heads.seen["blocks.1.hook_resid_post"], ours.at, atol=1e-6)
    with pytest.raises(DoesNotFitError, match="can be read, and not replaced"):
        model.running.gradient(tokens(rows), "blocks.2.ln1.hook_out", target)
    with pytest.raises(DoesNotFitError, match=r"Nothing passes at blocks\.1\.hook_mlp_out of loupe-demo"):
        model.running.gradient(tokens(rows), "blocks.1.hook_mlp_out", target, start=(2, ours.at))


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "falcon"])
def test_a_run_that_starts_late_has_the_same_gradient(name):
    found, hook, target = double(name), "blocks.1.hook_mlp_out", losses(ROWS, KEEP)
    before = found.read(tokens(), ["blocks.1.hook_resid_pre"])["blocks.1.hook_resid_pre"]
    whole, late = (found.gradient(tokens(), hook, target, start=start) for start in (None, (1, before)))
    np.testing.assert_allclose(late.gradient, whole.gradient, rtol=1e-12)


def test_nothing_is_left_on_the_module_and_the_lock_is_free():
    found = runner("gpt2", "float32")
    found.read(tokens(), [LAST])
    needed = [parameter.requires_grad for parameter in found.module.parameters()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in found.module.modules()]
    plain = found.read(tokens(), [LAST])[LAST]
    found.gradient(tokens(), "blocks.1.hook_resid_pre", losses(ROWS, KEEP), start=None)
    assert [parameter.grad for parameter in found.module.parameters()] == [None] * len(needed)
    assert [parameter.requires_grad for parameter in found.module.parameters()] == needed
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in found.module.modules()] == hooks
    again = found.read(tokens(), [LAST])[LAST]
    assert again.equal(plain)
    assert not again.requires_grad
    free = []
    other = threading.Thread(target=lambda: free.append(found._lock.acquire(blocking=False)))
    other.start()
    other.join()
    assert free == [True]


def test_the_number_of_logits_made_at_a_time_changes_nothing(monkeypatch):
    found, target = double("gpt2"), losses(ROWS, KEEP)
    whole = found.gradient(tokens(), "blocks.0.hook_resid_post", target)
    monkeypatch.setattr(gradients, "_LOGITS_PER_CALL", 2 * D_VOCAB)
    few = found.gradient(tokens(), "blocks.0.hook_resid_post", target)
    np.testing.assert_allclose(few.gradient, whole.gradient, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(few.values, whole.values)


@pytest.mark.parametrize(("dtype", "share"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_models_of_short_numbers_have_nearly_the_gradient_of_long_ones(dtype, share):
    import torch

    target, hook = losses(ROWS, KEEP), "blocks.1.hook_resid_post"
    exact, short = (runner("llama", kind).gradient(tokens(), hook, target) for kind in ("float32", dtype))
    assert short.gradient.dtype == short.at.dtype == torch.float32
    assert (short.gradient - exact.gradient).norm() < share * exact.gradient.norm()


def test_a_hook_that_no_logit_depends_on_has_gradient_zero():
    found = double("gpt2")
    got = found.gradient(tokens(), "blocks.1.hook_resid_pre", Target(ALL, lambda logits, part: logits[:, 0] * 0))
    assert not got.gradient.any()
    none = found.gradient(tokens(), "blocks.1.hook_resid_pre", losses(ROWS, np.zeros_like(KEEP)))
    assert not none.gradient.any()
    assert none.values.shape == (0,)


def test_a_model_that_is_partly_on_disk_and_numbers_that_are_not_finite_are_refused():
    found = runner("gpt2", "float32")
    with pytest.raises(DoesNotFitError, match=r"not finite at .* runs in float32"):
        found.gradient(tokens(), "blocks.1.hook_resid_pre", Target(ALL, lambda logits, part: logits[:, 0] * np.inf))
    found.module.transformer.wpe.to("meta")
    with pytest.raises(DoesNotFitError, match="gpt2 runs from the disk"):
        found.gradient(tokens(), "blocks.1.hook_resid_pre", losses(ROWS, KEEP))


def test_a_part_that_keeps_no_graph_is_seen_by_runs():
    found = runner("gpt2", "float32")
    block = found.module.transformer.h[1]
    cut = block.mlp.register_forward_hook(lambda module, args, out: out.detach())
    with pytest.raises(WrongNumbersError, match=r"gradient at blocks\.1\.hook_resid_pre of gpt2 is not how its loss"):
        found.gradient(tokens(), "blocks.1.hook_resid_pre", losses(ROWS, KEEP))
    cut.remove()
    found.gradient(tokens(), "blocks.1.hook_resid_pre", losses(ROWS, KEEP))


def test_a_part_that_torch_cannot_differentiate_is_refused():
    import torch

    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, above):
            raise NotImplementedError("derivative for aten::_packed is not implemented")

    found = runner("gpt2", "float32")
    found.module.transformer.h[1].mlp.register_forward_hook(lambda module, args, out: Forward.apply(out))
    with pytest.raises(DoesNotFitError, match=r"torch cannot differentiate a part .*derivative for aten::_packed"):
        found.gradient(tokens(), "blocks.1.hook_resid_pre", losses(ROWS, KEEP))
