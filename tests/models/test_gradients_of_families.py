"""Gradients of models in Hugging Face's layout, on a device: those of the CPU, and of transformers' own way back."""

from functools import cache

import numpy as np
import pytest

from core.devices import placed
from core.devices.device import CPU
from core.interventions.first_order import sensitivity
from core.models.gradients import losses
from core.models.language_model import LanguageModel
from core.models.on_device import hooked_on
from tests.doubles.planted import planted_dictionary
from tests.doubles.tiny_models import D_MODEL, D_VOCAB, tiny_model, write_tiny

ROWS = np.random.default_rng(6).integers(0, D_VOCAB, (2, 6))
FAMILIES = [
    "gpt2",
    "llama",
    "gemma2",
    "gemma3_text",
    "phi3",
    "falcon",
    "mixtral",
    "qwen3_5_text",
    "mamba",
    "opt_projected",
]
HOOK = "blocks.0.hook_resid_post"


@pytest.fixture(autouse=True)
def empty_shelves(monkeypatch):
    monkeypatch.setattr(placed, "_shelves", {})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    return cache(lambda name: write_tiny(name, root))


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_of_every_device_are_those_of_the_cpu(folders, name, device):
    dictionary = planted_dictionary(d_in=D_MODEL, hook_name=HOOK)
    target = losses(ROWS, np.ones(ROWS.shape, bool))
    expected = sensitivity(dictionary, LanguageModel(folders(name)), ROWS, target)
    model = LanguageModel(folders(name))
    found = sensitivity(dictionary, model, ROWS, target, device=device)
    assert np.abs(expected.gradient).max() > 1e-3
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)
    if device.runs_kernels:
        moved = hooked_on(model, device)
        assert placed.shelf(device).nbytes >= sum(part.nbytes for part in moved.parameters())
        assert not any(part.requires_grad for part in moved.parameters())
        again = sensitivity(dictionary, model, ROWS, target, device=CPU)  # the CPU's model stays as it was
        np.testing.assert_array_equal(again.gradient, expected.gradient)


@pytest.mark.parametrize("name", ["gpt2", "mamba"])
def test_they_are_those_of_transformers_own_backward_pass(folders, name, device):
    import torch

    theirs, kept = tiny_model(name), []

    def keep(module, inputs, output):
        value = output[0] if isinstance(output, tuple) else output
        value.retain_grad()
        kept.append(value)

    blocks = next(m for m in theirs.modules() if isinstance(m, torch.nn.ModuleList))
    blocks[0].register_forward_hook(keep)
    tokens = torch.from_numpy(ROWS)
    log_p = theirs(tokens, use_cache=False).logits.log_softmax(-1)[:, :-1]
    (-log_p.gather(2, tokens[:, 1:, None])).sum().backward()
    target = losses(ROWS, np.ones(ROWS.shape, bool))
    dictionary = planted_dictionary(d_in=D_MODEL, hook_name=HOOK)
    found = sensitivity(dictionary, LanguageModel(folders(name)), ROWS, target, device=device).gradient
    np.testing.assert_allclose(found, kept[0].grad.flatten(0, 1), rtol=1e-3, atol=1e-5)
