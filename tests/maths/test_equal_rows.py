"""Equal rows are found to the last bit, and have equal values in every product."""

import numpy as np
import pytest

from core.maths.equal_rows import Copies, Ties, copies


def planted(dtype=np.float32) -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((200, 33)).astype(dtype)
    rows[[150, 3, 77]] = rows[40]
    rows[[199, 10]] = 0
    rows[12], rows[13] = rows[11], rows[11]
    rows[13, -1] += 1  # equal but for the last number
    return rows


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_copies_are_those_of_a_comparison_with_all_earlier_rows(dtype):
    rows = planted(dtype)
    seen: dict[bytes, int] = {}
    first = np.array([seen.setdefault(row.tobytes(), i) for i, row in enumerate(rows)])
    found = copies(rows)
    assert found.row.tolist() == np.flatnonzero(first != np.arange(200)).tolist() == [12, 40, 77, 150, 199]
    assert found.firsts(200).tolist() == first.tolist()


def test_all_rows_may_be_equal_and_none():
    assert copies(np.ones((5000, 9), np.float32)).of.tolist() == [0] * 4999
    assert not len(copies(np.eye(7, dtype=np.float32)).row)
    assert not len(copies(np.empty((0, 3), np.float32)).row)
    assert copies(np.ones((2, 1), np.float32)).row.tolist() == [1]


@pytest.mark.parametrize("tile", [1, 7, 64, 200])
def test_a_copy_gets_the_value_of_the_first_in_whatever_tile_it_lies(tile):
    ties = Ties(copies(planted()))
    x = np.random.default_rng(1).standard_normal((5, 200)).astype(np.float32)
    expected = x[:, copies(planted()).firsts(200)]
    values = np.empty((5, ties.n_groups), np.float32)
    for start in range(0, 200, tile):
        ties.settle(x[:, start : start + tile], start, values)
    assert np.array_equal(x, expected)


def test_tensors_are_settled_alike():
    import torch

    ties, x = Ties(Copies(np.array([2, 5]), np.array([1, 0]))), torch.arange(12.0).reshape(2, 6)
    ties.settle(x, 0, x.new_empty(2, ties.n_groups))
    assert x.tolist() == [[0, 1, 1, 3, 4, 0], [6, 7, 7, 9, 10, 6]]
