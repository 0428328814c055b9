"""The chance to return: against its closed form, against draws, and whatever the order of the features."""

import numpy as np
import pytest

from core.errors import DoesNotFitError
from core.matching.null import random_ratio
from core.stability.chance import SecondMoments, chance_threshold, return_chance, second_moments

LAMBDA = np.array([0.4, 0.25, 0.15, *[0.02] * 10])


def axes(d, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def unequal(n=1):
    """Second moments with three strong axes in 13 dimensions."""
    return SecondMoments(LAMBDA, axes(len(LAMBDA)), n)


def drawn(moments, n, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, len(moments.values))) * np.sqrt(moments.values) @ moments.axes.T


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("d", "t"), [(2, 0.3), (3, 0.9), (8, 0.7), (64, 0.35), (768, 0.15), (768, 0.21)])
def test_where_all_directions_are_alike_chance_is_the_closed_form_of_the_beta_distribution(d, t):
    moments = SecondMoments(np.full(d, 1 / d), axes(d), 500)
    rows = np.random.default_rng(1).standard_normal((3, d))
    assert return_chance(rows, moments, t) == pytest.approx(random_ratio(500, d, np.array([t]))[0], rel=1e-6)


@pytest.mark.parametrize("t", [0.1, 0.4, 0.7])
def test_with_unequal_second_moments_chance_is_what_draws_say(t):
    moments, rows = unequal(), drawn(unequal(), 6, seed=2)
    n = 400_000
    share = (units(drawn(moments, n, seed=3)) @ units(rows).T > t).mean(axis=0)
    p = return_chance(rows, moments, t)
    assert np.abs(share - p).max() < 4 * np.sqrt(p.max() / n)
    assert p.max() > 1.1 * p.min()  # a feature along a strong axis returns more easily


def test_of_many_directions_one_is_over_the_threshold_as_often_as_in_whole_random_dictionaries():
    moments, rows = unequal(50), drawn(unequal(), 5, seed=4)
    found = [(units(drawn(moments, 50, seed)) @ units(rows).T).max(axis=0) > 0.75 for seed in range(2000)]
    p = return_chance(rows, moments, 0.75)
    assert np.abs(np.mean(found, axis=0) - p).max() < 4 * np.sqrt(0.25 / 2000)


def test_a_direction_that_no_random_one_comes_near_returns_never_and_one_without_direction_is_left_out():
    moments = SecondMoments(np.array([0.5, 0.5, 0.0]), np.eye(3), 1000)
    p = return_chance(np.array([[0, 0, 1.0], [0.3, 0, 1], [0, 0, 0], [1, 0, 0]]), moments, 0.5)
    assert p[:2].tolist() == [0, 0]
    assert np.isnan(p[2])
    assert p[3] > 0.999


def test_a_chance_that_nobody_will_see_is_0_and_all_others_are_as_without_that_short_cut(monkeypatch):
    moments = SecondMoments(np.full(300, 1 / 300), np.eye(300), 10_000)
    rows = np.random.default_rng(6).standard_normal((40, 300)) * np.linspace(2, 0.1, 300)
    assert return_chance(rows, moments, 0.7).tolist() == [0.0] * 40
    moments = second_moments(np.random.default_rng(7).standard_normal((900, 300)) * np.linspace(2, 0.1, 300))
    short = [return_chance(rows, moments, t) for t in (0.4, 0.65, 0.7)]
    monkeypatch.setattr("core.stability.chance._least_variance", lambda moments, threshold: -1.0)
    whole = [return_chance(rows, moments, t) for t in (0.4, 0.65, 0.7)]
    assert np.array_equal(short, whole)
    assert 0 < np.count_nonzero(np.array(whole) == 0) < np.size(whole)


def test_second_moments_are_those_of_directions_at_length_1_without_zero_rows():
    rows = np.array([[3.0, 0], [0, 2], [0, 0], [0.5, 0]], np.float32)
    moments = second_moments(rows)
    assert moments.n == 3
    np.testing.assert_allclose(moments.axes * moments.values @ moments.axes.T, [[2 / 3, 0], [0, 1 / 3]], atol=1e-15)


@pytest.mark.parametrize("rows", [np.ones((4, 1)), np.zeros((4, 3))])
def test_directions_that_no_chance_can_be_told_of_are_refused(rows):
    with pytest.raises(DoesNotFitError, match="no cosine can be compared with chance"):
        second_moments(rows)


def test_one_random_feature_in_a_hundred_is_over_the_threshold_by_chance():
    moments = unequal(60)
    rows = drawn(moments, 256, seed=5)
    t = chance_threshold(rows, moments)
    assert return_chance(rows, moments, t).mean() <= 0.01 < return_chance(rows, moments, t - 1 / 2000).mean()
    best = [(units(rows) @ units(drawn(moments, 60, seed)).T).max(axis=1) for seed in range(600)]
    assert (np.stack(best) > t).mean() == pytest.approx(0.01, rel=0.15)
    assert chance_threshold(rows[::-1], moments) == t


def test_a_threshold_by_chance_is_that_of_a_scan_of_the_grid_by_all_typical_rows():
    rng = np.random.default_rng(8)
    for seed in range(4):  # of a few rows in order, some are far from typical: strong and weak axes, unlike lengths
        rows = np.concatenate([drawn(unequal(), 30, seed), rng.standard_normal((40, 13)) * np.linspace(1, 0.1, 13)])
        moments = second_moments(rng.standard_normal((50, 13)) * np.linspace(3, 0.1, 13))
        found = round(chance_threshold(rows, moments) * 2000)
        places = sorted({*range(1, 2000, 50), *range(found - 10, found + 11)})  # all of those beside it
        means = np.array([return_chance(rows, moments, place / 2000).mean() for place in places])
        assert places[np.flatnonzero(means <= 0.01)[0]] == found
        assert (np.diff(means) <= 0).all()


def test_copies_of_a_row_change_no_chance_and_no_threshold():
    rows = np.random.default_rng(9).standard_normal((40, 6)) * [3, 2, 1, 1, 1, 1]
    more = np.concatenate([rows, rows[:1].repeat(30, axis=0)])
    moments, same = second_moments(rows), second_moments(more)
    assert (same.n, same.values.tolist()) == (40, moments.values.tolist())
    assert chance_threshold(more, same) == chance_threshold(rows, moments)
    assert return_chance(more, same, 0.9)[40:].tolist() == [return_chance(rows, moments, 0.9)[0]] * 30
