"""Chance and control: closed form against a seeded simulation, shuffling, curves and tables by hand."""

import numpy as np
import pandas as pd
import pytest

from core import tables
from core.catalogue import ALIASES, STATISTICS
from core.errors import DoesNotFitError
from core.logit_weights.statistics import random_directions
from core.matching.comparison import Weights, compare, compare_weights
from core.matching.labels import relate
from core.matching.matrix import match_matrix
from core.matching.null import own_nearest, random_nearest, random_ratio, shuffled
from core.matching.numbers import null_numbers, pair_numbers, random_numbers, share_above
from core.matching.pairs import match, nearest
from core.matching.tables import THRESHOLDS, label_table, pair_table, random_ratio_table, ratio_table
from tests.doubles.planted import planted_dictionary


def random_weights(n, d, seed):
    return Weights(random_directions(n, d, seed=seed), random_directions(n, d, seed=seed + 100))


def test_random_against_random_gives_what_the_closed_form_says():
    comparison = compare_weights(random_weights(700, 16, 0), random_weights(1100, 16, 1), k=1)
    expected = random_numbers(comparison, "decoder", threshold=0.7)
    found = pair_numbers(comparison, threshold=0.7)
    for name, n, others in (("ab", 700, 1100), ("ba", 1100, 700)):
        mean, std = random_nearest(others, 16).rth_mean_std(1)
        assert expected[f"mmcs_{name}"] == mean
        assert found[f"mmcs_{name}"] == pytest.approx(mean, abs=5 * std / np.sqrt(n))
        share = expected[f"ratio_{name}"]
        assert found[f"ratio_{name}"] == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / n))
        assert 0.1 < share < 0.9
    assert found["shared"] < 0.01
    thresholds = np.linspace(0, 1, 21)
    assert (
        np.abs(share_above(nearest(comparison, "decoder").a, thresholds) - random_ratio(1100, 16, thresholds)).max()
        < 0.1
    )


def test_in_three_dimensions_the_share_over_a_threshold_follows_by_hand():
    # Archimedes: the cosine of two directions in space is uniform on [-1, 1].
    c = np.array([-1, -0.5, 0, 0.5, 1 - 2e-15, 1])
    np.testing.assert_allclose(random_ratio(5, 3, c), 1 - ((1 + c) / 2) ** 5, rtol=0.2, atol=1e-15)
    np.testing.assert_allclose(random_ratio(5, 3, c[:4]), 1 - ((1 + c[:4]) / 2) ** 5, atol=1e-12)
    mean, std = random_nearest(1, 3).rth_mean_std(1)  # with a single other one nothing is chosen
    assert (mean, std) == (pytest.approx(0, abs=1e-6), pytest.approx(1 / np.sqrt(3), abs=1e-3))
    with pytest.raises(DoesNotFitError, match="in 1 dimensions"):
        random_ratio(5, 1, c)


def test_shuffling_keeps_lengths_and_cosines_within_a_dictionary_and_breaks_those_with_another():
    dictionary = planted_dictionary(d_in=12, d_sae=30)
    weights = Weights.of(dictionary)
    other = shuffled(weights, seed=3)
    for side in ("decoder", "encoder"):
        rows, moved = weights.side(side), other.side(side)
        np.testing.assert_allclose(moved @ moved.T, rows @ rows.T, rtol=1e-4, atol=1e-4)
        assert sorted(moved[4].tolist()) == sorted(rows[4].tolist())
    assert pair_numbers(compare_weights(weights, weights))["shared"] == 1
    assert pair_numbers(compare_weights(weights, other))["shared"] < 0.2
    assert np.array_equal(shuffled(weights, seed=3).decoder, other.decoder)
    assert not np.array_equal(shuffled(weights, seed=4).decoder, other.decoder)
    # Encoder and decoder of a feature stay as near to each other as they were.
    np.testing.assert_allclose(
        (other.decoder * other.encoder).sum(1), (weights.decoder * weights.encoder).sum(1), rtol=1e-4
    )


def test_the_control_is_the_best_match_of_each_feature_but_itself():
    dictionary = planted_dictionary(d_sae=20)
    unit = dictionary.W_dec / np.linalg.norm(dictionary.W_dec, axis=1, keepdims=True)
    cosines = unit @ unit.T
    second = np.sort(cosines, axis=1)[:, -2]
    np.testing.assert_allclose(own_nearest(Weights.of(dictionary), "decoder"), second, atol=1e-6)
    a, b = dictionary, planted_dictionary(d_sae=15, seed=1)
    null = null_numbers(compare(a, b), "decoder", k=20, threshold=0.6)
    assert null["control_a"] == {
        "mmcs_own": pytest.approx(second.mean(), abs=1e-6),
        "ratio_own": pytest.approx((second > 0.6).mean()),
    }
    chance = compare_weights(Weights.of(a), shuffled(Weights.of(b)))
    assert null["shuffled"] == pair_numbers(chance, threshold=0.6)
    assert set(null) == {"random", "control_a", "control_b", "shuffled"}


def test_the_control_leaves_out_the_features_that_matches_leave_out():
    W_enc, W_dec = planted_dictionary(d_sae=20).W_enc.copy(), planted_dictionary(d_sae=20).W_dec.copy()
    W_enc[:, :5] = 0
    W_dec[5:10] = W_dec[:5]  # the twins of features that are left out
    a = planted_dictionary(d_sae=20, tensors={"W_enc": W_enc, "W_dec": W_dec})
    b = planted_dictionary(d_sae=15, seed=1)
    alone = planted_dictionary(d_sae=15, tensors={"W_enc": W_enc[:, 5:], "W_dec": W_dec[5:], "b_enc": a.b_enc[5:]})
    own = own_nearest(Weights.of(a), "decoder")
    assert np.isnan(own[:5]).all()
    np.testing.assert_array_equal(own[5:], own_nearest(Weights.of(alone), "decoder"))
    assert own[5:10].max() < 0.99
    control = null_numbers(compare(a, b), "decoder", k=15)["control_a"]
    assert control["mmcs_own"] == pytest.approx(own[5:].mean(dtype=float))
    matrix = match_matrix([a, b])
    assert matrix.mmcs[0, 0] == pytest.approx(control["mmcs_own"])
    np.testing.assert_allclose(matrix.random_ratio[0, 0], random_ratio(14, 8, THRESHOLDS))


def test_what_has_no_meaning_is_left_out_of_the_null():
    one, line = planted_dictionary(d_sae=1), [planted_dictionary(d_in=1, d_sae=5, seed=seed) for seed in (0, 1)]
    other = planted_dictionary(d_sae=5, seed=1)
    assert set(null_numbers(compare(one, other), "encoder", k=3)) == {"random", "control_b", "shuffled"}
    assert set(null_numbers(compare(*line), "decoder", k=3)) == {"control_a", "control_b", "shuffled"}
    two = planted_dictionary(d_sae=6, seed=2)
    assert set(null_numbers(compare(two, other), "both", k=3)) == {"shuffled"}


def test_a_share_counts_what_is_over_the_threshold_and_not_what_equals_it():
    values = np.array([0.5, 0.7, 0.9, np.nan], np.float32)
    assert share_above(values, np.array([0.4, 0.5, 0.7, 0.9])).tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert np.isnan(share_above(values[3:], np.array([0, 0.5]))).all()
    table = ratio_table({"A in B": values, "one to one": values[:1]})
    at = table.set_index(["match_series", "match_threshold"])["matching_ratio"]
    assert at["A in B", 0.5] == pytest.approx(2 / 3)
    assert (at["one to one", 0.49], at["one to one", 0.5]) == (1, 0)
    chance = random_ratio_table(40, 8, "random")
    assert chance["matching_ratio"].iloc[0] == pytest.approx(1 - 0.5**40)
    assert chance["matching_ratio"].is_monotonic_decreasing


def test_tables_hold_the_matching_and_every_column_is_declared():
    a, b = planted_dictionary(d_sae=9), planted_dictionary(d_sae=7, seed=1)
    comparison = compare(a, b, k=3)
    found = match(comparison, "both")
    pairs = pair_table(found)
    assert pairs["feature_b"].tolist() == found.b.tolist()
    np.testing.assert_allclose(pairs["alignment"], (found.decoder.astype(float) + found.encoder) / 2)
    between = comparison.decoder
    ways = (between.b_in_a_cos, between.b_in_a_idx, between.a_in_b_cos, between.a_in_b_idx)
    labels = label_table(relate(*(values[:, 0] for values in ways), threshold=0.5))
    assert labels["parent"].tolist() == [
        idx if cos > 0.5 else -1 for cos, idx in zip(between.b_in_a_cos[:, 0], between.b_in_a_idx[:, 0], strict=True)
    ]
    everything = [pairs, labels, ratio_table({"A in B": found.score})]
    columns = {name for table in everything for name in table.columns} - {"match_series", "match_way"}
    assert {ALIASES.get(name, name) for name in columns} <= set(STATISTICS)


def test_a_table_of_pairs_goes_through_parquet_with_where_it_comes_from():
    import io

    a, b = planted_dictionary(d_sae=9), planted_dictionary(d_sae=7, seed=1)
    pairs = pair_table(match(compare(a, b)))
    data = tables.to_parquet(pairs, tables.provenance(dictionary=[a, b], method="matching", settings={"k": 20}))
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(data)), pairs)
