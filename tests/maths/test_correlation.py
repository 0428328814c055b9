"""Pearson's correlation against numpy's, and where there is none."""

import numpy as np
import pytest

from core.maths.correlation import pearson


def test_lists_correlate_as_in_numpy_also_far_from_zero():
    x, y = np.random.default_rng(0).normal(size=(2, 1000))
    y += 0.5 * x
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert pearson(x + 1e6, y - 1e6) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    single = x.astype(np.float32)
    assert pearson(single, y) == pytest.approx(np.corrcoef(single.astype(float), y)[0, 1], abs=1e-12)


def test_pairs_not_listed_count_as_zeros():
    x, y = np.random.default_rng(1).normal(loc=3, size=(2, 40))
    padded = [np.append(values, np.zeros(160)) for values in (x, y)]
    assert pearson(x, y, n=200) == pytest.approx(np.corrcoef(*padded)[0, 1], abs=1e-12)
    assert pearson(np.full(3, 2.0), np.full(3, 5.0), n=10) == pytest.approx(1)


@pytest.mark.parametrize("constant", [np.full(7, 0.1), np.zeros(7)])
def test_a_constant_list_correlates_with_nothing(constant):
    other = np.random.default_rng(2).normal(size=7)
    assert np.isnan(pearson(constant, other))
    assert np.isnan(pearson(other, constant, n=7))
    assert np.isnan(pearson(np.zeros(0), np.zeros(0)))
    assert np.isnan(pearson(np.zeros(0), np.zeros(0), n=9))
