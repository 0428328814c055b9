"""A card whose memory ends while weights are placed: a named error, nothing half counted, and room made first."""

import weakref

import numpy as np
import pytest

from core.activations.spliced_loss import spliced_loss, token_losses
from core.activations.token_pass import activation_pass
from core.devices import placed
from core.devices.device import CPU, DeviceError, OutOfDeviceMemoryError, named_failures
from core.enrichment.enrichment import enrichment
from core.geometry.neighbors import nearest_between, nearest_features
from core.interventions.first_order import sensitivity
from core.logit_weights.statistics import logit_statistics
from core.logit_weights.unembedding import Unembedding
from core.matching.activations import match_activations
from core.maths.principal_axes import principal_axes
from core.models.gradients import losses
from core.models.on_device import hooked_on
from core.positions.additive import additive_statistics
from tests.doubles import planted_card
from tests.doubles.activation_rows import ROWS, planted
from tests.doubles.matching_kernels import sparse
from tests.doubles.planted import planted_model
from tests.doubles.planted_card import CARD
from tests.doubles.token_set_scores import random_sets

RNG = np.random.default_rng(0)
VECTORS, TOKENS = (RNG.normal(size=shape).astype(np.float32) for shape in ((40, 8), (60, 8)))
VECTORS.flags.writeable = False


@pytest.fixture(autouse=True)
def card(monkeypatch):
    planted_card.put_in(monkeypatch)


@pytest.fixture
def world(tmp_path):
    return planted("standard", hook_name="blocks.1.hook_resid_post"), planted_model(tmp_path)


ANALYSES = {
    "token pass": lambda sae, model, on: activation_pass(sae, model, ROWS, None, device=on),
    "spliced loss": lambda sae, model, on: spliced_loss(sae, model, ROWS, device=on),
    "token losses": lambda sae, model, on: token_losses(model, ROWS, device=on),
    "gradient": lambda sae, model, on: sensitivity(
        sae, model, ROWS[:2], losses(ROWS[:2], np.ones((2, 7), bool)), device=on
    ),
    "positions": lambda sae, model, on: additive_statistics(
        planted("standard"), model, n_pos=7, context_size=7, device=on
    ),
    "logits": lambda sae, model, on: logit_statistics(
        VECTORS, Unembedding(TOKENS, np.arange(60)), center="mean", k=3, device=on
    ),
    "enrichment": lambda sae, model, on: enrichment(
        VECTORS, Unembedding(TOKENS, np.arange(60)), random_sets(np.random.default_rng(1)), draws=500, device=on
    ),
    "neighbours": lambda sae, model, on: nearest_features(VECTORS, k=3, device=on),
    "neighbours of two": lambda sae, model, on: nearest_between(VECTORS, VECTORS[::-1].copy(), k=3, device=on),
    "correlation": lambda sae, model, on: match_activations(sparse(9, 0), sparse(11, 0), k=2, device=on),
    "axes": lambda sae, model, on: principal_axes(VECTORS, 2, device=on),
}


def memory_ends_after(patch: pytest.MonkeyPatch, placements: int) -> list[int]:
    """Let all copies to the card and to other formats fail after so many; return what holds how many there were."""
    import torch

    seen = [0]

    def failing(there, counts):
        def made(self, *args, **options):
            if counts(args):
                seen[0] += 1
                if seen[0] > placements:
                    raise torch.OutOfMemoryError("planted")
            return there(self, *args, **options)

        return made

    patch.setattr(torch.Tensor, "to", failing(torch.Tensor.to, lambda args: bool(args) and args[0] == CARD.torch))
    for name in ("double", "float"):
        patch.setattr(torch.Tensor, name, failing(getattr(torch.Tensor, name), lambda args: True))
    return seen


def bytes_there(held) -> int:
    """Bytes of an array or a model."""
    tensors = [*held.parameters(), *held.buffers()] if hasattr(held, "parameters") else [held]
    return sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("name", ANALYSES)
def test_wherever_memory_ends_the_error_names_the_card_and_nothing_half_placed_is_counted(name, world, monkeypatch):
    analysis = ANALYSES[name]
    analysis(*world, CARD)  # opens what is opened once
    placed.shelf(CARD).clear()
    with monkeypatch.context() as patch:
        seen = memory_ends_after(patch, 10**9)
        analysis(*world, CARD)
    assert seen[0] >= 1
    for placements in {0, seen[0] // 2, seen[0] - 1}:
        placed.shelf(CARD).clear()
        with monkeypatch.context() as patch:
            memory_ends_after(patch, placements)
            with pytest.raises(DeviceError, match=r"Planted card.*Close other programs that use the device, or choose"):
                analysis(*world, CARD)
        shelf = placed.shelf(CARD)
        assert shelf.nbytes == sum(bytes_there(held) for held, _ in shelf._held.values())
    analysis(*world, CARD)


def test_a_model_that_is_half_there_leaves_no_tensor_behind(world, monkeypatch):
    model = world[1]
    assert model.running.module is not None
    with monkeypatch.context() as patch:
        memory_ends_after(patch, 5)
        with pytest.raises(OutOfDeviceMemoryError, match=r"The model planted of .* does not fit into the memory of"):
            hooked_on(model, CARD)
    assert placed.shelf(CARD).nbytes == 0


def test_an_error_that_is_still_held_keeps_nothing_alive_that_was_half_made():
    import torch

    left = []

    def work():
        half = torch.zeros(10, dtype=torch.float32)
        left.append(weakref.ref(half))
        raise torch.OutOfMemoryError("planted")

    with pytest.raises(OutOfDeviceMemoryError) as held, named_failures(CARD):
        work()
    assert held.value.__traceback__ is not None
    assert left[0]() is None


def test_what_was_least_recently_used_leaves_before_anyone_is_refused(monkeypatch):
    import torch

    shelf, room = placed.shelf(CARD), 100
    there = placed.Shelf._moved

    def moved(self, array):
        if self.nbytes + array.nbytes > room:
            raise torch.OutOfMemoryError("planted")
        return there(self, array)

    monkeypatch.setattr(placed.Shelf, "_moved", moved)
    arrays = [np.arange(10, dtype=np.float32) for _ in range(4)]
    for array in arrays:
        array.flags.writeable = False
    first, second = shelf.place(arrays[0]), shelf.place(arrays[1])
    assert shelf.place(arrays[0]) is first
    shelf.place(arrays[2])
    assert shelf.nbytes == 80
    assert shelf.place(arrays[0]) is first
    assert shelf.place(arrays[1]) is not second
    with pytest.raises(OutOfDeviceMemoryError, match=r"An array of 200 bytes does not fit into the memory of Planted"):
        shelf.copy(np.zeros(50, np.float32))


def test_memory_that_ends_in_the_work_itself_is_named_too():
    import torch

    with (
        pytest.raises(OutOfDeviceMemoryError, match=r"memory of Planted card ran out; 8\.00 GB are free now"),
        named_failures(CARD),
    ):
        raise torch.OutOfMemoryError("planted")
    with pytest.raises(torch.OutOfMemoryError), named_failures(CPU):
        raise torch.OutOfMemoryError("planted")
