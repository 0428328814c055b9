"""Tables of activation values by position, feature and layer, against dense float64 doubles."""

import numpy as np
import pandas as pd
import pytest

from core.activations import tables
from core.activations.quantiles import ActivationQuantiles, activation_quantiles
from core.activations.spliced_loss import LossByPosition
from core.activations.token_pass import activation_pass, open_store
from core.catalogue import ALIASES, STATISTICS
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import dense, planted
from tests.doubles.planted import planted_model

ROWS = np.random.default_rng(2).integers(0, 257, (9, 24))


@pytest.fixture(scope="module", params=["standard", "abstopk"])
def passed(request, tmp_path_factory):
    """A dictionary, its statistics and store on ROWS, and its dense activations in float64."""
    root = tmp_path_factory.mktemp("pass")
    dictionary, model = planted(request.param), planted_model(root, n_ctx=24)
    artifacts = ArtifactStore(root / "cache")
    statistics = activation_pass(dictionary, model, ROWS, artifacts)
    store = open_store(dictionary, model, ROWS, artifacts)
    return dictionary, statistics, store, dense(dictionary, model, ROWS).astype(np.float64)


def nonzero(acts: np.ndarray) -> np.ndarray:
    return acts[acts != 0]


@pytest.mark.parametrize("with_first", [True, False])
def test_curves_by_position_are_those_of_the_dense_activations(passed, with_first):
    _, statistics, _, acts = passed
    found = tables.position_curves(statistics, with_first=with_first)
    first = 0 if with_first else 1
    assert found["position"].tolist() == list(range(first, 24))
    by_position = [nonzero(acts[:, p]) for p in range(24)]
    mean = np.array([values.mean() for values in by_position])
    np.testing.assert_allclose(found["mean_active"], mean[first:], rtol=1e-9)
    np.testing.assert_allclose(found["std_active"], [v.std() for v in by_position[first:]], rtol=1e-6)
    np.testing.assert_allclose(found["active_share"], (acts != 0).mean(axis=(0, 2))[first:], rtol=1e-12)
    smooth = np.full(24, np.nan)
    for p in range(5, 19):
        smooth[p] = mean[p - 4 : p + 6].mean()
    np.testing.assert_allclose(found["smoothed_mean"], smooth[first:], rtol=1e-9)


def test_a_moving_average_passes_over_gaps_and_needs_a_whole_window():
    values = np.array([1.0, np.nan, 3.0, 5.0, np.nan, np.nan])
    found = tables.moving_average(values, 2)
    np.testing.assert_array_equal(found, [1.0, 3.0, 4.0, 5.0, np.nan, np.nan])
    assert np.isnan(tables.moving_average(values, 7)).all()


@pytest.mark.parametrize("n_pos", [1, 2])
def test_rows_of_one_or_two_tokens_have_curves_without_a_smoothed_mean(tmp_path, n_pos):
    statistics = activation_pass(planted("standard"), planted_model(tmp_path), ROWS[:, :n_pos], None)
    found = tables.position_curves(statistics)
    assert len(found) == n_pos
    assert found["smoothed_mean"].isna().all()
    assert len(tables.position_curves(statistics, with_first=False)) == n_pos - 1


def test_deciles_are_those_of_each_features_nonzero_activations(passed):
    dictionary, statistics, store, acts = passed
    quantiles = activation_quantiles(store, statistics, with_first=False)
    found = tables.decile_table(statistics.feature_table(with_first=False), quantiles)
    flat = acts[:, 1:].reshape(-1, dictionary.d_sae)
    assert found["feature"].tolist() == np.flatnonzero((flat != 0).any(axis=0)).tolist()
    for row in found.itertuples():
        values = nonzero(flat[:, row.feature])
        expected = np.quantile(values, np.arange(1, 11) / 10)
        np.testing.assert_allclose([getattr(row, f"decile_{n}") for n in range(1, 11)], expected, rtol=1e-6, atol=1e-9)
    below, n = tables.mean_below_median(found)
    several = [nonzero(flat[:, i]) for i in found["feature"] if np.count_nonzero(flat[:, i]) >= 3]
    assert n == len(several)
    assert below == sum(values.mean() < np.median(values) for values in several)


def test_a_feature_that_is_active_once_has_deciles_and_one_that_never_is_has_no_row():
    names = ("density", "mean_active", "std_active")
    features = pd.DataFrame({"feature": [0, 1], "active_tokens": [0, 1]} | {name: [0.0, 0.5] for name in names})
    quantiles = ActivationQuantiles(np.array([[np.nan, np.nan], [2.0, 2.0]]), (0.5, 1.0), True)
    found = tables.decile_table(features, quantiles)
    assert found[["feature", "decile_5", "decile_10"]].to_numpy().tolist() == [[1, 2, 2]]


def test_equal_activations_have_no_mean_below_their_median():
    table = pd.DataFrame({"active_tokens": [3, 3, 2], "mean_active": [0.1, 1.0, 1.0], "decile_5": [0.1 + 1e-12, 2, 9]})
    assert tables.mean_below_median(table) == (1, 2)


def test_the_loss_over_all_tokens_weighs_positions_by_their_tokens():
    found = LossByPosition(np.array([9.0, 1.0, np.nan, 4.0]), np.array([5, 2, 0, 1]))
    assert tables.mean_loss(found) == pytest.approx((45 + 2 + 4) / 8)
    assert tables.mean_loss(found, with_first=False) == pytest.approx((2 + 4) / 3)


def deciles(n: int) -> pd.DataFrame:
    values = {f"decile_{k}": np.arange(n)[::-1] + k / 100 for k in range(1, 11)}
    return pd.DataFrame({"feature": np.arange(n), "density": np.arange(n)[::-1] // 2} | values)


def test_marks_of_few_features_are_all_there_in_the_order_asked_for():
    marks = tables.decile_marks(deciles(5), "density")
    assert len(marks) == 50
    ranked = marks[marks["decile"] == 100].sort_values("rank")
    assert ranked["feature"].tolist() == [3, 4, 1, 2, 0]  # density 0 0 1 1 2
    assert ranked["activation"].tolist() == pytest.approx([1.1, 0.1, 3.1, 2.1, 4.1])


def test_marks_of_many_features_are_thinned_evenly_over_the_ranks():
    marks = tables.decile_marks(deciles(1000), "feature", most=400)
    assert len(marks) == 400
    ranks = np.unique(marks["rank"])
    assert len(ranks) == 40
    assert (ranks[0], ranks[-1]) == (0, 999)
    assert set(np.diff(ranks)) <= {25, 26}


def test_cumulative_curves_count_features_below_each_threshold():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"mean_active": rng.gamma(2, size=30), "decile_5": rng.gamma(2, size=30)})
    found = tables.cumulative_counts(table)
    assert len(found) == 100
    assert found["activation_threshold"].iloc[-1] == table["mean_active"].max()
    for row in found.iloc[::7].itertuples():
        assert row.features_mean_below == (table["mean_active"] < row.activation_threshold).sum()
        assert row.features_median_below == (table["decile_5"] < row.activation_threshold).sum()
    assert tables.cumulative_counts(table.iloc[:0]).empty


@pytest.mark.parametrize("log", [False, True])
def test_a_distribution_has_every_value_in_one_bar_and_a_curve_of_as_much_area(log):
    values = np.random.default_rng(0).gamma(3, size=400)
    found = tables.distribution(np.append(values, np.nan), bins=20, log=log)
    assert found.bars["count"].sum() == 400
    assert found.left_out == 0
    for row in found.bars.iloc[1:-1].itertuples():
        assert row.count == ((values >= row.low) & (values < row.high)).sum()
    at, points = (np.log10(values), np.log10(found.curve["value"])) if log else (values, found.curve["value"])
    width = at.std(ddof=1) * 400 ** (-1 / 5)
    double = [np.exp(-((x - at) ** 2) / (2 * width**2)).sum() / (width * np.sqrt(2 * np.pi)) for x in points]
    np.testing.assert_allclose(found.curve["height"], np.array(double) * (at.max() - at.min()) / 20, rtol=1e-9)


def test_a_log_axis_leaves_out_what_has_no_place_on_it_and_says_so():
    found = tables.distribution(np.array([-1.0, 0.0, 1.0, 10.0, 100.0]), bins=2, log=True)
    assert found.left_out == 2
    assert found.bars["count"].tolist() == [1, 2]
    assert found.bars["low"].tolist() == pytest.approx([1, 10])


@pytest.mark.parametrize("values", [[], [2.0], [3.0, 3.0, 3.0, 3.0]])
def test_few_or_equal_values_have_bars_and_no_curve(values):
    found = tables.distribution(np.array(values))
    assert found.bars["count"].sum() == len(values)
    assert found.curve.empty


def test_errors_by_position_are_those_of_the_statistics_without_position_0_if_asked(passed):
    _, statistics, _, acts = passed
    found, sums = tables.error_curves(statistics, context_size=6, with_first=False)
    expected = statistics.errors(context_size=6, first=1)
    assert found["position"].tolist() == list(range(1, 24))
    np.testing.assert_array_equal(found["nmse"], expected.nmse[1:])
    np.testing.assert_allclose(found["l1"], np.abs(acts).sum(axis=2).mean(axis=0)[1:], rtol=1e-6)
    np.testing.assert_array_equal(found["l2_ratio"], statistics.position_table()["l2_ratio"][1:])
    assert sums.set_index("where").loc["inside", "tokens"] == 9 * 5
    whole, _ = tables.error_curves(statistics, context_size=1, with_first=False)
    assert whole["position"].iloc[0] == 0  # there is no other position inside


def test_layers_keep_their_order_and_leave_out_what_is_never_active(passed):
    _, statistics, _, _ = passed
    curves = tables.layer_curves({"1": statistics, "0": statistics}, with_first=False)
    assert list(dict.fromkeys(curves["layer"])) == ["1", "0"]
    assert curves["position"].tolist() == 2 * list(range(1, 24))
    means = np.random.default_rng(0).lognormal(size=50)
    table = pd.DataFrame({"active_tokens": np.append(np.ones(50, int), 0), "mean_active": np.append(means, np.nan)})
    box = tables.layer_boxes({"a": table, "b": table}, "mean_active")
    assert box["layer"].tolist() == ["a", "b"]
    assert box["n"].tolist() == [50, 50]
    np.testing.assert_allclose(box.loc[0, ["q1", "median", "q3"]].astype(float), np.percentile(means, [25, 50, 75]))
    smooth = tables.layer_densities({"a": table}, "mean_active")
    at = np.log10(smooth["value"])
    double = tables.distribution(means, bins=1, log=True).curve["height"] / 50 / np.ptp(np.log10(means))
    np.testing.assert_allclose(smooth["height"], double, rtol=1e-9)
    assert at.is_monotonic_increasing


def test_every_column_is_declared(passed):
    _, statistics, store, _ = passed
    features = tables.decile_table(statistics.feature_table(), activation_quantiles(store, statistics))
    found = [tables.position_curves(statistics), features, tables.cumulative_counts(features)]
    found.append(tables.error_curves(statistics)[0])
    names = {name for table in found for name in table.columns}
    assert {name for name in names if ALIASES.get(name, name) not in STATISTICS} == set()
