"""Statistics of logit weights against a double in float64, and known answers."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CancelledError, OutOfRangeError
from core.logit_weights.statistics import (
    LogitStatistics,
    extreme_logits,
    logit_statistics,
    logit_weights,
    random_directions,
)
from core.logit_weights.unembedding import LogitSettings, Unembedding
from core.maths.square_sums import sum_of_squares
from core.work.artifacts import ArtifactStore
from tests.doubles.watched import Watched


def drawn(n_tokens, d, *, seed=0, offset=0.0, dtype=np.float32):
    """Rows whose directions differ in strength, with a common offset."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_tokens, d)) * np.exp(0.5 * rng.normal(size=d)) + offset * rng.normal(size=d)
    return Unembedding(rows.astype(dtype), np.arange(n_tokens))


def by_hand(directions, unembedding, center, k):
    """Everything from the full matrix in float64."""
    L = directions.astype(np.float64) @ unembedding.rows.T.astype(np.float64)
    if center == "median":
        L -= np.median(L, axis=1, keepdims=True)
    mean, std = L.mean(axis=1), L.std(axis=1)
    z = (L - mean[:, None]) / std[:, None]
    down, up = np.argsort(-L, axis=1, kind="stable")[:, :k], np.argsort(L, axis=1, kind="stable")[:, :k]
    return {
        "mean": mean,
        "std": std,
        "skewness": (z**3).mean(axis=1),
        "kurtosis": (z**4).mean(axis=1),
        "minimum": L.min(axis=1),
        "maximum": L.max(axis=1),
        "top_tokens": unembedding.tokens[down],
        "top_values": np.take_along_axis(L, down, axis=1),
        "bottom_tokens": unembedding.tokens[up],
        "bottom_values": np.take_along_axis(L, up, axis=1),
    }


def assert_same(stats, expected, *, tolerance=2e-6):
    """Values to `tolerance` of the row's spread (skewness and kurtosis of themselves or of 1); tokens exactly."""
    unit = expected["std"] + np.abs(expected["mean"])
    for name, value in expected.items():
        found = getattr(stats, name)
        if "tokens" in name:
            assert (found == value).all(), name
            continue
        scale = np.maximum(np.abs(value), 1) if name in ("skewness", "kurtosis") else unit
        scale = scale[:, None] if value.ndim == 2 else scale
        assert (np.abs(found - value) <= tolerance * scale).all(), name


@pytest.mark.parametrize("center", ["mean", "median", "none"])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_the_pass_in_tiles_equals_the_full_matrix_in_float64(center, offset, device):
    unembedding = drawn(700, 12, offset=offset)
    directions = random_directions(9, 12, seed=1)
    stats = logit_statistics(directions, unembedding, center=center, k=5, tile=256, device=device)
    assert_same(stats, by_hand(directions, unembedding, center, 5))
    assert (stats.n_tokens, stats.top_tokens.shape) == (700, (9, 5))
    assert stats.excess_kurtosis == pytest.approx(stats.kurtosis - 3)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 9),
    n_tokens=st.integers(2, 600),
    d=st.integers(1, 6),
    k=st.integers(1, 30),
    center=st.sampled_from(["mean", "median", "none"]),
    block=st.integers(1, 10),
    tile=st.integers(1, 700),
    workers=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_statistics_are_right_at_any_shape(n, n_tokens, d, k, center, block, tile, workers, seed, device):
    unembedding, directions = drawn(n_tokens, d, seed=seed, offset=1.0), random_directions(n, d, seed=seed)
    stats = logit_statistics(
        directions, unembedding, center=center, k=k, block=block, tile=tile, workers=workers, device=device
    )
    assert stats.top_tokens.shape == (n, min(k, n_tokens))
    expected = by_hand(directions, unembedding, center, k)
    # Fewer tokens than dimensions can lie so close together that float32 has no spread to speak of.
    assert_same(stats, expected, tolerance=1e-4)


def test_neither_workers_nor_blocks_of_whole_tiles_change_a_bit():
    unembedding, directions = drawn(700, 8), random_directions(40, 8, seed=1)
    first = logit_statistics(directions, unembedding, center="median", workers=1)
    second = logit_statistics(directions, unembedding, center="median", workers=3)
    for field in fields(LogitStatistics):
        assert np.array_equal(getattr(first, field.name), getattr(second, field.name)), field.name


@pytest.mark.parametrize("far", [25, 1_000, 3_000, 20_000])
def test_a_mean_many_standard_deviations_off_leaves_kurtosis_and_skewness_right_to_1e_5(far, device):
    unembedding = drawn(3000, 16, seed=3)
    unembedding.rows[:] += 1.1 * far * unembedding.rows.std() / 4
    directions = np.abs(random_directions(20, 16, seed=4))
    stats = logit_statistics(directions, unembedding, center="none", device=device)
    assert (np.abs(stats.mean) / stats.std).max() > far
    expected = by_hand(directions, unembedding, "none", 20)
    assert stats.kurtosis == pytest.approx(expected["kurtosis"], rel=1e-5)
    assert stats.skewness == pytest.approx(expected["skewness"], rel=1e-5, abs=1e-5)
    assert stats.std == pytest.approx(expected["std"], rel=1e-5)


@pytest.mark.parametrize("about", [0.0, 20_000.0])
def test_a_sum_of_squares_is_right_to_float64_however_far_off_0_the_rows_are(about):
    rows = (np.random.default_rng(0).standard_normal((1000, 7)) + about).astype(np.float32)
    expected = sum((float(value) - about) ** 2 for value in rows.flat)
    assert sum_of_squares(rows, about=about) == pytest.approx(expected, rel=1e-13)
    assert sum_of_squares(rows, about=np.full(7, about)) == sum_of_squares(rows, about=about)


def test_gaussian_logit_weights_have_skewness_0_and_kurtosis_3(device):
    rows = np.random.default_rng(0).standard_normal((40_000, 4), dtype=np.float32)
    stats = logit_statistics(
        random_directions(10, 4, seed=1), Unembedding(rows, np.arange(40_000)), center="mean", device=device
    )
    assert stats.skewness == pytest.approx(0, abs=0.06)
    assert stats.kurtosis == pytest.approx(3, abs=0.12)


def test_two_halves_and_a_single_token_have_the_moments_of_coins(device):
    n = 400
    rows = np.zeros((n, 3), np.float32)
    rows[: n // 2, 0], rows[n // 2 :, 0], rows[7, 1], rows[9, 2] = 1, -1, 1, -1
    stats = logit_statistics(
        np.eye(3, dtype=np.float32), Unembedding(rows, np.arange(n)), center="none", k=2, device=device
    )
    p = 1 / n  # of a coin that falls on its edge once: kurtosis (1 - 3p + 3p^2) / (p (1 - p))
    assert stats.kurtosis == pytest.approx([1, *[(1 - 3 * p + 3 * p**2) / (p * (1 - p))] * 2], rel=1e-5)
    one_sided = (1 - 2 * p) / np.sqrt(p * (1 - p))
    assert stats.skewness == pytest.approx([0, one_sided, -one_sided], rel=1e-5, abs=1e-6)
    assert (stats.top_tokens[1, 0], stats.bottom_tokens[2, 0]) == (7, 9)
    assert stats.mean == pytest.approx([0, p, -p])


@pytest.mark.parametrize("tile", [1, 3, 64, 4096])
def test_of_equal_values_the_lower_id_comes_first_in_any_tiling(tile, device):
    values = np.tile(np.arange(5, dtype=np.float32), 60)  # every value 60 times
    unembedding = Unembedding(values[:, None], 10 + np.arange(300))
    stats = logit_statistics(np.ones((1, 1), np.float32), unembedding, center="none", k=7, tile=tile, device=device)
    assert stats.top_tokens[0].tolist() == [10 + 4 + 5 * i for i in range(7)]
    assert stats.bottom_tokens[0].tolist() == [10 + 5 * i for i in range(7)]
    assert stats.top_values[0] == pytest.approx(4, abs=1e-6)


@pytest.mark.parametrize("order", [1, -1])
def test_tokens_in_order_of_their_weight_are_the_worst_case_and_still_right(order, device):
    values = order * np.arange(1000, dtype=np.float32)
    stats = logit_statistics(
        np.ones((1, 1), np.float32), Unembedding(values[:, None], np.arange(1000)), center="mean", k=3, device=device
    )
    ends = [[999, 998, 997], [0, 1, 2]][::order]
    assert [stats.top_tokens[0].tolist(), stats.bottom_tokens[0].tolist()] == ends


@pytest.mark.parametrize("center", ["mean", "median", "none"])
def test_zero_and_constant_rows_have_no_spread_and_no_shape(center, device):
    rows = drawn(300, 4).rows
    rows[:, 3] = 2  # every token alike along this axis
    rows[:, 2] = -rows[:, 1] / 3  # and, but for rounding, along a slanted one
    directions = np.zeros((4, 4), np.float32)
    directions[1, 3] = directions[2, 0] = 1
    directions[3, 1:3] = 1 / 3, 1
    stats = logit_statistics(directions, Unembedding(rows, np.arange(300)), center=center, k=4, device=device)
    assert stats.constant.tolist() == [True, True, False, True]
    assert stats.std[stats.constant].tolist() == [0, 0, 0]
    assert (np.isnan(stats.skewness) == stats.constant).all()
    assert (np.isnan(stats.kurtosis) == stats.constant).all()
    assert stats.top_tokens[0].tolist() == stats.bottom_tokens[0].tolist() == [0, 1, 2, 3]
    assert stats.mean[:2] == pytest.approx([0, 0 if center == "median" else 2], abs=1e-6)


def test_one_token_alone_is_constant(device):
    stats = logit_statistics(random_directions(2, 3, seed=0), drawn(1, 3), center="none", k=5, device=device)
    assert stats.constant.all()
    assert stats.top_tokens.tolist() == [[0], [0]]


def test_half_precision_rows_are_used_as_they_are(device):
    unembedding, directions = drawn(300, 8, dtype=np.float16), random_directions(5, 8, seed=1)
    stats = logit_statistics(directions, unembedding, center="none", k=5, tile=256, device=device)
    assert_same(stats, by_hand(directions, unembedding, "none", 5))


@pytest.mark.parametrize("center", ["mean", "median", "none"])
def test_logit_weights_in_full_equal_the_product(center):
    unembedding, directions = drawn(500, 6, offset=2.0), random_directions(8, 6, seed=1)
    L = directions.astype(np.float64)[[5, 2]] @ unembedding.rows.T.astype(np.float64)
    L -= np.median(L, axis=1, keepdims=True) if center == "median" else 0
    found = logit_weights(directions, unembedding, [5, 2], center=center)
    assert found == pytest.approx(L, abs=1e-5)
    stats = logit_statistics(directions, unembedding, center=center)
    assert found.max(axis=1) == pytest.approx(stats.maximum[[5, 2]], abs=1e-6)


@pytest.mark.parametrize("center", ["mean", "median", "none"])
@pytest.mark.parametrize(("n", "offset"), [(1, 0.0), (300, 0.0), (700, 2.0)])
def test_one_features_extreme_tokens_are_to_the_bit_those_of_all_features(center, n, offset):
    unembedding, directions = drawn(5000, 24, offset=offset), random_directions(n, 24, seed=1)
    rows = unembedding.rows.copy()
    rows[[4, 4500, 4999]] = rows[17]
    unembedding = Unembedding(rows, np.arange(5000) + 3)
    stats = logit_statistics(directions, unembedding, center=center)
    for feature in {0, n // 2, n - 1}:
        found = extreme_logits(directions, unembedding, feature, center=center)
        for end in ("top", "bottom"):
            tokens, values = found[end]
            assert tokens.tolist() == getattr(stats, f"{end}_tokens")[feature].tolist()
            assert values.tobytes() == getattr(stats, f"{end}_values")[feature].tobytes()
    with pytest.raises(OutOfRangeError):
        extreme_logits(directions, unembedding, n, center=center)


def test_the_means_of_the_tokens_are_summed_once_for_all_features(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "core.logit_weights.unembedding.sum_of_squares",
        lambda rows, about: asked.append(len(rows)) or sum_of_squares(rows, about=about),
    )
    unembedding = drawn(50, 4)
    for feature in range(3):
        logit_weights(drawn(3, 4).rows, unembedding, [feature], center="none")
    assert asked == [50]


def test_a_feature_that_does_not_exist_is_named():
    with pytest.raises(OutOfRangeError, match=r"Feature 8 does not exist: expected a whole number from 0 to 7"):
        logit_weights(random_directions(8, 3, seed=0), drawn(9, 3), [0, 8], center="mean")


def test_random_directions_have_length_one_and_repeat():
    rows = random_directions(200, 16, seed=0)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    assert (rows == random_directions(200, 16, seed=0)).all()
    assert np.abs(rows.mean(axis=0)).max() < 0.1


def test_progress_counts_features_and_may_cancel():
    unembedding, directions = drawn(50, 4), random_directions(12, 4, seed=1)
    watched = Watched()
    logit_statistics(directions, unembedding, center="mean", block=3, progress=watched)
    assert watched.told == [(3, 12), (6, 12), (9, 12), (12, 12)]
    with pytest.raises(CancelledError):
        logit_statistics(directions, unembedding, center="mean", block=3, progress=Watched(stop_at_report=2))


def test_statistics_are_stored_and_found_by_what_they_depend_on(tmp_path):
    stats = logit_statistics(random_directions(4, 3, seed=0), drawn(9, 3), center="mean", k=2)
    key = LogitStatistics.key("dictionary", "model", LogitSettings(), k=2)
    store = ArtifactStore(tmp_path)
    store.save(stats, key)
    assert (store.load(LogitStatistics, key).kurtosis == stats.kurtosis).all()
    inputs = LogitSettings().as_inputs()
    others = [LogitSettings(**{name: not value}) for name, value in inputs.items() if name != "center"]
    others += [LogitSettings(center="median"), LogitSettings(center="none")]
    keys = {LogitStatistics.key("dictionary", "model", other, k=2) for other in others}
    keys |= {LogitStatistics.key("other", "model", LogitSettings(), k=2)}
    keys |= {LogitStatistics.key("dictionary", "other", LogitSettings(), k=2)}
    keys |= {LogitStatistics.key("dictionary", "model", LogitSettings(), k=3)}
    assert len(keys) == len(others) + 3
    assert key not in keys
