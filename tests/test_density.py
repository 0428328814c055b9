"""Density against counting token by token."""

import numpy as np
import pytest

from core.density import Density, feature_density
from core.errors import CorpusError, DoesNotFitError
from tests.planted import planted_dictionary, planted_model


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 257, (7, 5))


@pytest.mark.parametrize("architecture", ["standard", "topk"])
@pytest.mark.parametrize("batch", [1, 3, None])
def test_density_counts_the_tokens_on_which_a_feature_fires_at_any_batch(tmp_path, rows, architecture, batch):
    model, dictionary = planted_model(tmp_path), planted_dictionary(architecture)
    found = feature_density(dictionary, model, rows, batch=batch)
    count = np.zeros(12, int)
    for row in rows:
        for position, token in enumerate(row):
            count += dictionary.encode((model.W_E[token] + model.W_pos[position])[None])[0] != 0
    assert found.count.tolist() == count.tolist()
    assert found.n_tokens == 35
    np.testing.assert_allclose(found.density, count / 35)


def test_a_dead_feature_has_density_zero_and_one_that_always_fires_has_one(tmp_path, rows):
    b_enc = np.zeros(12)
    b_enc[[2, 5]] = -1e6, 1e6
    dictionary = planted_dictionary(tensors={"b_enc": b_enc})
    density = feature_density(dictionary, planted_model(tmp_path), rows).density
    assert (density[2], density[5]) == (0, 1)


def test_no_tokens_and_another_model_are_explained(tmp_path, rows):
    model = planted_model(tmp_path)
    with pytest.raises(CorpusError, match=r"rows of shape \(0, 5\)"):
        feature_density(planted_dictionary(), model, rows[:0])
    with pytest.raises(DoesNotFitError, match="width 4"):
        feature_density(planted_dictionary(d_in=4), model, rows)


def test_the_key_names_dictionary_model_and_text(rows):
    keys = {Density.key("a", "b", rows), Density.key("b", "b", rows), Density.key("a", "c", rows)}
    assert len(keys | {Density.key("a", "b", rows[1:])}) == 4
