"""Which features differ between two texts, against scipy, plain loops and planted differences."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, mannwhitneyu

from core.activations.sparse import SparseActivations
from core.errors import DoesNotFitError
from core.text.aligned_prompts import aligned_differences, differing_features
from core.text.difference import rank_test, token_differences
from core.text.features import TextFeatures
from core.text.unit_difference import deals, lowest_p, unit_differences, unit_means


def sparse(dense: np.ndarray) -> SparseActivations:
    tokens, features = np.nonzero(dense)
    ends = np.bincount(tokens, minlength=len(dense)).cumsum()
    return SparseActivations(
        ends, features.astype(np.int32), dense[tokens, features].astype(np.float32), dense.shape[1]
    )


def on_text(dense: np.ndarray) -> TextFeatures:
    n = len(dense)
    return TextFeatures(sparse(dense), np.zeros(n, int), np.arange(n), np.ones(n), np.ones(n))


def drawn(n_tokens: int, n_features: int, seed: int, *, share: float = 0.3) -> np.ndarray:
    """Activations with many zeros, many ties, and some below zero."""
    rng = np.random.default_rng(seed)
    return rng.integers(-1, 5, (n_tokens, n_features)) * 0.25 * (rng.random((n_tokens, n_features)) < share)


def test_the_rank_test_is_scipys_with_ties_zeros_and_negative_values():
    a, b = drawn(37, 20, 0), drawn(52, 20, 1)
    b[:, :5] *= 3
    a[:, 5] = b[:, 5] = 0
    a[:, 6], b[:, 6] = 1, 1  # equal on all tokens
    table = token_differences(sparse(a), sparse(b)).set_index("feature")
    assert table.index.tolist() == [i for i in range(20) if i != 5]
    for i, row in table.iterrows():
        expected = mannwhitneyu(a[:, i], b[:, i], method="asymptotic")
        assert row["text_auc"] == pytest.approx(expected.statistic / (37 * 52))
        assert row["text_p"] == pytest.approx(expected.pvalue if i != 6 else 1)
        assert row["minus_log10_p"] == pytest.approx(-np.log10(row["text_p"]))
        assert row["higher_in"] == ("A" if row["text_auc"] > 0.5 else "B" if row["text_auc"] < 0.5 else "neither")
        assert row["rank_biserial"] == pytest.approx(2 * row["text_auc"] - 1)
        assert row["mean_difference"] == pytest.approx(a[:, i].mean() - b[:, i].mean(), abs=1e-7)
        assert row["rate_difference"] == pytest.approx((a[:, i] != 0).mean() - (b[:, i] != 0).mean())
        assert (row["tokens_a"], row["tokens_b"]) == ((a[:, i] != 0).sum(), (b[:, i] != 0).sum())
    assert table.loc[6, "higher_in"] == "neither"
    assert set(table["higher_in"]) == {"A", "B", "neither"}
    np.testing.assert_allclose(table["text_q"], false_discovery_control(table["text_p"]))


def test_the_effect_size_counts_pairs_of_tokens():
    a, b = drawn(8, 3, 2, share=0.6), drawn(9, 3, 3, share=0.6)
    auc, _ = rank_test(sparse(a), sparse(b), np.arange(3))
    pairs = [[np.sign(x - y) / 2 + 0.5 for x in a[:, i] for y in b[:, i]] for i in range(3)]
    np.testing.assert_allclose(auc, np.mean(pairs, axis=1))


def test_results_do_not_depend_on_how_features_are_parted(monkeypatch):
    a, b = sparse(drawn(20, 11, 4)), sparse(drawn(20, 11, 5))
    whole = token_differences(a, b)
    monkeypatch.setattr("core.text.difference._FEATURES_PER_PART", 3)
    assert token_differences(a, b).equals(whole)


def test_a_feature_of_one_text_alone_is_found_with_its_direction():
    a, b = drawn(60, 30, 6), drawn(60, 30, 7)
    a[:, 4], b[:, 4] = np.linspace(1, 2, 60), 0
    a[:, 9], b[:, 9] = 0, np.linspace(1, 2, 60)
    table = token_differences(sparse(a), sparse(b)).set_index("feature")
    assert table.index[table["text_q"] < 1e-6].tolist() == [4, 9]
    assert table.loc[[4, 9], "higher_in"].tolist() == ["A", "B"]
    assert table.loc[[4, 9], "text_auc"].tolist() == [1, 0]


def test_halves_of_one_random_text_rarely_differ():
    both = drawn(400, 300, 8)
    table = token_differences(sparse(both[:200]), sparse(both[200:]))
    assert (table["text_q"] <= 0.05).sum() == 0
    below = [(table["text_p"] <= level).mean() for level in (0.1, 0.25, 0.5, 0.75)]
    np.testing.assert_allclose(below, [0.1, 0.25, 0.5, 0.75], atol=0.06)


def test_a_text_without_any_activation_can_be_compared():
    a, b = np.zeros((4, 3)), drawn(6, 3, 9, share=0.9)
    table = token_differences(sparse(a), sparse(b))
    for i, row in table.set_index("feature").iterrows():
        assert row["text_p"] == pytest.approx(mannwhitneyu(a[:, i], b[:, i], method="asymptotic").pvalue)
    assert len(token_differences(sparse(a), sparse(a))) == 0
    silent = on_text(np.zeros((18, 3)))
    assert len(unit_differences(silent, silent, UNITS_A, UNITS_A)) == 0


def test_two_tokens_a_side_are_needed():
    with pytest.raises(DoesNotFitError, match="Text A has 1 tokens and text B 5, expected at least 2 in each"):
        token_differences(sparse(drawn(1, 3, 0)), sparse(drawn(5, 3, 0)))


UNITS_A, UNITS_B = np.repeat(np.arange(6), 3), np.repeat(np.arange(7), 2)


def test_every_way_to_deal_few_units_is_counted():
    a, b = drawn(18, 9, 10, share=0.5), drawn(14, 9, 11, share=0.5)
    a[:, 2] += 1
    table = unit_differences(on_text(a), on_text(b), UNITS_A, UNITS_B).set_index("feature")
    means = np.concatenate([a.reshape(6, 3, 9).mean(1), b.reshape(7, 2, 9).mean(1)])
    ways = list(combinations(range(13), 6))
    z = np.array([means[list(way)].mean(0) - np.delete(means, way, 0).mean(0) for way in ways])
    size = np.abs(z) / z.std(0)
    expected = (size >= size[0] - 1e-9).mean(0)
    np.testing.assert_allclose(table["unit_p"], expected[table.index])
    np.testing.assert_allclose(table["unit_z"], (z[0] / z.std(0))[table.index], rtol=1e-5)
    np.testing.assert_allclose(table["unit_difference"], z[0, table.index], atol=1e-6)
    family = [(size.max(1) >= one - 1e-9).mean() for one in size[0]]
    np.testing.assert_allclose(table["family_p"], np.array(family)[table.index])
    np.testing.assert_allclose(table["unit_q"], false_discovery_control(table["unit_p"]))
    assert table.loc[2, "unit_higher_in"] == "A"
    assert table["unit_p"].min() >= lowest_p(6, 7) == 1 / len(ways)
    assert (table["units_a"].tolist(), table["units_b"].tolist()) == (
        (means[:6] != 0).sum(0)[table.index].tolist(),
        (means[6:] != 0).sum(0)[table.index].tolist(),
    )


def test_draws_come_near_to_all_ways_and_repeat():
    a, b = on_text(drawn(18, 9, 10, share=0.5)), on_text(drawn(14, 9, 11, share=0.5))
    exact = unit_differences(a, b, UNITS_A, UNITS_B)
    some = unit_differences(a, b, UNITS_A, UNITS_B, draws=1500)
    np.testing.assert_allclose(some["unit_p"], exact["unit_p"], atol=0.05)
    assert some["unit_p"].min() >= lowest_p(6, 7, draws=1500) == 1 / 1501
    assert some.equals(unit_differences(a, b, UNITS_A, UNITS_B, draws=1500))
    assert not some["unit_p"].equals(unit_differences(a, b, UNITS_A, UNITS_B, draws=1500, seed=1)["unit_p"])


def test_the_texts_as_they_are_count_as_one_of_the_draws():
    ways = deals(6, 7, draws=100, seed=0)
    assert ways.shape == (101, 13)
    assert ways[0].tolist() == [True] * 6 + [False] * 7
    assert (ways.sum(axis=1) == 6).all()


def test_all_ways_are_dealt_where_they_are_no_more_than_the_draws():
    assert {tuple(way) for way in deals(2, 2, draws=6, seed=0).tolist()} == {
        tuple(place in chosen for place in range(4)) for chosen in combinations(range(4), 2)
    }
    assert len(deals(2, 2, draws=5, seed=0)) == 1 + 5


def test_draws_do_not_depend_on_how_features_are_parted(monkeypatch):
    a, b = on_text(drawn(18, 9, 10, share=0.5)), on_text(drawn(14, 9, 11, share=0.5))
    whole = unit_differences(a, b, UNITS_A, UNITS_B, draws=300)
    monkeypatch.setattr("core.text.unit_difference._FEATURES_PER_PART", 2)
    parted = unit_differences(a, b, UNITS_A, UNITS_B, draws=300)
    np.testing.assert_array_equal(parted[["unit_p", "family_p"]], whole[["unit_p", "family_p"]])


def test_one_loud_line_deceives_the_test_over_tokens_but_not_that_over_lines():
    rng = np.random.default_rng(12)
    a, b = np.zeros((120, 2)), np.zeros((120, 2))
    a[:20, 0] = 1 + rng.random(20)  # all in the first of six lines
    a[::2, 1] = 1 + rng.random(60)  # in every line
    lines = np.repeat(np.arange(6), 20)
    tokens = token_differences(sparse(a), sparse(b))
    assert (tokens["text_p"] < 1e-4).all()
    table = unit_differences(on_text(a), on_text(b), lines, lines)
    assert table["unit_p"].tolist() == [1, 2 / 924]


def test_halves_of_one_random_text_rarely_differ_by_lines_either():
    both, lines = drawn(400, 100, 13), np.repeat(np.arange(20), 10)
    table = unit_differences(on_text(both[:200]), on_text(both[200:]), lines, lines, draws=999)
    assert (table["unit_q"] <= 0.05).sum() == 0
    np.testing.assert_allclose([(table["unit_p"] <= p).mean() for p in (0.25, 0.5)], [0.25, 0.5], atol=0.12)
    assert (table["family_p"] >= table["unit_p"] - 1e-12).all()


def test_a_feature_that_is_the_same_in_all_lines_has_p_1():
    a, b = np.full((12, 1), 0.1), np.full((14, 1), 0.1)
    table = unit_differences(on_text(a), on_text(b), np.repeat(np.arange(6), 2), np.repeat(np.arange(7), 2))
    assert table[["unit_p", "unit_z", "family_p"]].to_numpy().tolist() == [[1, 0, 1]]
    assert table["unit_higher_in"].tolist() == ["neither"]


def test_unit_means_are_over_all_tokens_of_a_unit():
    dense = drawn(10, 5, 14)
    units = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
    found = unit_means(on_text(dense), units, np.array([1, 4]))
    np.testing.assert_allclose(found, [dense[units == i][:, [1, 4]].mean(0) for i in range(4)])


def test_six_units_a_side_are_needed():
    a, b = on_text(drawn(10, 3, 0)), on_text(drawn(18, 3, 1))
    with pytest.raises(DoesNotFitError, match=r"Text A has 5 units and text B 6, expected at least 6.*shorter units"):
        unit_differences(a, b, np.repeat(np.arange(5), 2), UNITS_A)


def test_aligned_prompts_are_subtracted_token_by_token():
    a, b = drawn(6, 5, 15), drawn(6, 5, 16)
    a[2] = b[2]
    cells = aligned_differences(on_text(a), on_text(b))
    dense = np.zeros((6, 5))
    dense[cells["token_number"], cells["feature"]] = cells["prompt_difference"]
    np.testing.assert_allclose(dense, a - b)
    active = np.argwhere((a != 0) | (b != 0)).tolist()
    assert cells[["token_number", "feature"]].to_numpy().tolist() == active
    table = differing_features(cells).set_index("feature")
    size = np.abs(a - b)
    assert sorted(table.index) == np.flatnonzero(size.sum(0)).tolist()
    assert table["difference_sum"].is_monotonic_decreasing
    np.testing.assert_allclose(table["difference_sum"], size.sum(0)[table.index])
    np.testing.assert_allclose(table["difference_max"], size.max(0)[table.index])
    np.testing.assert_allclose(table["prompt_difference_sum"], (a - b).sum(0)[table.index], atol=1e-9)
    assert table["differing_tokens"].tolist() == (size > 0).sum(0)[table.index].tolist()


def test_prompts_of_different_length_are_refused_with_both_numbers():
    with pytest.raises(DoesNotFitError, match=r"Prompt A has 4 tokens and prompt B 5\. Expected the same number"):
        aligned_differences(on_text(drawn(4, 3, 0)), on_text(drawn(5, 3, 0)))
