"""Hubs, bins, sums of two features and pairs, on dictionaries small enough to go through by hand."""

from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from core.catalogue import STATISTICS
from core.errors import DoesNotFitError
from core.geometry.composed import Composed, composed_features
from core.geometry.neighbors import Neighbors, nearest_features
from core.geometry.study import GeometryStudy
from core.geometry.tables import (
    common_edges,
    composed_table,
    encoder_decoder_cosine,
    feature_distances,
    histograms,
    hubs,
    neighbors_by_bin,
    neighbors_of,
    random_histogram,
    rth_cosine,
    with_random_ranks,
)
from core.maths.random_directions import RandomDirections
from tests.doubles.planted import planted_dictionary


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    rows[13, 2] = np.nan
    return rows


@pytest.fixture(scope="module")
def neighbors(rows) -> Neighbors:
    return nearest_features(rows, k=12)


def star() -> Neighbors:
    """Four features near feature 0, and a pair apart."""
    rows = np.vstack([np.eye(6)[0], np.eye(6)[0] + 0.5 * np.eye(6)[1:5], np.eye(6)[5] + 0.01, np.eye(6)[5]])
    return nearest_features(rows.astype(np.float32), k=3)


def test_the_centre_of_a_star_is_its_hub():
    table = hubs(star())
    assert table.iloc[0][["feature", "in_degree"]].tolist() == [0, 4]
    assert table["in_degree"].sum() == 7
    assert table["in_degree_top"].sum() == 21


def test_in_degrees_equal_counting_over_all_features(neighbors):
    table = hubs(neighbors).set_index("feature")
    kept = [i for i in range(40) if i != 13]
    assert sorted(table.index) == kept
    for column, k in (("in_degree", 1), ("in_degree_top", 12)):
        count = Counter(int(j) for i in kept for j in neighbors.idx[i, :k])
        assert table[column].to_dict() == {i: count[i] for i in kept}


def test_bins_whose_features_share_their_nearest_neighbour_are_told_apart(neighbors):
    table = neighbors_by_bin(star(), np.array([-1, 0.95, 1]))
    assert table["features_in_bin"].tolist() == [5, 2]
    assert table["commonest_neighbor"].tolist() == [0, 5]
    assert table["distinct_neighbors"].tolist() == [2, 2]
    np.testing.assert_allclose(table["same_neighbor_share"], [0.8, 0.5])
    edges = common_edges({"a": neighbors.cos[:, 0].astype(float)}, bins=7)
    assert neighbors_by_bin(neighbors, edges)["features_in_bin"].sum() == 39


def test_histograms_of_several_dictionaries_share_their_bins_and_lose_no_feature(neighbors):
    values = {"one": rth_cosine(neighbors, 1), "other": rth_cosine(neighbors, 12)}
    table = histograms(values, common_edges(values, bins=9))
    assert table.groupby("dictionary")["features_in_bin"].sum().to_dict() == {"one": 39, "other": 39}
    assert table.groupby("dictionary")["share_in_bin"].sum().round(9).to_dict() == {"one": 1, "other": 1}
    assert len(table["bin_low"].unique()) == 9
    equal = {"flat": np.full(5, 0.25)}
    assert histograms(equal, common_edges(equal))["features_in_bin"].sum() == 5
    assert (np.diff(common_edges(equal)) > 0).all()


def test_the_random_curve_has_the_columns_of_a_histogram_and_all_features():
    edges = np.linspace(-1, 1, 30)
    table = random_histogram(RandomDirections(100, 6), 2, edges, "random")
    assert list(table.columns) == list(histograms({"a": np.zeros(3)}, edges).columns)
    assert table["features_in_bin"].sum() == pytest.approx(100)
    assert table["share_in_bin"].sum() == pytest.approx(1)


def test_a_rank_that_is_not_stored_is_explained(neighbors):
    with pytest.raises(
        DoesNotFitError, match="The 13-th nearest neighbour is not stored; expected a number from 1 to 12"
    ):
        rth_cosine(neighbors, 13)


def test_the_encoder_decoder_cosine_equals_a_loop_and_a_zero_row_has_none():
    dictionary = planted_dictionary()
    W_dec = dictionary.W_dec.copy()
    W_dec[4] = 0
    dictionary = planted_dictionary(tensors={"W_dec": W_dec}, fold_decoder_norms=False)
    expected = [
        e @ d / (np.linalg.norm(e) * np.linalg.norm(d)) if d.any() else np.nan
        for e, d in zip(dictionary.W_enc.T, dictionary.W_dec, strict=True)
    ]
    np.testing.assert_allclose(encoder_decoder_cosine(dictionary), expected, atol=1e-6)


def test_what_a_transcoder_reads_and_writes_has_no_cosine():
    with pytest.raises(DoesNotFitError, match=r"reads blocks.0.hook_resid_pre and writes blocks.0.hook_mlp_out"):
        encoder_decoder_cosine(planted_dictionary("transcoder"))


def composed_by_hand(rows: np.ndarray, neighbors: Neighbors, m: int) -> list[tuple[int, int, float]]:
    unit = rows.astype(float) / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
    result = []
    for k, near in enumerate(neighbors.idx[:, :m]):
        best = (-1, -1, -1.0)
        for i, j in combinations(near[near >= 0].tolist(), 2):
            total = unit[i] + unit[j]
            cosine = float(unit[k] @ total / np.linalg.norm(total))
            best = max(best, (i, j, cosine), key=lambda found: found[2])
        result.append(best if best[2] > neighbors.cos[k, 0] else (-1, -1, np.nan))
    return result


@pytest.mark.parametrize("m", [2, 7, 12, 99])
def test_the_best_sum_of_two_neighbours_equals_trying_all_pairs(rows, neighbors, m):
    found, expected = composed_features(rows, neighbors, n_neighbors=m), composed_by_hand(rows, neighbors, m)
    assert list(zip(found.first, found.second, strict=True)) == [(i, j) for i, j, _ in expected]
    np.testing.assert_allclose(found.cosine, [cosine for *_, cosine in expected], atol=1e-6)
    assert found.n_neighbors == min(m, 12)
    assert (found.first[13], found.second[13]) == (-1, -1)


def test_a_planted_sum_is_found_and_a_twin_is_no_sum():
    rows = np.eye(8, dtype=np.float32)
    rows[6], rows[7] = rows[0] + rows[3], rows[1]
    neighbors = nearest_features(rows * np.arange(1, 9, dtype=np.float32)[:, None], k=7)
    found = composed_features(rows, neighbors)
    table = composed_table(found, neighbors)
    best = table.iloc[0]
    assert best[["feature", "composed_first", "composed_second"]].tolist() == [6, 0, 3]
    assert best["composed_cosine"] == pytest.approx(1)
    assert best["composed_gain"] == pytest.approx(1 - np.sqrt(0.5))
    assert not {1, 7} & set(table["feature"])


@pytest.mark.parametrize("apart", [1e-1, 1e-2, 1e-3, 3e-4])
def test_the_cosine_with_a_sum_of_nearly_opposite_features_is_right_and_at_most_1(apart):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 3, 64)) / 8
    rows[:, 1] = -rows[:, 0] * rng.uniform(0.5, 2, (60, 1)) + apart * rng.standard_normal((60, 64)) / 8
    rows = rows.reshape(-1, 64).astype(np.float32)
    neighbors = nearest_features(rows, k=len(rows) - 1)
    for k, i, j in ((0, 1, 2), (5, 3, 4), (9, 60, 61), (100, 0, 1)):
        few = Neighbors(neighbors.cos.copy(), neighbors.idx.copy(), neighbors.left_out)
        few.idx[k, :2] = i, j
        few.cos[k, 0] = -1
        found = composed_features(rows, few, n_neighbors=2)
        unit = [rows[row].astype(np.longdouble) for row in (k, i, j)]
        one, *two = (row / np.sqrt((row**2).sum()) for row in unit)
        total = two[0] + two[1]
        assert found.cosine[k] == pytest.approx(float(one @ total / np.sqrt((total**2).sum())), abs=1e-6)
        assert np.nanmax(np.abs(found.cosine)) <= 1


def test_a_feature_and_its_copy_are_no_sum_and_pairs_of_equal_features_come_by_number():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((9, 16)).astype(np.float32)
    copies = np.concatenate([rows, rows, rows])
    found = composed_features(copies, nearest_features(copies, k=26))
    assert (found.first == -1).all()
    parts = rng.standard_normal((2, 16)).astype(np.float32)
    copied = np.concatenate([parts, parts, parts, parts.sum(axis=0, keepdims=True)])
    found = composed_features(copied, nearest_features(copied, k=6))
    assert (found.first[6], found.second[6]) in {(0, 1), (1, 0)}


@pytest.mark.filterwarnings("error")
def test_opposite_zero_and_infinite_neighbours_make_no_sum_out_of_nothing():
    rows = np.array([[1, 0], [0, 1], [0, -1], [0, 0], [np.inf, 0]], np.float32)
    found = composed_features(rows, nearest_features(rows, k=3))
    assert found.first.tolist() == [-1] * 5
    assert np.isnan(found.cosine).all()


def test_one_features_neighbours_say_whether_nearness_is_mutual(neighbors):
    table = neighbors_of(neighbors, 5)
    assert table["neighbor"].tolist() == neighbors.idx[5].tolist()
    own = [neighbors.idx[neighbor].tolist() for neighbor in table["neighbor"]]
    places = [found.index(5) + 1 if 5 in found else None for found in own]
    assert [None if pd.isna(place) else place for place in table["mutual_rank"]] == places
    assert None in places
    assert neighbors_of(neighbors, 13).empty
    assert len(neighbors_of(neighbors, 5, top=4)) == 4


def test_random_directions_stand_beside_each_rank(neighbors):
    table = with_random_ranks(neighbors_of(neighbors, 5), RandomDirections(39, 5))
    assert table["random_rth_cosine"].is_monotonic_decreasing
    median = RandomDirections(39, 5).rth_below(table["random_rth_cosine"].to_numpy()[2:3], 3)
    np.testing.assert_allclose(median, 0.5, atol=1e-9)


def test_a_study_counts_and_names_what_is_left_out():
    dictionary = planted_dictionary(d_in=5, d_sae=40)
    study = study_of(dictionary)
    assert study.warning is None
    assert study.random == RandomDirections(40, 5)
    rows = dictionary.W_dec.copy()
    rows[[3, 30]] = 0
    rows[[9, 12, 20]] = rows[5]
    study = study_of(planted_dictionary(d_in=5, d_sae=40, tensors={"W_dec": rows}, fold_decoder_norms=False))
    assert "2 of 40 decoder directions are zero and point nowhere: 3, 30." in study.warning
    assert "3 of 40 decoder directions equal an earlier one to the last bit: 9, 12, 20." in study.warning
    assert study.random == RandomDirections(35, 5)
    assert (study.first_with_direction(20), study.first_with_direction(21)) == (5, 21)


def study_of(dictionary) -> GeometryStudy:
    near = (nearest_features(dictionary.W_dec, k=3, copies=copies) for copies in (True, False))
    return GeometryStudy(dictionary, "decoder", *near)


def test_zero_rows_and_copies_move_no_mean_null_or_hub():
    rows = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    sound = planted_dictionary(d_in=5, d_sae=30, tensors={"W_dec": rows}, fold_decoder_norms=False)
    odd = np.concatenate([rows, rows[[4] * 20], np.zeros((10, 5), np.float32)])
    odd = planted_dictionary(d_in=5, d_sae=60, tensors={"W_dec": odd}, fold_decoder_norms=False)
    one, other = study_of(sound), study_of(odd)
    assert other.crowding == one.crowding
    assert other.random == one.random
    pd.testing.assert_frame_equal(hubs(other.distinct), hubs(one.distinct))
    assert np.array_equal(rth_cosine(other.distinct, 3)[:30], rth_cosine(one.distinct, 3))
    assert np.isnan(rth_cosine(other.distinct, 3)[30:]).all()
    assert neighbors_of(other.neighbors, 31)["neighbor"].tolist() == [4, 30, 32]  # the lists name copies


def test_every_column_is_declared(rows, neighbors):
    composed = composed_features(rows, neighbors)
    values = {"a": rth_cosine(neighbors, 2)}
    tables = [
        hubs(neighbors),
        feature_distances(neighbors, 3),
        neighbors_by_bin(neighbors, common_edges(values)),
        histograms(values, common_edges(values)),
        composed_table(composed, neighbors),
        with_random_ranks(neighbors_of(neighbors, 5), RandomDirections(39, 5)),
    ]
    assert {column for table in tables for column in table.columns} <= set(STATISTICS)


def test_keys_name_what_the_sums_follow_from():
    assert (
        len({Composed.key(*inputs) for inputs in (("a", "decoder", 20), ("a", "encoder", 20), ("a", "decoder", 9))})
        == 3
    )
