"""Which rows are no data of their own."""

import numpy as np

from core.maths.degenerate import degenerate, with_direction


def planted() -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)
    rows[[2, 8]] = 0
    rows[4, 1], rows[5] = np.nan, np.inf
    rows[[6, 9]] = rows[0]
    rows[10], rows[11] = rows[1] * np.float32(1e-30), rows[3] * np.float32(1e30)  # beyond float32 squared, no copies
    return rows


def test_rows_are_zero_or_damaged_or_copies_or_count():
    found = degenerate(planted())
    assert (found.zero.tolist(), found.damaged.tolist()) == ([2, 8], [4, 5])
    assert (found.copies.row.tolist(), found.copies.of.tolist()) == ([6, 9], [0, 0])
    assert np.flatnonzero(found.distinct).tolist() == [0, 1, 3, 7, 10, 11]
    assert with_direction(planted()).tolist() == [0, 1, 3, 6, 7, 9, 10, 11]


def test_what_is_left_out_is_counted_and_named():
    found = degenerate(planted())
    assert found.counts("decoder rows") == [
        "2 decoder rows all zero",
        "2 decoder rows not finite",
        "2 decoder rows equal to another",
    ]
    assert "2 of 12 decoder rows are zero and point nowhere: 2, 8." in found.describe("decoder rows")
    many = degenerate(np.zeros((40, 3), np.float32)).describe("rows")
    assert "40 of 40 rows are zero and point nowhere: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and others." in many
    sound = degenerate(np.eye(3))
    assert (sound.counts("rows"), sound.describe("rows")) == ([], None)
