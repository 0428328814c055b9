"""Exact neighbours against a double loop: ties, zero rows, crowds, damaged rows, and two dictionaries at once."""

import numpy as np
import pytest

from core.dictionaries.spaces import directions
from core.errors import CancelledError, DoesNotFitError
from core.geometry.neighbors import Between, Neighbors, nearest_between, nearest_features
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary
from tests.doubles.watched import Watched


def by_hand(a: np.ndarray, b: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and numbers of the k best rows of b for each row of a (of a itself without the row), by definition."""
    others = a if b is None else b
    cos, idx = np.full((len(a), k), np.nan), np.full((len(a), k), -1)
    for i, row in enumerate(a.astype(float)):
        found = []
        for j, other in enumerate(others.astype(float)):
            with np.errstate(invalid="ignore"):
                lengths = np.linalg.norm(row) * np.linalg.norm(other)  # 0 or no number where one has no direction
            if (b is None and i == j) or not 0 < lengths < np.inf:
                continue
            found.append((-np.float32(row @ other / lengths), j))
        for place, (value, j) in enumerate(sorted(found)[:k]):
            cos[i, place], idx[i, place] = -value, j
    return cos, idx


def rows_with_everything(n: int = 23, d: int = 4, seed: int = 0) -> np.ndarray:
    """Random rows of very different lengths, two equal pairs, an opposite pair and two zero rows."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)).astype(np.float32) * 10.0 ** rng.integers(-25, 10, (n, 1)).astype(np.float32)
    rows[7], rows[20], rows[11], rows[3], rows[15] = rows[2], rows[2], -rows[5], 0, 0
    return rows


def assert_same(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray]) -> None:
    assert found[1].tolist() == expected[1].tolist()
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-7)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("block", [1, 3, 8, 23, None])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_nearest_features_equals_a_double_loop_at_any_block_size(block, workers, k, device):
    rows = rows_with_everything()
    found = nearest_features(rows, k=k, block=block, workers=workers, device=device)
    assert_same((found.cos, found.idx), by_hand(rows, None, k))
    assert found.left_out.tolist() == [3, 15]


def test_zero_rows_are_nobodys_hub_and_leave_fewer_to_be_near_to(device):
    rows = np.concatenate([np.zeros((30, 4)), rows_with_everything()[4:9]]).astype(np.float32)
    found = nearest_features(rows, k=20, device=device)
    assert found.left_out.tolist() == list(range(30))
    assert found.k == 4
    assert np.sort(found.idx[30:], axis=1).tolist() == [[30 + j for j in range(5) if j != i] for i in range(5)]


def test_where_each_direction_counts_once_copies_have_no_neighbours_and_are_none(device):
    rows = rows_with_everything()
    found = nearest_features(rows, k=5, copies=False, device=device)
    assert found.left_out.tolist() == [3, 7, 15, 20]  # 7 and 20 copy 2
    alone = rows.copy()
    alone[[7, 20]] = 0
    assert_same((found.cos, found.idx), by_hand(alone, None, 5))


def test_values_and_order_do_not_depend_on_block_size_or_workers_in_any_bit():
    rows = np.random.default_rng(1).normal(size=(700, 40)).astype(np.float32)
    one, other = nearest_features(rows, k=50, block=700, workers=1), nearest_features(rows, k=50, block=97, workers=4)
    assert one.cos.tobytes() == other.cos.tobytes()
    assert one.idx.tobytes() == other.idx.tobytes()


def test_candidates_dropped_along_the_way_are_never_among_the_nearest(device):
    rows = np.random.default_rng(2).normal(size=(900, 6)).astype(np.float32)
    unit = rows / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
    cos = unit @ unit.T
    np.fill_diagonal(cos, -2)
    found = nearest_features(rows, k=4, block=64, device=device)
    np.testing.assert_allclose(found.cos, -np.sort(-cos, axis=1)[:, :4], atol=1e-7)
    np.testing.assert_allclose(np.take_along_axis(cos, found.idx.astype(int), axis=1), found.cos, atol=1e-7)


def test_cosines_closer_than_the_rounding_of_a_float32_product_are_in_their_true_order(device):
    rng = np.random.default_rng(3)
    rows = np.hstack([np.full((150, 1), 0.1), rng.normal(size=(150, 39))])
    rows[:, 1:] *= np.sqrt(0.99) / np.linalg.norm(rows[:, 1:], axis=1, keepdims=True)
    rows[0] = np.eye(40)[0]
    rows = (rows @ np.linalg.qr(rng.normal(size=(40, 40)))[0]).astype(np.float32)
    expected = by_hand(rows, None, 4)
    assert np.ptp(expected[0][0]) < 1e-7
    found = nearest_features(rows, k=4, device=device)
    assert_same((found.cos, found.idx), expected)


def test_among_more_equal_rows_than_there_is_room_for_the_lowest_numbers_win(device):
    rows = np.ones((500, 3), np.float32)
    rows[1::2] *= -0.5
    found = nearest_features(rows, k=3, block=50, device=device)
    assert found.idx[100].tolist() == [0, 2, 4]
    assert found.idx[2].tolist() == [0, 4, 6]
    assert found.idx[301].tolist() == [1, 3, 5]
    np.testing.assert_array_equal(found.cos, 1)


def test_features_with_nan_or_infinite_weights_are_named_and_left_out(device):
    rows = rows_with_everything()
    rows[4, 1], rows[22, 0] = np.nan, -np.inf
    found = nearest_features(rows, k=6, block=5, device=device)
    assert_same((found.cos, found.idx), by_hand(rows, None, 6))
    assert found.left_out.tolist() == [3, 4, 15, 22]
    assert np.isnan(found.cos[4]).all()
    assert not np.isin(found.idx[found.idx >= 0], [4, 22]).any()


@pytest.mark.parametrize(
    ("rows", "k", "says"),
    [
        (np.eye(5), 5, r"The 5 nearest cannot be found among 5 features; expected a number from 1 to 4\. Choose"),
        (np.eye(5), 0, "The 0 nearest"),
        (np.ones((1, 3)), 1, "has one feature: there is no other"),
        (np.array([[1, 2], [np.nan, 0]]), 1, "has 2 features, 1 of them with a direction"),
        (np.array([[1, 2], [0, 0]]), 1, "has 2 features, 1 of them with a direction"),
    ],
)
def test_too_few_features_are_explained(rows, k, says):
    with pytest.raises(DoesNotFitError, match=says):
        nearest_features(rows.astype(np.float32), k=k)


@pytest.mark.parametrize("block", [2, 5, None])
def test_between_two_dictionaries_both_directions_equal_a_double_loop(block, device):
    a, b = rows_with_everything(), rows_with_everything(30, seed=1)
    b[9], b[12] = a[2], np.inf
    found = nearest_between(a, b, k=5, block=block, device=device)
    assert_same((found.a_in_b_cos, found.a_in_b_idx), by_hand(a, b, 5))
    assert_same((found.b_in_a_cos, found.b_in_a_idx), by_hand(b, a, 5))


def test_dictionaries_of_different_widths_have_no_cosine():
    with pytest.raises(DoesNotFitError, match="width 4 and of width 3"):
        nearest_between(np.ones((5, 4), np.float32), np.ones((5, 3), np.float32), k=1)
    with pytest.raises(DoesNotFitError, match="between 5 and 3 features; expected a number from 1 to 3"):
        nearest_between(np.ones((5, 4), np.float32), np.ones((3, 4), np.float32), k=4)


def test_directions_are_decoder_rows_or_encoder_columns():
    dictionary = planted_dictionary()
    assert directions(dictionary, "decoder") is dictionary.W_dec
    np.testing.assert_array_equal(directions(dictionary, "encoder"), dictionary.W_enc.T)
    assert nearest_features(directions(dictionary, "encoder"), k=2).cos.shape == (12, 2)


def test_progress_counts_up_to_its_total_and_can_stop_the_search():
    rows = rows_with_everything()
    watched = Watched()
    nearest_features(rows, k=2, block=6, progress=watched)
    assert watched.told == [(i, 14) for i in range(1, 15)]  # ten tiles of four blocks, then the blocks
    with pytest.raises(CancelledError):
        nearest_features(rows, k=2, block=6, progress=Watched(stop_at=3))


def test_results_are_stored_and_found_under_what_they_follow_from(tmp_path):
    store, found = ArtifactStore(tmp_path), nearest_features(rows_with_everything(), k=3)
    key = Neighbors.key("a", "decoder", 3)
    store.save(found, key)
    again = store.load(Neighbors, key)
    np.testing.assert_array_equal(again.cos, found.cos)
    assert (again.k, again.left_out.tolist()) == (3, [3, 15])
    others = [Neighbors.key("b", "decoder", 3), Neighbors.key("a", "encoder", 3), Neighbors.key("a", "decoder", 4)]
    others += [Neighbors.key("a", "decoder", 3, copies=False)]
    others += [Between.key("a", "b", "decoder", 3), Between.key("b", "a", "decoder", 3)]
    assert len({key, *others}) == 7
