"""Each type finds planted directions, and its result opens in sae-lens as what was trained."""

import json

import pytest
import torch
from sae_lens import SAE

from core.dictionaries.sources.folder import read_folder
from core.training import penalties, trainer
from core.training.types import TYPES
from tests.doubles.planted_training import PlantedStream, recovered, settings

L1 = {"l1_coefficient": 1.0, "warm_up_steps": 100}
OPTIONS = {
    "standard": L1,
    "topk": {"k": 2},
    "batchtopk": {"k": 2.0},
    "jumprelu": {"l0_coefficient": 0.5, "warm_up_steps": 100},
    "gated": L1,
    "matryoshka_batchtopk": {"k": 2.0, "widths": [24, 32]},
    "orthogonal": L1,
    "rescaled": {"l1_coefficient": 2.0, "warm_up_steps": 100},
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(type, steps=500, seed=0, **more):
    stream = PlantedStream()
    made = trainer.make_trainer(settings(type, steps=steps, **OPTIONS[type], **more), seed, stream)
    trainer.fit_to_inputs(made, torch.cat([stream.batch(seed, 10**6 + i) for i in range(8)]))
    for _ in range(steps):
        trainer.take_step(made)
    return made, stream


def test_every_type_has_a_case_here():
    assert OPTIONS.keys() == TYPES.keys()


@pytest.mark.parametrize("type", OPTIONS)
def test_a_type_finds_nine_of_ten_planted_directions(type):
    made, stream = trained(type)
    assert recovered(trainer.finish(made).W_dec, stream.directions) >= 0.9


@pytest.mark.parametrize("type", OPTIONS)
def test_a_result_opens_in_sae_lens_and_here_with_what_the_trained_one_gave(type, tmp_path):
    made, stream = trained(type, steps=60)
    x = stream.batch(5, 5)
    made.sae.eval()
    with torch.no_grad():
        scaled = made.activation_scaler(x)
        acts = made.sae.encode(scaled)
        expected = made.sae.decode(acts) / made.activation_scaler.scaling_factor
    trainer.save_result(made, settings(type, **OPTIONS[type]), tmp_path / "result")
    opened = SAE.load_from_disk(tmp_path / "result", device="cpu", dtype="float32")
    ours = read_folder(tmp_path / "result", id="x", title="x")
    assert opened.cfg.architecture() == TYPES[type].SAVED_AS
    assert opened.cfg.metadata["training_architecture"] == ours.config.kind == type
    assert opened.W_dec.norm(dim=1).sub(1).abs().max() < 1e-5
    if "batchtopk" not in type:  # which of a batch are the largest depends on the batch; the result has a threshold
        with torch.no_grad():
            torch.testing.assert_close(opened(x), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(torch.from_numpy(ours.reconstruct(x.numpy())), opened(x).detach(), rtol=1e-3, atol=1e-4)


def test_a_result_says_how_it_was_trained(tmp_path):
    made, _ = trained("rescaled", steps=10, seed=7)
    trainer.save_result(made, settings("rescaled"), tmp_path / "result")
    metadata = json.loads((tmp_path / "result" / "cfg.json").read_text())["metadata"]
    assert metadata["seed"] == 7
    assert metadata["model_from_pretrained_kwargs"] == {}
    assert metadata["training_architecture_details"]["l1_coefficient"] == 2.0
    assert 'type = "rescaled"' in (tmp_path / "result" / trainer.SETTINGS_FILE).read_text()


def by_hand(W):
    """The three terms of the penalty, pair by pair."""
    cosines = [[float(torch.cosine_similarity(a, b, dim=0)) for b in W] for a in W]
    n = len(W)
    off = [[cosines[i][j] for j in range(n) if j != i] for i in range(n)]
    largest = [max(row) for row in off]
    return {"mean": sum(map(sum, off)) / (n * (n - 1)), "nearest": sum(largest) / n, "largest": max(largest)}


def test_the_penalty_has_its_three_terms(monkeypatch):
    W = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)).double()
    for rows in (2, 2048):  # also where rows come in several blocks
        monkeypatch.setattr(penalties, "_ROWS", rows)
        found = penalties.orthogonality_terms(W)
        assert {name: float(value) for name, value in found.items()} == pytest.approx(by_hand(W), abs=1e-9)


@pytest.mark.parametrize("name", ["mean", "nearest", "largest"])
def test_gradients_of_the_penalty_equal_finite_differences(name):
    W = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda W: penalties.orthogonality_terms(W)[name], (W,), eps=1e-6, atol=1e-7)


def test_a_row_is_not_its_own_neighbour_though_all_others_point_away():
    W = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [-1.0, -0.2]], dtype=torch.float64)
    assert penalties.nearest(torch.nn.functional.normalize(W, dim=1)).tolist() == [2, 2, 1]


def test_the_penalty_makes_nearest_cosines_smaller():
    plain, strong = trained("standard")[0], trained("orthogonal", mean_weight=0, nearest_weight=50, largest_weight=0)[0]
    nearest = [float(penalties.nearest_cosines(one.sae.W_dec.detach()).mean()) for one in (plain, strong)]
    assert nearest[1] < nearest[0] - 0.1


def losses_of_rescaled(sae, x, coefficient):
    """The three terms of the rescaled type, written out, with W_dec and b_dec frozen where they are."""
    acts = torch.relu((x - sae.b_dec) @ sae.W_enc + sae.b_enc)
    frozen, b_dec = sae.W_dec.detach(), sae.b_dec.detach()
    x_hat = (acts * sae.r_mag.exp()) @ sae.W_dec + sae.b_dec
    error, l1 = ((x - (acts @ frozen + b_dec)) ** 2).sum(1).mean(), (acts * frozen.norm(dim=1)).sum(1).mean()
    return ((x - x_hat) ** 2).sum(1).mean(), error + coefficient * l1


def test_only_the_rescaled_output_moves_the_decoder_of_the_rescaled_type():
    made, stream = trained("rescaled", steps=5)
    sae, x = made.sae, made.activation_scaler(stream.batch(1, 1))
    from sae_lens.saes.sae import TrainStepInput

    coefficient = {"l1": 0.7}
    output = sae.training_forward_pass(TrainStepInput(x, coefficient, None, 0, False))
    output.loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in sae.named_parameters()}
    sae.zero_grad()
    full, sparse = losses_of_rescaled(sae, x, 0.7)
    (full + sparse).backward()
    for name, parameter in sae.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-5)
    sae.zero_grad()
    losses_of_rescaled(sae, x, 0.7)[0].backward()
    torch.testing.assert_close(found["W_dec"], sae.W_dec.grad, rtol=1e-4, atol=1e-5)
