"""A model on a device: the same activations, weights placed once and counted, fewer rows where memory runs out."""

import gc

import numpy as np
import pytest

from core.devices import placed
from core.devices.blocks import computing_on
from core.devices.device import CPU, TORCH_CPU, DeviceError
from core.errors import DoesNotFitError
from core.models import on_device
from core.models.on_device import activations_on_device, hooked_on, run_model_on_device
from tests.doubles.planted import planted_model

ROWS = np.random.default_rng(2).integers(0, 257, (7, 10))
HOOKS = ["blocks.0.hook_resid_pre", "blocks.0.attn.hook_z", "blocks.1.hook_resid_mid", "blocks.1.mlp.hook_post"]
HOOKS += ["hook_embed", "ln_final.hook_normalized"]


@pytest.fixture(autouse=True)
def empty_shelves(monkeypatch):
    monkeypatch.setattr(placed, "_shelves", {})


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("positional", ["standard", "rotary"])
def test_activations_are_those_of_the_cpu(tmp_path, hook, positional, device):
    model = planted_model(tmp_path, positional=positional)
    found, expected = run_model_on_device(model, ROWS, hook, device), model.activations(ROWS, hook)
    assert found.device == device.torch
    np.testing.assert_allclose(found.cpu(), expected, rtol=1e-4, atol=1e-5)


def test_embeddings_and_positions_are_added_as_on_the_cpu(tmp_path, device):
    model = planted_model(tmp_path)
    found = activations_on_device(model, ROWS.astype(np.int32), HOOKS[0], device)
    assert found.tolist() == model.activations(ROWS, HOOKS[0]).tolist()
    assert run_model_on_device(model, ROWS[:0], HOOKS[1], device).shape == (0, 10, 8)


def test_weights_are_moved_once_and_counted_and_the_cpus_model_stays_as_it_was(tmp_path, device):
    model = planted_model(tmp_path)
    before = [tensor.data_ptr() for tensor in model.hooked.parameters()]
    moved = hooked_on(model, device)
    assert hooked_on(model, device) is moved
    held = [tensor.nbytes for tensor in (*moved.parameters(), *moved.buffers())]
    assert placed.shelf(device).nbytes == sum(held) > 4 * 257 * 8
    assert [tensor.data_ptr() for tensor in model.hooked.parameters()] == before
    assert not set(before) & {tensor.data_ptr() for tensor in moved.parameters()}
    assert {str(tensor.device) for tensor in moved.parameters()} == {moved.cfg.device}
    moved.add_hook("blocks.0.hook_resid_post", lambda value, hook: value * 0)
    assert not model.hooked.hook_dict["blocks.0.hook_resid_post"].fwd_hooks


def test_a_model_that_no_session_holds_leaves_the_device(tmp_path):
    model = planted_model(tmp_path)
    hooked_on(model, TORCH_CPU)
    del model
    gc.collect()
    assert placed.shelf(TORCH_CPU).nbytes == 0


def test_a_model_larger_than_the_budget_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(placed, "_shelves", {TORCH_CPU: placed.Shelf(TORCH_CPU, 1000)})
    with pytest.raises(DeviceError, match=r"The model planted of .* does not fit into the 1 kB that CPU has"):
        hooked_on(planted_model(tmp_path), TORCH_CPU)


def test_memory_that_runs_out_halves_the_rows_of_a_run(tmp_path, monkeypatch):
    import torch

    model, tried = planted_model(tmp_path), []
    expected, run = run_model_on_device(model, ROWS, HOOKS[2], TORCH_CPU), on_device.activations_of_on_device

    def little_memory(model, tokens, *how):
        tried.append(len(tokens))
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("planted")
        return run(model, tokens, *how)

    monkeypatch.setattr(on_device, "activations_of_on_device", little_memory)
    np.testing.assert_allclose(run_model_on_device(model, ROWS, HOOKS[2], TORCH_CPU), expected, atol=1e-5)
    assert tried == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_what_the_model_cannot_run_is_refused_as_on_the_cpu(tmp_path, device):
    model = planted_model(tmp_path)
    with pytest.raises(DoesNotFitError, match="its context is 12"):
        run_model_on_device(model, np.zeros((1, 13), int), HOOKS[0], device)
    with pytest.raises(DoesNotFitError, match="Token ids from 257"):
        run_model_on_device(model, np.full((1, 2), 257), HOOKS[1], device)
    with pytest.raises(DoesNotFitError, match="no hook"), computing_on(device):
        activations_on_device(model, ROWS, "blocks.9.hook_resid_pre", device)


@pytest.mark.parametrize("hook", ["blocks.1.hook_resid_pre", "ln_final.hook_normalized"])
def test_a_model_that_first_ran_without_gradients_can_still_be_differentiated(tmp_path, hook, device):
    """What torch makes in inference mode can never be part of a gradient; a token pass may be what builds the model."""
    from core.interventions.first_order import sensitivity
    from core.models.gradients import losses
    from tests.doubles.planted import planted_dictionary

    rows, dictionary = ROWS[:3], planted_dictionary(hook_name=hook)
    target = losses(rows, np.ones(rows.shape, bool))
    expected = sensitivity(dictionary, planted_model(tmp_path), rows, target)
    model = planted_model(tmp_path)
    run_model_on_device(model, rows, hook, device)
    assert expected.gradient.any()
    for where in (device, CPU):
        found = sensitivity(dictionary, model, rows, target, device=where)
        np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)
