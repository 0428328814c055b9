"""One feature against all others, against the search for all and numpy."""

import numpy as np
import pytest

from core.dictionaries.spaces import directions
from core.errors import DoesNotFitError
from core.geometry import tables
from core.geometry.neighbors import nearest_features
from core.geometry.one_direction import cosines_with, match_table, nearest_table
from tests.doubles.planted import planted_dictionary


@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_one_features_nearest_are_those_of_the_search_over_all(side, monkeypatch):
    monkeypatch.setattr("core.maths.cosines._ROWS", 5)
    dictionary = planted_dictionary()
    rows = directions(dictionary, side)
    near = nearest_features(np.ascontiguousarray(rows), k=11)
    for feature in range(12):
        table = nearest_table(cosines_with(rows[feature], dictionary, side), top=11, itself=feature)
        expected = tables.neighbors_of(near, feature)
        assert table["neighbor"].tolist() == expected["neighbor"].tolist()
        np.testing.assert_allclose(table["neighbor_cosine"], expected["neighbor_cosine"], atol=1e-6)
        assert table["neighbor_rank"].tolist() == list(range(1, 12))


def test_a_zero_row_has_no_cosine_and_equal_ones_come_by_number():
    W_dec = np.eye(12, 8)
    W_dec[8:] = [0, 0, 0, 0, 0, 0, 0, 0]
    W_dec[3] = W_dec[1] * 5
    dictionary = planted_dictionary(tensors={"W_dec": W_dec}, fold_decoder_norms=False)
    cosines = cosines_with(W_dec[1].astype(np.float32), dictionary, "decoder")
    assert cosines[:8].tolist() == [0, 1, 0, 1] + [0] * 4
    assert np.isnan(cosines[8:]).all()
    assert nearest_table(cosines, top=3)["neighbor"].tolist() == [1, 3, 0]
    with pytest.raises(DoesNotFitError, match="width 5"):
        cosines_with(np.ones(5), dictionary, "decoder")


def test_matches_are_the_nearest_by_either_side():
    decoder, encoder = np.array([0.1, 0.9, 0.5, -1.0]), np.array([0.3, 0.0, 0.2, 0.8])
    table = match_table(decoder, encoder, top=1)
    assert table["best_match"].tolist() == [1, 3]
    assert table["alignment"].tolist() == pytest.approx([0.45, -0.1])
    assert match_table(decoder, encoder, top=9)["best_match"].tolist() == [1, 2, 0, 3]
