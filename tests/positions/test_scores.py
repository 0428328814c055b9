"""Scores from positional statistics: known answers for each definition."""

import dataclasses

import numpy as np
import pytest

from core.positions import scores as positions_scores
from core.positions.scores import elbow, peaks_per_position, score_table, suggested_count
from core.positions.statistics import PositionStatistics, empty_fields

C, N_POS = 5, 7


def statistics(mean, *, rate=None, context_size=C, **fields):
    """Statistics with these mean curves; other numbers are 0 unless given."""
    mean = np.asarray(mean, np.float32)
    zeros = {name: np.zeros_like(array) for name, array in empty_fields(*mean.shape).items()}
    given = {name: np.asarray(value, zeros[name].dtype) for name, value in fields.items()}
    rate = np.asarray(mean != 0 if rate is None else rate, np.float32)
    return PositionStatistics(
        method="additive grid",
        context_size=context_size,
        n_samples=100,
        **(zeros | {"mean": mean, "rate": rate} | given),
    )


def test_score_and_peak_look_inside_the_context_only():
    table = score_table(statistics([[0, 1, 3, 1, 0, 9, 9], [0, 0, 0, 0, 0, 2, 4], [2, 0, 0, 0, 2, 0, 0]]))
    assert table["position_score"].tolist() == [3, 0, 2]
    assert table["peak"].tolist() == [2, -1, 0]
    assert table["rank"].tolist() == [1, 3, 2]
    assert table["beyond_score"].tolist() == [0, 4, 0]


def test_rank_breaks_ties_by_feature():
    assert positions_scores.rank(np.array([1.0, 3.0, 1.0, 3.0])).tolist() == [3, 1, 4, 2]


@pytest.mark.parametrize(
    ("curve", "width"),
    [
        ([0, 0, 1, 0, 0], 1),  # one position: half a position to either side
        ([1, 0, 0, 0, 0], 1),  # the same at an end
        ([0, 0, 0, 0, 1], 1),
        ([0, 1, 2, 1, 0], 2),  # a triangle crosses its half exactly at the neighbours
        ([1, 1, 1, 1, 1], 5),  # flat: all of the context
        ([4, 4, 1, 0, 0], 2 + 1 / 6),  # falls from 4 to 1 past position 1: half is 2/3 of the way
        ([0, 4, 0, 3, 0], 1),  # a second bump is another bump
        ([0, 0, 0, 0, 0], np.nan),
    ],
)
def test_peak_width_has_known_answers(curve, width):
    stats = statistics([[*curve, 8, 8]])
    assert positions_scores.peak_width(stats)[0] == pytest.approx(width, nan_ok=True)


def test_peak_width_equals_a_walk_along_a_fine_curve():
    rng = np.random.default_rng(0)
    mean = np.maximum(rng.normal(size=(30, N_POS)) + 0.5, 0)
    stats = statistics(mean, context_size=N_POS)
    fine = np.linspace(-0.5, N_POS - 0.5, 70_001)
    for got, curve in zip(positions_scores.peak_width(stats), mean, strict=True):
        above = np.interp(fine, np.arange(N_POS), curve) > curve.max() / 2
        at = np.searchsorted(fine, curve.argmax())
        left = at - np.argmin(above[: at + 1][::-1]) if not above[: at + 1].all() else 0
        right = at + np.argmin(above[at:]) if not above[at:].all() else len(fine) - 1
        assert got == pytest.approx(fine[right] - fine[left], abs=1e-3)


def test_mutual_information_has_known_answers():
    rates = [[1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    stats = statistics(np.zeros((5, 4)), rate=rates, context_size=4)
    one_of_four = (np.log(4) + 3 * np.log(4 / 3)) / 4
    assert positions_scores.mutual_information(stats) == pytest.approx([np.log(2), 0, 0, 0, one_of_four], abs=1e-7)


def test_mutual_information_is_that_of_the_joint_distribution():
    rate = np.random.default_rng(0).random((6, C))
    stats = statistics(np.zeros((6, C)), rate=rate)
    joint = np.stack([rate, 1 - rate], axis=2) / C
    product = joint.sum(1, keepdims=True) * joint.sum(2, keepdims=True)
    expected = (joint * np.log(joint / product)).sum((1, 2))
    assert positions_scores.mutual_information(stats) == pytest.approx(expected, rel=1e-4)


def test_scores_of_pre_activations():
    stats = statistics(
        np.zeros((2, N_POS)),
        pre_mean=[[-1, 2, 1, 0, 0, 99, 99], [1] * N_POS],
        pre_std=[[1, 4, 1, 0, 3, 0.1, 0.1], [0] * N_POS],
        pre_std_over_positions=[0.25, 0],
    )
    assert positions_scores.t_score(stats) == pytest.approx([1, np.nan], nan_ok=True)
    assert positions_scores.inverse_position_score(stats).tolist() == [0, 0]
    assert positions_scores.inverse_token_score(stats).tolist() == [0.25, 0]


def test_a_pre_activation_that_is_constant_but_for_rounding_has_no_t_score():
    pre_std = np.full((2, N_POS), 5e-8)
    pre_std[1] = 1e-3
    stats = statistics(np.zeros((2, N_POS)), pre_mean=np.full((2, N_POS), 0.7), pre_std=pre_std)
    assert positions_scores.t_score(stats) == pytest.approx([np.nan, 700], nan_ok=True)


def test_firing_count_is_that_of_the_best_position():
    stats = statistics(np.ones((1, N_POS)), rate=[[0.01, 0.29, 0.28, 0, 0, 1, 1]])
    assert positions_scores.firing_count(stats).tolist() == [29]


def test_elbow_lies_in_the_bend_of_the_scores_read_off_the_figure():
    """Chughtai & Lau 2024, figure 3: rank (0-based) and score; it bends from rank 36 to 60, a smaller bend is at 9."""
    ranks = [0, 1, 2, 3, 7, 9, 10, 20, 27, 36, 40, 50, 60, 100, 1000, 24575]
    scores = [2.45, 1.63, 1.58, 1.57, 1.45, 1.24, 0.74, 0.56, 0.50, 0.34, 0.18, 0.11, 0.08, 0.035, 0.01, 0]
    curve = np.interp(np.arange(24576), ranks, scores)
    assert 36 <= elbow(curve) <= 60


def test_elbow_counts_the_features_before_a_step():
    rng = np.random.default_rng(0)
    assert elbow(rng.permutation(np.repeat([1.0, 0.0], [5, 95]))) == 5
    assert elbow(rng.permutation(np.concatenate([1 + rng.random(7), 0.01 * rng.random(200)]))) == 7


@pytest.mark.parametrize("silent", [1, 40, 400])
def test_elbow_is_what_its_formula_says_though_most_features_are_silent(silent):
    """n_positional as the catalogue has it; s(r) / s(2r) alone would divide by 0."""
    rng = np.random.default_rng(silent)
    scores = np.concatenate([np.exp(rng.normal(0, 2, 60)), np.zeros(silent)])
    s = np.sort(scores)[::-1]
    floored = np.maximum(s, s[0] / 1000)
    falls = {r: s[r - 1] / floored[2 * r - 1] for r in range(1, len(s) // 2 + 1) if s[r - 1] >= s[0] / 100}
    r = max(falls, key=falls.get)
    assert elbow(rng.permutation(scores)) == np.count_nonzero(s >= np.sqrt(s[r - 1] * floored[2 * r - 1]))


def test_elbow_looks_at_scores_of_a_hundredth_of_the_largest_only():
    """The steepest halving, of .9, lies below 1 % of 100, though above 1 % of 15; of the others 15 falls most."""
    assert elbow(np.array([100, 15, 5, 2, 0.9, 0.8, 0.5, 0.3, 0.1, 0.1])) == 2


@pytest.mark.parametrize("scores", [[0.0, 0.0], [2.0, 2.0, 2.0], [3.0], [-1.0, -2.0]])
def test_elbow_is_zero_where_there_is_none(scores):
    assert elbow(np.array(scores)) == 0


def test_suggested_count_and_peaks_per_position():
    mean = np.zeros((50, N_POS))
    mean[:4, 2], mean[4, 0], mean[5, 6] = 3, 3, 99
    stats = statistics(mean, share_position=np.ones(50))
    assert suggested_count(stats) == 5
    table = peaks_per_position(stats, range(6))
    assert table["position"].tolist() == [0, 1, 2, 3, 4]
    assert table["features"].tolist() == [1, 0, 4, 0, 0]
    assert peaks_per_position(stats, [])["features"].sum() == 0


def test_table_has_a_row_per_feature_and_takes_shares_from_the_statistics():
    stats = statistics(np.eye(3, N_POS), share_position=[1, 0.5, np.nan], token_best=[4, 5, -1], only_beyond=[0, 2, 0])
    table = score_table(stats)
    assert table["feature"].tolist() == [0, 1, 2]
    for name in ("share_position", "positional_r2"):
        assert table[name].tolist() == pytest.approx([1, 0.5, np.nan], nan_ok=True)
    assert table["token_best"].tolist() == [4, 5, -1]
    assert table["only_beyond"].tolist() == [0, 2, 0]


def planted_rows(n: int, n_pos: int, *, n_positional: int) -> PositionStatistics:
    """300 features on n rows, sparse and of very unequal size; the first follow a position."""
    rng = np.random.default_rng(0)
    size = np.exp(rng.normal(0, 2, (300, 1, 1)))
    acts = size * rng.exponential(size=(300, n, n_pos)) * (rng.random((300, n, n_pos)) < 0.1)
    acts[:n_positional, :, 2] += 50 * size[:n_positional, 0]
    mean = acts.mean(axis=1)
    share = mean.var(axis=1) / acts.var(axis=(1, 2))
    return dataclasses.replace(statistics(mean, context_size=n_pos, share_position=share), n_samples=n)


@pytest.mark.parametrize("n", [16, 64])
def test_no_elbow_is_clear_where_position_explains_no_more_than_chance(n):
    stats = planted_rows(n, 32, n_positional=0)
    assert elbow(positions_scores.position_score(stats)) > 0  # scores of active features fall, too
    assert stats.share_position.mean() == pytest.approx(positions_scores.chance_r2(stats), rel=0.1)
    assert suggested_count(stats) == 0
    assert suggested_count(planted_rows(n, 32, n_positional=40)) > 0
