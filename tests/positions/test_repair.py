"""Repairs of reconstructions beyond the training context, on weights whose answers are known."""

import numpy as np
import pytest

from core.errors import CorpusError, DoesNotFitError, OutOfRangeError
from core.positions.repair import REPAIRS, RepairCurves, repair_curves
from tests.doubles.planted import planted_dictionary, planted_model

D, C, N_CTX = 8, 5, 9
ROWS = np.random.default_rng(0).integers(1, 257, (6, N_CTX))
NAMES = list(REPAIRS)


@pytest.fixture
def model(tmp_path):
    """Tokens use dimensions 0 to 5; positions inside the context dimension 6, beyond it 7."""
    rng = np.random.default_rng(1)
    W_E = np.zeros((257, D))
    W_E[:, :6] = rng.normal(size=(257, 6))
    W_pos = np.zeros((N_CTX, D))
    W_pos[:C, 6] = rng.uniform(1, 2, C)
    W_pos[C:, 7] = rng.uniform(1, 2, N_CTX - C)
    return planted_model(tmp_path, n_ctx=N_CTX, tensors={"embed.W_E": W_E, "pos_embed.W_pos": W_pos})


def perfect_inside(**options):
    """Plus and minus every dimension that is used inside: exact there, blind to positions beyond."""
    basis = np.eye(D)[:, :7]
    W_enc = np.concatenate([basis, -basis], axis=1)
    tensors = {"W_enc": W_enc, "W_dec": W_enc.T, "b_enc": np.zeros(14), "b_dec": np.zeros(D)}
    return planted_dictionary(d_in=D, d_sae=14, context_size=C, tensors=tensors, **options)


def curves(dictionary, model, **options) -> dict[str, np.ndarray]:
    rows = options.pop("rows", ROWS)
    found = repair_curves(dictionary, model, rows, **({"features": [6, 13], "context_size": C} | options))
    return dict(zip(NAMES, found.mse, strict=True))


def test_a_position_that_the_dictionary_cannot_see_is_mended_by_adding_it(model):
    found = curves(perfect_inside(), model)
    missing = model.W_pos[C:, 7] ** 2 / D
    np.testing.assert_allclose(found["as it is"][:C], 0, atol=1e-12)
    np.testing.assert_allclose(found["as it is"][C:], missing, rtol=1e-6)
    for name in NAMES[1:]:
        np.testing.assert_allclose(found[name], 0, atol=1e-12, err_msg=name)


def test_swapping_the_wrong_features_takes_the_token_away(model):
    found = curves(perfect_inside(), model, features=[0, 7])
    token = (model.W_E[ROWS][..., 0] ** 2).mean(axis=0)
    doubled = np.where(np.arange(N_CTX) < C, model.W_pos[:N_CTX, 6] ** 2, 0)  # the position is there twice inside
    np.testing.assert_allclose(found["positional features swapped"], (token + doubled) / D, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk", "gated"])
def test_every_repair_is_that_of_a_plain_double(model, architecture):
    dictionary = planted_dictionary(architecture, d_in=D, d_sae=12, context_size=C)
    features = [1, 4, 9]
    found = repair_curves(dictionary, model, ROWS, features=features, context_size=C)
    x = (model.W_E[ROWS] + model.W_pos[:N_CTX]).astype(np.float64)
    x_hat, acts = dictionary.reconstruct(x), dictionary.encode(x)
    swapped = x_hat - sum(acts[..., [i]] * dictionary.W_dec[i] for i in features) + model.W_pos[:N_CTX]
    beyond = np.zeros((N_CTX, 1))
    beyond[C:] = 1
    unit = x_hat / np.linalg.norm(x_hat, axis=-1, keepdims=True)
    orthogonal = model.W_pos[:N_CTX] - (model.W_pos[:N_CTX] * unit).sum(-1, keepdims=True) * unit
    double = [
        x_hat,
        x_hat + beyond * model.W_pos[:N_CTX],
        x_hat + beyond * orthogonal,
        swapped,
        swapped - (swapped - x)[:, :C].mean(axis=(0, 1)),
        dictionary.reconstruct(model.W_E[ROWS]) + model.W_pos[:N_CTX],
    ]
    for i, y in enumerate(double):
        np.testing.assert_allclose(found.mse[i], ((x - y) ** 2).mean(axis=(0, 2)), rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(found.l2[i], np.linalg.norm(x - y, axis=-1).mean(axis=0), rtol=1e-4, atol=1e-4)


def test_rows_in_batches_give_what_all_rows_together_give(model, monkeypatch):
    whole = curves(perfect_inside(), model)
    monkeypatch.setattr("core.positions.repair._FLOATS_PER_CALL", 1)
    parts = curves(perfect_inside(), model)
    for name in NAMES:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-9, atol=1e-15)


def test_the_table_has_a_row_for_each_repair_and_position(model):
    table = repair_curves(perfect_inside(), model, ROWS, features=[6], context_size=C).to_frame()
    assert len(table) == len(NAMES) * N_CTX
    assert table.loc[table["beyond"], "position"].min() == C


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"dictionary": {"hook_name": "blocks.1.hook_resid_pre"}}, DoesNotFitError, "Repairs need an SAE"),
        ({"dictionary": {"normalize_activations": "layer_norm"}}, DoesNotFitError, "normalisation: layer_norm"),
        ({"features": [14]}, OutOfRangeError, "14"),
        ({"features": [15]}, OutOfRangeError, "15"),
        ({"features": [-1]}, OutOfRangeError, "-1"),
        ({"context_size": 0}, CorpusError, "a context of 0"),
        ({"rows": ROWS[:0]}, CorpusError, r"got rows of shape \(0, "),
    ],
)
def test_what_cannot_be_repaired_is_said(model, options, error, said):
    dictionary = perfect_inside(**options.pop("dictionary", {}))
    with pytest.raises(error, match=said):
        curves(dictionary, model, **options)


def test_a_model_without_position_vectors_is_refused(tmp_path):
    with pytest.raises(DoesNotFitError, match="positions: rotary"):
        curves(perfect_inside(), planted_model(tmp_path, positional="rotary"))


def test_another_choice_of_features_is_another_result(model):
    dictionary = perfect_inside()
    keys = {
        RepairCurves.key(dictionary, model, ROWS, features=features, context_size=c)
        for features, c in (([1, 2], 5), ([2, 1], 5), ([1], 5), ([1, 2], 6))
    }
    assert len(keys) == 3
