"""Both halves of a temporal dictionary: sae-lens' own codes, by loops over tokens, and what pages say of them."""

import numpy as np
import pytest

from core.activations.temporal import temporal_halves
from core.errors import DoesNotFitError
from tests.doubles.activation_rows import NEEDS, ROWS, planted, temporal_tensors
from tests.doubles.pages import fine, page, text_of
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.planted_pages import read_little_text, write_workspace


def by_hand(dictionary, model):
    """Return x, and what each half adds to the output, from the codes that sae-lens gives, token by token."""
    import torch

    x = model.activations(ROWS, dictionary.config.hook_name)
    with torch.no_grad():
        novel, predicted = (
            z.numpy().astype(np.float64) for z in dictionary.sae.encode_with_predictions(torch.tensor(x))
        )
    W_dec = dictionary.W_dec.astype(np.float64)
    return x.astype(np.float64), predicted @ W_dec, novel @ W_dec, predicted, novel


def test_the_halves_add_up_to_the_output(tmp_path):
    dictionary, model = planted("temporal"), planted_model(tmp_path)
    x = model.activations(ROWS, dictionary.config.hook_name)
    predicted, novel, bias, _, codes = dictionary.halves(x)
    np.testing.assert_allclose(predicted + novel + bias, dictionary.reconstruct(x), atol=1e-5)
    np.testing.assert_allclose(codes, dictionary.encode(x), atol=1e-6)
    assert np.ptp(bias.reshape(-1, 8), axis=0).max() < 1e-5, "the bias is the same on every token"
    np.testing.assert_allclose(dictionary.halves(x[:, :4])[0], predicted[:, :4], atol=1e-5)
    changed = np.concatenate([x[:, :1] + 1, x[:, 1:]], axis=1)
    assert np.abs(dictionary.halves(changed)[0][:, 1:] - predicted[:, 1:]).max() > 1e-3, "tokens before count"


def test_means_by_position_and_by_feature_are_those_of_loops(tmp_path, monkeypatch):
    monkeypatch.setattr("core.activations.temporal._FLOATS_PER_CALL", 7 * 12 * 3)  # three rows at a time
    dictionary, model = planted("temporal"), planted_model(tmp_path)
    found = temporal_halves(dictionary, model, ROWS)
    x, predicted, novel, z_predicted, z_novel = by_hand(dictionary, model)
    bias = dictionary.reconstruct(x.astype(np.float32)) - predicted - novel
    mean = x.reshape(-1, 8).mean(axis=0)
    for p in range(ROWS.shape[1]):
        spread = ((x[:, p] - mean) ** 2).sum(-1).mean()
        line = found.position_table().iloc[p]
        assert line["predicted_norm"] == pytest.approx(np.linalg.norm(predicted[:, p], axis=-1).mean(), abs=1e-5)
        assert line["novel_norm"] == pytest.approx(np.linalg.norm(novel[:, p], axis=-1).mean(), rel=1e-5)
        for name, x_hat in (("fve_predicted", predicted + bias), ("fve_both", predicted + novel + bias)):
            assert line[name] == pytest.approx(1 - ((x - x_hat)[:, p] ** 2).sum(-1).mean() / spread, abs=1e-5)
    table = found.feature_table()
    np.testing.assert_allclose(table["predicted_code"], z_predicted.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(table["novel_code"], z_novel.mean(axis=(0, 1)), atol=1e-6)
    whole = ((x - mean) ** 2).sum()
    assert found.fve_predicted == pytest.approx(1 - ((x - predicted - bias) ** 2).sum() / whole, abs=1e-5)
    assert found.fve_both == pytest.approx(1 - ((x - predicted - novel - bias) ** 2).sum() / whole, abs=1e-5)


def test_other_dictionaries_have_no_halves(tmp_path):
    with pytest.raises(DoesNotFitError, match="whose output has no halves"):
        temporal_halves(planted("standard"), planted_model(tmp_path), ROWS)
    scaled = planted_dictionary(
        "temporal",
        extra=NEEDS["temporal"],
        tensors=temporal_tensors(NEEDS["temporal"]),
        normalize_activations="layer_norm",
    )
    with pytest.raises(DoesNotFitError, match="is no sum of two halves"):
        scaled.halves(np.zeros((1, 2, 8), np.float32))


def test_the_overview_shows_both_halves_and_every_page_says_what_features_are(tmp_path, monkeypatch):
    write_workspace(tmp_path)
    read_little_text(monkeypatch)
    planted("temporal").save(tmp_path / "temporal")
    with page(tmp_path, monkeypatch, "overview") as open_page:
        said = text_of(fine(open_page({"sae": f"folder/{tmp_path}/temporal"})))
        assert "The predicted half explains" in said
        assert "Features here are the novel codes" in said
