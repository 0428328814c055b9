"""Positional statistics on grids: the fast method, the plain one and a hand formula in float64, and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.positions.additive import additive_statistics
from core.positions.encoded import plain_grid_statistics
from core.positions.methods import position_statistics
from core.positions.statistics import variance_split
from core.positions.units import UnitCurves
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.positions_by_hand import assert_same, brute_force, grid_inputs

V, N_CTX, C = 40, 10, 6


@pytest.fixture
def model(tmp_path):
    return planted_model(tmp_path, d_vocab=V, n_ctx=N_CTX)


ADDITIVE = {
    "standard": {},
    "standard without b_dec at the input": {"apply_b_dec_to_input": False},
    "standard with decoder norms as stored": {"fold_decoder_norms": False},
    "jumprelu": {"architecture": "jumprelu", "threshold": 0.7},
    "jumprelu with a negative threshold": {"architecture": "jumprelu", "threshold": -0.7},
    "gated": {"architecture": "gated"},
    "transcoder": {"architecture": "transcoder"},
}
ENCODED = {
    "topk": {"architecture": "topk"},
    "topk by decoder norm": {"architecture": "topk", "rescale_acts_by_decoder_norm": True},
    "abstopk": {"architecture": "abstopk"},
    "layer norm of the input": {"normalize_activations": "layer_norm"},
    "gated and layer norm": {"architecture": "gated", "normalize_activations": "layer_norm"},
}


@pytest.mark.parametrize("kwargs", ADDITIVE.values(), ids=ADDITIVE)
def test_additive_grid_equals_brute_force_and_the_plain_grid(model, kwargs, device):
    dictionary = planted_dictionary(d_sae=21, **kwargs)
    expected = brute_force(dictionary, grid_inputs(model, N_CTX), C)
    fast = additive_statistics(dictionary, model, n_pos=N_CTX, context_size=C, block=8, tile=16, device=device)
    assert_same(fast, expected)
    plain = plain_grid_statistics(
        dictionary, model, np.arange(V), n_pos=N_CTX, context_size=C, budget_bytes=7 * N_CTX * 21 * 24
    )
    assert_same(plain, expected)
    assert (fast.method, plain.method, fast.n_samples, plain.n_samples) == ("additive grid", "plain grid", V, V)
    assert fast.mean.dtype == np.float32


@pytest.mark.parametrize("kwargs", ENCODED.values(), ids=ENCODED)
def test_plain_grid_equals_the_hand_formula(model, kwargs):
    dictionary = planted_dictionary(**kwargs)
    stats = position_statistics(dictionary, model)
    assert stats.method == "plain grid"
    assert_same(stats, brute_force(dictionary, grid_inputs(model, N_CTX), C))


def test_dead_and_ever_firing_features_are_exact(model, device):
    b_enc = np.zeros(6)
    b_enc[:3], b_enc[3:] = -100, 100
    dictionary = planted_dictionary(d_sae=6, tensors={"b_enc": b_enc, "W_dec": np.eye(6, 8)})
    stats = additive_statistics(dictionary, model, n_pos=N_CTX, context_size=C, block=4, device=device)
    assert_same(stats, brute_force(dictionary, grid_inputs(model, N_CTX), C))
    assert (stats.rate[:3] == 0).all()
    assert (stats.rate[3:] == 1).all()
    assert np.isnan(stats.share_position[:3]).all()
    assert stats.token_best[:3].tolist() == [-1, -1, -1]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    d_sae=st.integers(1, 11),
    d_vocab=st.integers(1, 70),
    n_pos=st.integers(1, 9),
    context=st.integers(1, 12),
    architecture=st.sampled_from(["standard", "jumprelu", "gated"]),
    block=st.integers(1, 12),
    tile=st.integers(1, 80),
    workers=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_additive_grid_is_exact_at_any_shape(
    tmp_path_factory, d_sae, d_vocab, n_pos, context, architecture, block, tile, workers, seed, device
):
    model = planted_model(tmp_path_factory.mktemp("model"), d_vocab=d_vocab, n_ctx=9, n_layers=1, seed=seed)
    dictionary = planted_dictionary(architecture, d_sae=d_sae, seed=seed)
    context = min(context, n_pos)
    stats = additive_statistics(
        dictionary, model, n_pos=n_pos, context_size=context, block=block, tile=tile, workers=workers, device=device
    )
    assert_same(stats, brute_force(dictionary, grid_inputs(model, n_pos), context))


def test_planted_position_and_token_features_split_the_variance_one_to_nothing(tmp_path, device):
    """Tokens use the first four dimensions, positions the last four; features read one or the other or both."""
    rng = np.random.default_rng(0)
    W_E, W_pos = np.zeros((V, 8)), np.zeros((N_CTX, 8))
    W_E[:, :4] = rng.normal(size=(V, 4))
    W_pos[4, 4], W_pos[5, 4] = 2, 1
    model = planted_model(tmp_path, d_vocab=V, n_ctx=N_CTX, tensors={"embed.W_E": W_E, "pos_embed.W_pos": W_pos})
    W_enc = np.zeros((8, 3))
    W_enc[4, 0] = W_enc[0, 1] = 1
    W_enc[[0, 4], 2] = 1
    tensors = {"W_enc": W_enc, "W_dec": np.eye(3, 8), "b_enc": np.zeros(3), "b_dec": np.zeros(8)}
    stats = position_statistics(planted_dictionary(d_sae=3, context_size=C, tensors=tensors), model, device=device)
    assert stats.share_position[:2] == pytest.approx([1, 0])
    assert stats.share_token[:2] == pytest.approx([0, 1])
    assert stats.share_interaction[2] > 0.01
    assert stats.mean[0].tolist() == pytest.approx([0, 0, 0, 0, 2, 1, 0, 0, 0, 0])
    assert stats.token_best[1] == W_E[:, 0].argmax()
    assert stats.token_score[1] == pytest.approx(W_E[:, 0].max())


@pytest.mark.parametrize("method", ["additive grid", "plain grid"])
def test_tokens_that_fire_only_beyond_the_context_are_counted(tmp_path, method, device):
    W_E, W_pos = np.zeros((5, 8)), np.zeros((4, 8))
    W_E[:, 0], W_pos[:, 0] = [-9, 0.5, 1.5, 2.5, 3.5], [-2, -3, -1, 0]
    model = planted_model(tmp_path, d_vocab=5, n_ctx=4, tensors={"embed.W_E": W_E, "pos_embed.W_pos": W_pos})
    tensors = {"W_enc": np.eye(8, 2), "W_dec": np.eye(2, 8), "b_enc": np.zeros(2), "b_dec": np.zeros(8)}
    dictionary = planted_dictionary(d_sae=2, tensors=tensors)
    common = {"n_pos": 4, "context_size": 2}
    if method == "additive grid":
        stats = additive_statistics(dictionary, model, **common, device=device)
    else:
        stats = plain_grid_statistics(dictionary, model, np.arange(5), budget_bytes=1, **common)
    # Inside, the best position takes 2 away, so tokens 3 and 4 fire; beyond, 1 and 2 do as well.
    assert stats.only_beyond.tolist() == [2, 0]


def moments(values):
    """The moments of values (feature, sample, pos) that a pass sums up, each in float64."""
    square = np.square(values)
    return values.mean(axis=1), square.mean(axis=1), np.square(values.mean(axis=2)).mean(axis=1)


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("size", [1e-6, 1.0, 4285.714])
def test_shares_depend_on_no_unit_and_a_constant_of_any_size_has_none(size, on_device):
    rng = np.random.default_rng(0)
    values = size * np.stack([np.ones((50_000, 8)), np.ones((50_000, 8)) + rng.random(8), rng.random((50_000, 8))])
    parts = moments(values)
    if on_device:
        import torch

        from core.positions.on_device import _variance_split

        split = {name: held.numpy() for name, held in _variance_split(*map(torch.from_numpy, parts)).items()}
    else:
        split = variance_split(*parts)
    assert np.isnan([split[name][0] for name in ("share_position", "share_token", "share_interaction")]).all()
    assert split["share_position"][1:] == pytest.approx([1, 0], abs=1e-3)


@pytest.mark.parametrize("size", [1e-6, 1.0, 4285.714])
def test_the_r2_of_a_unit_depends_on_no_unit_and_a_constant_has_none(size):
    rng = np.random.default_rng(0)
    mean = size * np.stack([np.ones(8), 1 + rng.random(8)]).astype(np.float32)
    curves = UnitCurves(mean, np.zeros_like(mean), 10)
    assert np.isnan(curves.positional_r2[0])
    assert curves.positional_r2[1] == pytest.approx(1)
