"""What the overview page shows of every feature."""

import numpy as np
import pytest

from core.activations.token_pass import activation_pass
from core.catalogue import STATISTICS
from core.overview.tables import density_counts, density_table, unseen_below, weight_table
from tests.doubles.activation_rows import ROWS, dense
from tests.doubles.planted import planted_dictionary, planted_model


@pytest.mark.parametrize("fold", [True, False])
def test_norms_biases_and_products_are_those_of_the_weights_as_used(fold):
    dictionary = planted_dictionary("jumprelu", fold_decoder_norms=fold)
    W_enc, W_dec = dictionary.W_enc.astype(float), dictionary.W_dec.astype(float)
    found = weight_table(dictionary)
    np.testing.assert_allclose(found["encoder_norm"], np.linalg.norm(W_enc, axis=0))
    np.testing.assert_allclose(found["decoder_norm"], np.linalg.norm(W_dec, axis=1))
    np.testing.assert_allclose(found["decoder_bias_product"], W_dec @ dictionary.b_dec.astype(float))
    np.testing.assert_array_equal(found["encoder_bias"], dictionary.b_enc)
    cosine = [W_enc[:, i] @ W_dec[i] / np.linalg.norm(W_enc[:, i]) / np.linalg.norm(W_dec[i]) for i in range(12)]
    np.testing.assert_allclose(found["encoder_decoder_cosine"], cosine, atol=1e-6)
    assert np.allclose(found["decoder_norm"], 1) == fold


@pytest.mark.parametrize("architecture", ["transcoder", "gated", "topk", "matching_pursuit"])
def test_dictionaries_without_some_weight_have_the_other_columns(architecture):
    extra = {"max_iterations": 3, "residual_threshold": 0.01, "k": 3} if architecture == "matching_pursuit" else None
    found = weight_table(planted_dictionary(architecture, extra=extra))
    assert ("encoder_decoder_cosine" in found) == (architecture != "transcoder")
    assert not found.isna().any(axis=None)
    assert set(found.columns) <= set(STATISTICS)


def test_density_is_counted_on_the_text_with_and_without_the_first_position(tmp_path):
    dictionary, model = planted_dictionary(tensors={"b_enc": np.r_[-1e3, np.zeros(11)]}), planted_model(tmp_path)
    statistics, acts = activation_pass(dictionary, model, ROWS, None), dense(dictionary, model)
    for with_first in (True, False):
        found = density_table(statistics, with_first=with_first)
        expected = (acts[:, 0 if with_first else 1 :] != 0).mean(axis=(0, 1))
        np.testing.assert_allclose(found["density"], expected)
        np.testing.assert_allclose(10 ** found["log_density"][1:], expected[1:])
        assert np.isnan(found["log_density"][0])
        assert set(found.columns) <= set(STATISTICS)


def test_dead_and_ultralow_features_are_counted_apart(tmp_path):
    dictionary, model = planted_dictionary(), planted_model(tmp_path)
    table = density_table(activation_pass(dictionary, model, ROWS, None)).head(5)
    table["density"] = [0.0, 1e-7, 1e-6, 0.5, 0.0]
    assert density_counts(table) == {"dead": 2, "ultralow": 1, "other": 2}
    assert density_counts(table, 0.6) == {"dead": 2, "ultralow": 3, "other": 0}


@pytest.mark.parametrize("n_tokens", [1, 100, 10**9])
def test_a_feature_of_the_bounding_density_stays_unseen_once_in_twenty_texts(n_tokens):
    bound = unseen_below(n_tokens)
    assert np.exp(n_tokens * np.log1p(-bound)) == pytest.approx(0.05, rel=1e-6)
    assert n_tokens < 100 or bound == pytest.approx(3 / n_tokens, rel=0.02)
    assert unseen_below(0) == 1
