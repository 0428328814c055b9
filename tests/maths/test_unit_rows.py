"""Rows of length 1: right to the last bit of float32, and what zero and damaged rows become."""

import numpy as np
import pytest

from core.maths.unit_rows import inverse_lengths, unit_rows


def rows(dtype=np.float32):
    return np.random.default_rng(0).standard_normal((64, 512)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_are_those_of_extended_precision_rounded_once(dtype):
    exact = rows(dtype).astype(np.longdouble)
    exact /= np.sqrt((exact**2).sum(axis=1, keepdims=True))
    unit = unit_rows(rows(dtype))
    assert unit.dtype == np.float32
    assert np.array_equal(unit, exact.astype(np.float32))
    assert unit_rows(rows(dtype), np.float64) == pytest.approx(exact.astype(float), rel=1e-14)


def test_a_float32_row_whose_squares_float32_cannot_hold_has_length_1():
    small, large = np.full((1, 4), 1e-30, np.float32), np.full((1, 4), 1e30, np.float32)
    assert unit_rows(small).tolist() == unit_rows(large).tolist() == [[0.5] * 4]


def test_a_zero_row_stays_zero_and_a_damaged_one_is_nan_throughout():
    planted = rows()[:4]
    planted[0], planted[1, 7], planted[2, 7] = 0, np.nan, -np.inf
    unit = unit_rows(planted)
    assert not unit[0].any()
    assert np.isnan(unit[1:3]).all()
    assert np.linalg.norm(unit[3].astype(float)) == pytest.approx(1)
    assert inverse_lengths(planted)[0] == 0
    assert np.isnan(inverse_lengths(planted)[1:3]).all()
    assert np.isnan(unit_rows(np.full((1, 2), 1e200))).all()


def test_stacked_vectors_are_scaled_one_by_one():
    stacked = rows().reshape(8, 8, 512)
    assert np.array_equal(unit_rows(stacked).reshape(64, 512), unit_rows(rows()))
    assert np.array_equal(unit_rows(rows()[3]), unit_rows(rows())[3])
