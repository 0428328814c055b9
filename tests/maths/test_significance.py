"""False discovery rates, tails and intervals are those of scipy, and sums of squares start at nothing."""

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control, norm, poisson

from core.maths import significance
from core.maths.significance import benjamini_hochberg, log10_normal_tails, log10_poisson_tails, wilson
from core.maths.square_sums import sum_of_squares


@pytest.mark.parametrize("n_tests", [None, 40])
def test_false_discovery_rates_are_scipys_with_missing_values_left_out(n_tests):
    p = np.random.default_rng(0).uniform(1e-9, 1, (6, 5)) ** 3
    p[2, 3] = p[0, 0] = np.nan
    known = ~np.isnan(p)
    given = np.append(p[known], np.ones((n_tests or known.sum()) - known.sum()))
    q = np.minimum(10 ** benjamini_hochberg(np.log10(p), n_tests=n_tests), 1)
    np.testing.assert_allclose(q[known], false_discovery_control(given)[: known.sum()], rtol=1e-10)
    assert np.isnan(q[~known]).all()


def test_tails_in_logarithms_are_scipys():
    z = np.array([0.0, 0.5, -1.96, 8.0, -30.0])
    expected = np.minimum((np.log(2) + norm.logsf(np.abs(z))) / np.log(10), 0)
    np.testing.assert_allclose(log10_normal_tails(z), expected, rtol=1e-12)
    count, mean = np.array([0, 1, 4, 60, 400]), np.array([3.0, 0.2, 1.5, 20.0, 300.0])
    expected = poisson.logsf(count - 1, mean) / np.log(10)
    np.testing.assert_allclose(log10_poisson_tails(count, mean), expected, rtol=1e-8, atol=1e-12)
    far = log10_poisson_tails(np.array([3000]), np.array([600.0]))[0]  # under exp(-650): the sum by hand
    terms = 1 + np.cumprod(600 / np.arange(3001, 3200)).sum()
    by_hand = (3000 * np.log(600) - 600 - np.log(np.arange(1, 3001)).sum() + np.log(terms)) / np.log(10)
    assert far == pytest.approx(by_hand, rel=1e-9)
    # One event of a mean so small: p is the mean.
    assert log10_poisson_tails(np.array([1]), np.array([1e-290]))[0] == pytest.approx(-290, rel=1e-12)


def test_the_interval_of_a_share_is_scipys_and_none_where_nothing_was_counted():
    count, of = np.array([0, 1, 7, 50, 50]), np.array([9, 3, 20, 50, 1000])
    low, high = wilson(count, of)
    both = [binomtest(int(k), int(n)).proportion_ci(method="wilson") for k, n in zip(count, of, strict=True)]
    np.testing.assert_allclose(low, [one.low for one in both], atol=1e-12)
    np.testing.assert_allclose(high, [one.high for one in both], atol=1e-12)
    assert np.isnan(wilson(np.array([0]), np.array([0]))).all()


def test_a_sum_of_squares_starts_at_nothing():
    assert sum_of_squares(np.array([[3.0, 4.0]], np.float32)) == 25.0
    assert sum_of_squares(np.full((300, 2), 1e-4, np.float32), about=np.float64(np.float32(1e-4))) == 0.0
    assert sum_of_squares(np.zeros((0, 2), np.float32)) == 0.0


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_q_values_do_not_depend_on_how_many_are_sorted_at_a_time(monkeypatch, chunk):
    log10_p = np.log10(np.random.default_rng(3).random((5, 4)))
    log10_p[2, 1] = np.nan
    whole = benjamini_hochberg(log10_p)
    monkeypatch.setattr(significance, "_CHUNK", chunk)
    np.testing.assert_array_equal(benjamini_hochberg(log10_p), whole)


def test_an_interval_ends_at_a_share_of_0_or_1():
    low, high = wilson(np.array([0, 12]), np.array([12, 12]))
    assert (low[0], high[1]) == (0, 1)
