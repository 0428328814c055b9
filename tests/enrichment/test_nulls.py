"""p- and q-values of enrichment: uniform under the null, equal to exact ones and to scipy's."""

from itertools import combinations

import numpy as np
import pytest

from core.enrichment.nulls import EnrichmentNull, log10_kolmogorov, null_extremes
from core.maths.significance import benjamini_hochberg
from tests.doubles.token_set_scores import V, random_sets, scores_of, slow_scores, tied_values, token_sets


@pytest.mark.parametrize("size", [12, 150])
def test_under_a_shuffled_vocabulary_p_values_are_uniform(size):
    from scipy.stats import kstest

    rng = np.random.default_rng(4)
    values = rng.permuted(np.tile(np.arange(1000.0), (400, 1)), axis=1)
    found = scores_of(values, random_sets(rng, (size,), 1000))
    assert kstest(10.0 ** found.log10_p[:, 0], "uniform").pvalue > 0.05


@pytest.mark.parametrize(("size", "mean", "q95"), [(10, 0.252, 0.397), (30, 0.155, 0.242), (100, 0.085, 0.132)])
def test_null_scores_reproduce_the_simulated_ones_of_gpt2s_vocabulary(size, mean, q95):
    score = null_extremes(size, 50257, seed=0, draws=4000) / (size * (50257 - size))
    assert score.mean() == pytest.approx(mean, rel=0.04)
    assert np.quantile(score, 0.95) == pytest.approx(q95, rel=0.06)


def test_draws_follow_the_exact_null():
    every = []
    for members in combinations(range(8), 3):
        high, low, _ = slow_scores(-np.arange(8.0), set(members))
        every.append(round(max(high, -low) * 15))
    drawn = null_extremes(3, 8, seed=0, draws=20_000)
    assert (np.diff(drawn) >= 0).all()
    for value in set(every):
        share = every.count(value) / len(every)
        assert (drawn == value).mean() == pytest.approx(share, abs=4 * np.sqrt(share / 20_000))


def test_the_p_of_a_small_set_counts_draws_and_never_falls_below_the_exact_one():
    from scipy.stats import ks_2samp

    null = EnrichmentNull(np.array([10]), 500, seed=0, draws=2000)
    drawn = null_extremes(10, 500, seed=0, draws=2000)
    middle = drawn[1000]
    expected = np.log10((1 + (drawn >= middle).sum()) / 2001)
    assert null.log10_p(np.array([[middle]]))[0, 0] == pytest.approx(expected)
    ranking = np.arange(500.0)
    for start in (0, 20, 60, 100):  # members in a block near the top: further and further from perfect
        inside = (ranking >= start) & (ranking < start + 10)
        extreme = round(10 * 490 * max(slow_scores(-ranking, set(np.flatnonzero(inside).tolist()))[0], 0))
        exact = ks_2samp(ranking[inside], ranking[~inside], method="exact").pvalue
        p = 10 ** null.log10_p(np.array([[extreme]]))[0, 0]
        assert exact <= p < 1 / 2001


def test_sets_of_30_tokens_are_the_first_with_the_asymptotic_p():
    n = 500
    for k in (29, 30, n - 30, n - 29):
        null, extreme = EnrichmentNull(np.array([k]), n, seed=0, draws=2000), round(0.25 * k * (n - k))
        asymptotic = log10_kolmogorov(np.array(extreme / (k * (n - k)) * np.sqrt(k * (n - k) / n)))
        found = null.log10_p(np.array([[extreme]]))[0, 0]
        assert (found == pytest.approx(float(asymptotic))) == (k in (30, n - 30))


def test_a_set_and_its_complement_are_equally_surprising():
    rng = np.random.default_rng(15)
    few = rng.choice(V, 12, replace=False)
    both = token_sets(few=few, most=set(range(V)) - set(few.tolist()))
    found = scores_of(tied_values(rng), both)
    assert np.array_equal(found.es[:, 0], -found.es[:, 1])
    assert np.array_equal(found.log10_p[:, 0], found.log10_p[:, 1])


def test_the_asymptotic_p_has_no_smallest_value():
    from scipy.special import kolmogorov

    x = np.array([0.0, 0.5, 1.358, 3.0, 9.999999, 10.000001])
    assert log10_kolmogorov(x) == pytest.approx(np.log10(kolmogorov(x)), abs=1e-9)
    assert log10_kolmogorov(np.array([60.0]))[0] == pytest.approx((np.log(2) - 7200) / np.log(10))


def test_q_values_equal_scipys_and_leave_blanks_out():
    from scipy.stats import false_discovery_control

    rng = np.random.default_rng(5)
    p = rng.random((9, 4)).round(1) ** 3 + 1e-9  # with ties
    p[4] = np.nan
    p = np.minimum(p, 1)
    q = 10 ** benjamini_hochberg(np.log10(p))
    known = ~np.isnan(p)
    assert q[known] == pytest.approx(false_discovery_control(p[known]))
    assert np.isnan(q[4]).all()
