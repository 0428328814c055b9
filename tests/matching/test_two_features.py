"""Two features side by side: dense doubles of every number, and what has no number."""

import numpy as np
import pandas as pd
import pytest

from core.activations.store import FeatureActivations
from core.errors import DoesNotFitError
from core.matching.pairs import Matching
from core.matching.two_features import correlation, drawn, pair_activations, pair_cosine, partner_rows, with_partners
from core.models.search import check_same_tokens
from tests.doubles.planted import planted_dictionary, planted_model

ROWS = np.random.default_rng(0).integers(0, 20, (5, 8))


def sparse(dense: np.ndarray) -> FeatureActivations:
    row, position = np.nonzero(dense)
    return FeatureActivations(row, position, dense[row, position].astype(np.float32))


def drawn_acts(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(ROWS.shape) < 0.4, rng.normal(size=ROWS.shape), 0).astype(np.float32)


def dense_cosine(x, y) -> float:
    return x @ y / np.linalg.norm(x) / np.linalg.norm(y)


def test_a_pair_of_activations_is_put_together_by_token():
    a, b = drawn_acts(1), drawn_acts(2)
    found = pair_activations(ROWS, sparse(a), sparse(b))
    row, position = np.nonzero((a != 0) | (b != 0))
    np.testing.assert_array_equal([found.row, found.position], [row, position])
    np.testing.assert_array_equal(found.a, a[row, position])
    np.testing.assert_array_equal(found.b, b[row, position])
    np.testing.assert_array_equal(found.token, ROWS[row, position])


def test_correlations_count_the_tokens_on_which_neither_fires():
    a, b = drawn_acts(1), drawn_acts(2) + drawn_acts(1)
    found = pair_activations(ROWS, sparse(a), sparse(b))
    assert found.correlation == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-9)


def test_the_masked_cosine_is_the_larger_of_the_two():
    a = np.abs(drawn_acts(1))
    b = np.where(np.arange(8) < 4, a, 0).astype(np.float32)  # a part of A's feature: it fires on some of its tokens
    found = pair_activations(ROWS, sparse(a), sparse(b))
    assert dense_cosine(a[a != 0], b[a != 0]) < 0.99
    assert found.masked_cosine == pytest.approx(1)
    a, b = drawn_acts(1), drawn_acts(2)
    found = pair_activations(ROWS, sparse(a), sparse(b))
    assert found.masked_cosine == pytest.approx(max(dense_cosine(a[on], b[on]) for on in (a != 0, b != 0)))


def test_attributions_weigh_activations_by_the_token_that_follows():
    a, b = drawn_acts(1), drawn_acts(2)
    weights = np.random.default_rng(3).normal(size=(2, 20))
    found = pair_activations(ROWS, sparse(a), sparse(b))
    dense = [acts[:, :-1] * w[ROWS[:, 1:]] for acts, w in zip((a, b), weights, strict=True)]
    expected = np.corrcoef(dense[0].ravel(), dense[1].ravel())[0, 1]
    assert found.attribution_correlation(*weights) == pytest.approx(expected, abs=1e-9)


def test_what_is_constant_or_never_fires_has_no_correlation():
    nothing, even = np.zeros(ROWS.shape, np.float32), np.full(ROWS.shape, 0.1, np.float32)
    found = pair_activations(ROWS, sparse(nothing), sparse(drawn_acts(1)))
    assert found.correlation is None
    assert found.masked_cosine is None
    assert pair_activations(ROWS, sparse(even), sparse(drawn_acts(1))).correlation is None
    assert pair_activations(ROWS, sparse(nothing), sparse(nothing)).attribution_correlation(*np.ones((2, 20))) is None
    assert correlation(np.ones(5), np.arange(5.0)) is None


def test_a_correlation_far_from_zero_keeps_its_digits():
    x, y = np.random.default_rng(0).normal(size=(2, 1000))
    assert correlation(x + 1e6, y - 1e6) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)


@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_a_pair_has_the_cosine_of_its_directions(side):
    a, b = planted_dictionary(seed=1), planted_dictionary(seed=2, d_sae=5)
    rows = [(d.W_dec if side == "decoder" else d.W_enc.T).astype(float) for d in (a, b)]
    assert pair_cosine(a, b, 7, 3, side) == pytest.approx(dense_cosine(rows[0][7], rows[1][3]), abs=1e-12)


def test_a_zero_direction_has_no_cosine_and_another_space_is_refused():
    blank = planted_dictionary(tensors={"W_dec": np.zeros((12, 8))}, fold_decoder_norms=False)
    assert pair_cosine(blank, planted_dictionary(seed=1), 0, 0, "decoder") is None
    with pytest.raises(DoesNotFitError, match="cannot be compared"):
        pair_cosine(blank, planted_dictionary(d_in=6), 0, 0, "decoder")


def test_models_with_other_tokenizers_share_no_tokens(tmp_path):
    a, b = planted_model(tmp_path / "a"), planted_model(tmp_path / "b", d_vocab=40)
    check_same_tokens(a, a)
    with pytest.raises(DoesNotFitError, match="different tokenizers"):
        check_same_tokens(a, b)


def test_a_scatter_keeps_the_points_farthest_out_on_either_axis():
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(500, 2)) * [1, 1000], columns=["x", "y"])
    table.loc[300, "x"], table.loc[400, "y"] = -50, 50_000
    shown = drawn(table, "x", "y", most=20)
    assert len(shown) == 20
    assert {300, 400} <= set(shown.index)
    pd.testing.assert_frame_equal(shown, drawn(table, "x", "y", most=20))
    assert drawn(table, "x", "y", most=500) is table


def test_partners_are_found_both_ways_and_join_what_was_chosen():
    scores = np.array([0.9, 0.7], np.float32)
    none = np.zeros(0, np.int64)
    matching = Matching(
        "decoder", "one-to-one", 2, 3, 4, np.array([0, 2]), np.array([3, 1]), scores, scores, scores, none, none
    )
    partner = partner_rows(matching, least=0.5)
    assert partner.tolist() == [6, -1, 4, -1, 2, -1, 0]
    assert partner_rows(matching, least=0.8).tolist() == [6, -1, -1, -1, -1, -1, 0]
    chosen = np.isin(np.arange(7), [0, 1, 5])
    assert np.flatnonzero(with_partners(chosen, partner)).tolist() == [0, 1, 5, 6]
    assert np.flatnonzero(chosen).tolist() == [0, 1, 5]
