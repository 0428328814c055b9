"""Views of one feature or one token, held against encoding every pair."""

import numpy as np
import pytest

from core.errors import DoesNotFitError, OutOfRangeError
from core.positions.grids import feature_grid, only_beyond_tokens, token_curves
from core.positions.methods import position_statistics
from tests.doubles.planted import planted_dictionary, planted_model

V, N_CTX = 30, 8
KINDS = {
    "standard": {},
    "jumprelu": {"architecture": "jumprelu", "threshold": 0.6},
    "gated": {"architecture": "gated"},
    "topk": {"architecture": "topk"},
    "layer norm": {"normalize_activations": "layer_norm"},
}


@pytest.fixture
def model(tmp_path):
    return planted_model(tmp_path, d_vocab=V, n_ctx=N_CTX)


@pytest.mark.parametrize("kwargs", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("stage", ["acts", "pre_acts"])
def test_views_equal_encoding_every_pair(model, kwargs, stage):
    dictionary = planted_dictionary(**kwargs)
    x = model.W_E[:, None] + model.W_pos[:5]
    expected = dictionary.encode_with_pre_acts(x)[stage == "pre_acts"]
    assert dictionary.encode(x.reshape(-1, 8)).reshape(V, 5, -1) == pytest.approx(dictionary.encode_with_pre_acts(x)[0])
    for feature in (0, dictionary.d_sae - 1):
        grid = feature_grid(dictionary, model, feature, 5, stage=stage, budget_bytes=3 * 5 * dictionary.d_sae * 24)
        assert grid == pytest.approx(expected[..., feature], abs=2e-5)
        some = np.array([4, 2, 4])
        chosen = feature_grid(dictionary, model, feature, 5, stage=stage, tokens=some)
        assert chosen == pytest.approx(expected[some, :, feature], abs=2e-5)
    curves = token_curves(dictionary, model, 7, 5, stage=stage)
    assert curves == pytest.approx(expected[7], abs=2e-5)
    assert curves.dtype == grid.dtype == np.float32


def test_all_positions_are_the_default(model):
    dictionary = planted_dictionary()
    assert feature_grid(dictionary, model, 0).shape == (V, N_CTX)
    assert token_curves(dictionary, model, 0).shape == (N_CTX, 12)


def test_tokens_beyond_are_those_that_the_statistics_count(model):
    dictionary = planted_dictionary(context_size=3, d_sae=40)
    stats = position_statistics(dictionary, model)
    assert stats.only_beyond.max() > 0
    for feature in range(40):
        found = only_beyond_tokens(feature_grid(dictionary, model, feature), 3)
        assert len(found) == stats.only_beyond[feature]


def test_tokens_beyond_come_strongest_first():
    grid = np.array([[0, 0, 1], [0, 1, 9], [0, 0, 3], [0, 0, 0], [0, 0, -2]], np.float32)
    assert only_beyond_tokens(grid, 2).tolist() == [2, 4, 0]
    assert only_beyond_tokens(grid, 3).tolist() == []


def test_what_does_not_exist_is_said(model, tmp_path):
    dictionary = planted_dictionary()
    for bad in (-1, 12):
        with pytest.raises(OutOfRangeError, match=f"Feature {bad} does not exist: expected .* 0 to 11"):
            feature_grid(dictionary, model, bad)
    with pytest.raises(OutOfRangeError, match="Token 30 does not exist"):
        token_curves(dictionary, model, 30)
    with pytest.raises(OutOfRangeError, match="Token -1 does not exist"):
        feature_grid(dictionary, model, 0, tokens=np.array([3, -1]))
    with pytest.raises(OutOfRangeError, match="Position 8 does not exist"):
        feature_grid(dictionary, model, 0, 9)
    with pytest.raises(OutOfRangeError, match="Position -1 does not exist"):
        token_curves(dictionary, model, 0, 0)
    with pytest.raises(DoesNotFitError, match=r"no grid of tokens and positions\. From corpus text"):
        feature_grid(planted_dictionary(hook_name="blocks.1.hook_resid_pre"), model, 0)


def test_architectures_without_pre_activations_say_nan():
    """Matching pursuit has none: its features are found one after another."""
    dictionary = planted_dictionary("matching_pursuit", extra={"residual_threshold": 0.5, "max_iterations": 3})
    acts, pre_acts = dictionary.encode_with_pre_acts(np.random.default_rng(0).normal(size=(2, 4, 8)).astype(np.float32))
    assert acts.shape == pre_acts.shape == (2, 4, 12)
    assert np.isnan(pre_acts).all()


def test_nothing_is_left_hooked_to_the_module():
    dictionary = planted_dictionary()
    dictionary.encode_with_pre_acts(np.zeros((2, 8), np.float32))
    assert not dictionary.sae.hook_sae_acts_pre._forward_hooks
