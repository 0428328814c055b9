"""What is drawn of too much: the largest, a sample that stays the same, or places spread evenly."""

import numpy as np
import pandas as pd
import pytest

from core.maths.samples import drawn, drawn_places, evenly


def test_a_scatter_keeps_the_largest_and_a_sample_that_is_the_same_each_time():
    table = pd.DataFrame({"feature": np.arange(500), "nearest_cosine": np.random.default_rng(0).random(500)})
    found = drawn(table, "nearest_cosine", most=100)
    assert len(found) == 100
    assert found["feature"].is_monotonic_increasing
    assert set(table["nearest_cosine"].nlargest(10)) <= set(found["nearest_cosine"])
    pd.testing.assert_frame_equal(found, drawn(table, "nearest_cosine", most=100))
    assert drawn(table, "nearest_cosine", most=500) is table


@pytest.mark.parametrize("whole", [0, 3, 20])
def test_the_first_places_are_all_drawn_and_others_fill_up_by_chance(whole):
    order = np.random.default_rng(1).permutation(200)
    places = drawn_places(order, whole=whole, most=20)
    assert len(set(places.tolist())) == 20
    assert set(order[:whole].tolist()) <= set(places.tolist())
    assert (np.diff(places) > 0).all()
    other = drawn_places(order, whole=whole, most=20, seed=1)
    assert (places.tolist() == other.tolist()) == (whole == 20)


def test_of_too_many_first_places_a_sample_is_drawn_and_of_few_places_all():
    order = np.arange(50)[::-1].copy()
    assert set(drawn_places(order, whole=30, most=20).tolist()) < set(order[:30].tolist())
    assert drawn_places(order, whole=30, most=50).tolist() == list(range(50))


def test_places_spread_evenly_hold_both_ends():
    assert evenly(5, 5).tolist() == [0, 1, 2, 3, 4]
    assert evenly(101, 5).tolist() == [0, 25, 50, 75, 100]
