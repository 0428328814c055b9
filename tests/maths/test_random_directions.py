"""Random directions in closed form: published numbers, a seeded simulation, and cases worked out by hand."""

import numpy as np
import pytest

from core.errors import DoesNotFitError
from core.geometry.neighbors import nearest_features
from core.logit_weights.statistics import random_directions
from core.maths.random_directions import RandomDirections, crowding, expected_crowding


@pytest.mark.parametrize(
    ("n", "d", "means", "stds"),
    [
        (24576, 768, (0.1461, 0.1209, 0.0954), (0.0104, 0.0032, 0.0012)),
        (12288, 768, (0.1403, 0.1139, 0.0867), (0.0108, 0.0033, 0.0013)),
        (8192, 512, (0.1670, 0.1341, 0.0994), (0.0133, 0.0043, 0.0017)),
        (4096, 512, (0.1596, 0.1247, 0.0871), (0.0139, 0.0046, 0.0019)),
    ],
)
def test_the_1st_10th_and_100th_nearest_random_direction_are_where_they_were_simulated(n, d, means, stds):
    found = [RandomDirections(n, d).rth_mean_std(r) for r in (1, 10, 100)]
    np.testing.assert_allclose([mean for mean, _ in found], means, atol=3e-4)
    np.testing.assert_allclose([std for _, std in found], stds, atol=2e-4)


def test_quantiles_and_reference_lines_have_their_known_values():
    random = RandomDirections(24576, 768)
    np.testing.assert_allclose(random.rth_quantile(np.array([0.01, 0.5, 0.99]), 1), [0.128, 0.1447, 0.177], atol=4e-4)
    assert random.interference == pytest.approx(0.0361, abs=5e-5)
    assert random.welch_bound == pytest.approx(0.0355, abs=5e-5)
    assert RandomDirections(8, 8).welch_bound == 0
    assert RandomDirections(3, 2).welch_bound == pytest.approx(0.5)  # three directions, 120 degrees apart


@pytest.mark.parametrize("r", [1, 3, 20])
def test_a_seeded_simulation_agrees_with_the_closed_form(r):
    n, d = 1500, 24
    random, simulated = RandomDirections(n, d), nearest_features(random_directions(n, d, seed=0), k=20).cos[:, r - 1]
    edges = random.rth_quantile(np.linspace(0.001, 0.999, 9), r)
    expected = random.expected_counts(edges, r)
    counts, _ = np.histogram(simulated, edges)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()
    mean, std = random.rth_mean_std(r)
    assert simulated.mean() == pytest.approx(mean, abs=4 * std / np.sqrt(n) + 1e-3)
    assert simulated.std() == pytest.approx(std, rel=0.1)


def test_in_three_dimensions_cosines_are_uniform_and_order_statistics_follow_by_hand():
    # Archimedes: the cosine of two directions in space is uniform on [-1, 1].
    c = np.linspace(-1, 1, 9)
    random = RandomDirections(6, 3)
    np.testing.assert_allclose(random.above(c), (1 - c) / 2, atol=1e-12)
    below = (1 + c) / 2
    np.testing.assert_allclose(random.rth_below(c, 1), below**5, atol=1e-12)
    np.testing.assert_allclose(random.rth_below(c, 2), below**5 + 5 * below**4 * (1 - below), atol=1e-12)
    np.testing.assert_allclose(random.rth_below(random.rth_quantile(below, 2), 2), below, atol=1e-9)
    assert random.expected_counts(c, 3).sum() == pytest.approx(6)


def test_a_rank_that_does_not_exist_and_directions_on_a_line_are_explained():
    with pytest.raises(DoesNotFitError, match=r"The 12-th nearest of 12 directions does not exist; .* from 1 to 11"):
        RandomDirections(12, 8).rth_mean_std(12)
    with pytest.raises(DoesNotFitError, match="5 random directions in 1 dimensions"):
        RandomDirections(5, 1)


def test_the_terms_of_the_penalty_equal_a_double_loop_with_zero_rows_and_rows_left_out():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(15, 4)).astype(np.float32) * 10
    rows[3], rows[7, 2] = 0, np.nan
    found = crowding(rows, nearest_features(rows, k=1).cos[:, 0])
    kept = np.delete(rows, [3, 7], axis=0).astype(float)
    unit = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    cosines = [[unit[i] @ unit[j] for j in range(13) if j != i] for i in range(13)]
    assert found.mean_cosine == pytest.approx(np.mean(cosines))
    assert found.mean_nearest_cosine == pytest.approx(np.mean([max(row) for row in cosines]))
    assert found.largest_cosine == pytest.approx(max(map(max, cosines)))
    assert found.penalty == pytest.approx(found.mean_cosine + found.mean_nearest_cosine + found.largest_cosine)


@pytest.mark.parametrize("length", [1e-30, 1e-3, 50_000.0])
def test_how_long_rows_are_moves_no_term_of_the_penalty(length):
    rows = np.random.default_rng(1).normal(size=(15, 4)).astype(np.float32)
    nearest = nearest_features(rows, k=1).cos[:, 0]
    found, expected = crowding(rows * np.float32(length), nearest), crowding(rows, nearest)
    assert found.mean_cosine == pytest.approx(expected.mean_cosine, abs=1e-7)


def test_the_mean_of_very_many_nearest_cosines_is_summed_in_float64():
    nearest = np.full(2_000_000, np.float32(0.1))
    nearest[::2] = np.float32(0.9)
    rows = np.broadcast_to(np.ones(1, np.float32), (len(nearest), 1))
    exact = (float(np.float32(0.1)) + float(np.float32(0.9))) / 2
    assert crowding(rows, nearest).mean_nearest_cosine == pytest.approx(exact, abs=1e-9)


def test_random_directions_have_about_the_expected_penalty():
    rows = random_directions(1500, 24, seed=1)
    found = crowding(rows, nearest_features(rows, k=1).cos[:, 0])
    expected = expected_crowding(RandomDirections(1500, 24))
    assert found.mean_cosine == pytest.approx(expected.mean_cosine, abs=2e-3)
    assert found.mean_nearest_cosine == pytest.approx(expected.mean_nearest_cosine, abs=5e-3)
    assert found.largest_cosine == pytest.approx(expected.largest_cosine, abs=0.05)
