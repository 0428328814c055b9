"""Classes, the table of features, and series by layer."""

import numpy as np
import pandas as pd
import pytest

from core.dictionaries.sources import Entry
from core.logit_weights.classes import CLASSES, ClassThresholds, class_counts, classify, logit_table, token_table
from core.logit_weights.series import PERCENTILES, box_table, layer_entries, percentile_table
from core.logit_weights.statistics import LogitStatistics, logit_statistics, random_directions
from core.logit_weights.study import drawn_features
from core.logit_weights.unembedding import Unembedding
from core.maths.summaries import box
from ui.logit_weights import charts

NAN = float("nan")


def shaped(skewness, kurtosis, std):
    """Statistics with these shapes; the rest is filler."""
    n = len(std)
    zeros, ids = np.zeros(n), np.tile(np.arange(2), (n, 1))
    values = ids.astype(np.float32)
    return LogitStatistics(
        mean=zeros,
        std=np.array(std, float),
        skewness=np.array(skewness, float),
        kurtosis=np.array(kurtosis, float),
        minimum=zeros,
        maximum=zeros,
        top_tokens=ids,
        top_values=values,
        bottom_tokens=ids[:, ::-1].copy(),
        bottom_values=-values,
        n_tokens=2,
    )


STATS = shaped(
    skewness=[3, -3, 0, 0, 0.6, NAN, 0],
    kurtosis=[11, 11, 2, 2, 2, NAN, 11],
    std=[1, 1, 9, 2, 9, 0, 1],
)


def test_each_rule_takes_what_it_says_and_nothing_else():
    classes = classify(STATS, ClassThresholds())
    # Feature 3 has less spread than the upper quarter, 4 is skewed, 6 is peaked but even.
    assert classes.tolist() == ["prediction", "suppression", "partition", "other", "other", "constant", "other"]
    assert class_counts(classes) == {"prediction": 1, "suppression": 1, "partition": 1, "other": 3, "constant": 1}


def test_the_sign_of_the_skewness_alone_tells_prediction_from_suppression():
    stats = shaped(skewness=[0.01, -0.01, 0.7, 0], kurtosis=[11, 11, 11, 11], std=[1, 1, 1, 1])
    assert classify(stats, ClassThresholds()).tolist() == ["prediction", "suppression", "prediction", "other"]
    edge = shaped(skewness=[1, 1], kurtosis=[10, 10.001], std=[1, 1])
    assert classify(edge, ClassThresholds()).tolist() == ["other", "prediction"]


def test_a_skewness_of_exactly_the_threshold_is_not_even():
    edge = shaped(skewness=[0.5, -0.5, 0.49, 0], kurtosis=[1, 1, 1, 1], std=[2, 2, 2, 1])
    assert classify(edge, ClassThresholds(even=0.5, spread=0.0)).tolist() == ["other", "other", "partition", "other"]


def test_thresholds_move_the_borders():
    assert classify(STATS, ClassThresholds(peaked=20.0))[0] == "other"
    assert classify(STATS, ClassThresholds(flat=1.5, spread=0.5))[2] == "other"
    assert classify(STATS, ClassThresholds(even=0.7, spread=0.5))[4] == "partition"
    assert classify(STATS, ClassThresholds(spread=0.0))[3] == "partition"


def test_the_rules_are_said_with_this_dictionarys_numbers():
    text = ClassThresholds(spread=0.5).describe(STATS)
    assert "kurtosis > 10" in text
    assert "std > 1.5 (quantile 0.5)" in text


def test_without_any_feature_that_varies_all_are_constant():
    stats = shaped([NAN], [NAN], [0])
    assert classify(stats, ClassThresholds()).tolist() == ["constant"]
    assert ClassThresholds().least_std(stats) == np.inf


def test_planted_promoting_suppressing_and_splitting_features_get_their_class():
    rng = np.random.default_rng(0)
    n = 400
    rows = 0.01 * rng.normal(size=(n, 4)).astype(np.float32)
    rows[:5, 0], rows[:5, 1], rows[:, 3] = 1, -1, 5 * np.where(np.arange(n) % 2, 1, -1)
    stats = logit_statistics(np.eye(4, dtype=np.float32), Unembedding(rows, np.arange(n)), center="mean")
    assert classify(stats, ClassThresholds(spread=0.5)).tolist() == ["prediction", "suppression", "other", "partition"]


def test_the_table_names_the_tokens_and_leaves_constant_rows_blank():
    table = logit_table(STATS, (" a", "\n"))
    assert table["top_token"].tolist()[:2] == ["' a'", "' a'"]
    assert table["bottom_token"].iloc[0] == "'\\n'"
    assert (table["top_token"].iloc[5], table["bottom_token"].iloc[5]) == ("", "")
    assert set(table["logit_class"]) <= set(CLASSES)
    assert table["feature"].tolist() == list(range(7))


def test_a_features_tokens_come_with_their_weights():
    top, bottom = (token_table(STATS, 0, (" a", "b"), end=end) for end in ("top", "bottom"))
    assert top["token"].tolist() == [0, 1]
    assert bottom["token_label"].tolist() == ["'b'", "' a'"]
    assert top["logit_weight"].tolist() == [0, 1]


def test_percentiles_by_layer_are_numpys_and_leave_out_constant_rows():
    series = {"0": shaped([1, 2, 3], [4, 5, 6], [1, 1, 1]), "10": STATS}
    table = percentile_table(series)
    assert table["layer"].unique().tolist() == ["0", "10"]
    late = table[(table["layer"] == "10") & (table["statistic"] == "kurtosis")]
    expected = np.percentile([11, 11, 2, 2, 2, 11], PERCENTILES)
    assert late["value"].tolist() == pytest.approx(expected.tolist())
    empty = percentile_table({"0": shaped([NAN], [NAN], [0])})
    assert empty["value"].isna().all()
    assert len(empty) == 2 * len(PERCENTILES)


def test_a_boxs_whiskers_end_at_values_and_far_values_are_counted():
    low, q1, median, q3, high, n, outside = box(np.array([0.0, 1, 2, 3, 4, 9]))
    assert (low, median, high) == (0, 2.5, 4)
    assert (q1, q3) == tuple(np.percentile([0, 1, 2, 3, 4, 9], (25, 75)))
    assert (n, outside) == (6, 1)
    assert np.isnan(box(np.zeros(0))[0])


def test_boxes_have_a_row_for_each_layer_and_shape():
    rng = np.random.default_rng(0)
    unembedding = Unembedding(rng.standard_normal((80, 4), dtype=np.float32), np.arange(80))
    series = {str(i): logit_statistics(random_directions(30, 4, seed=i), unembedding, center="mean") for i in (0, 1)}
    table = box_table(series)
    assert table[["layer", "statistic"]].to_numpy().tolist() == [
        [layer, name] for layer in ("0", "1") for name in ("skewness", "kurtosis")
    ]
    assert table.loc[table["statistic"] == "skewness", "median"].iloc[0] == pytest.approx(
        np.median(series["0"].skewness)
    )


def entry(name, hook, *, kind="standard", d_sae=512, source="demo", **labels):
    return Entry(f"{source}/{name}", name, hook_name=hook, kind=kind, d_sae=d_sae, labels=labels)


def test_a_series_holds_what_differs_in_the_layer_alone_in_order():
    listed = [
        entry("post", "blocks.10.hook_resid_post", layer="post10", seed=0),
        entry("ten", "blocks.10.hook_resid_pre", layer=10, seed=0),
        entry("two", "blocks.2.hook_resid_pre", layer=2, seed=0),
        entry("other kind", "blocks.3.hook_resid_pre", kind="topk", layer=3, seed=0),
        entry("other width", "blocks.4.hook_resid_pre", d_sae=64, layer=4, seed=0),
        entry("other seed", "blocks.5.hook_resid_pre", layer=5, seed=1),
        entry("other source", "blocks.6.hook_resid_pre", source="hub", layer=6, seed=0),
        entry("no hook", None, layer=7, seed=0),
        entry("two, again", "blocks.2.hook_resid_pre", layer="2", seed=0),
    ]
    series = layer_entries(listed, "demo/two, again")
    assert {name: found.title for name, found in series.items()} == {
        "2": "two, again",
        "10": "ten",
        "10 resid_post": "post",
    }
    assert list(series) == ["2", "10", "10 resid_post"]
    assert layer_entries(listed, "demo/no hook") == layer_entries(listed, "folder/elsewhere") == {}


def test_a_scatter_keeps_all_peaked_features_and_samples_the_rest_the_same_way_twice():
    kurtosis = np.full(300, 3.0)
    kurtosis[[5, 200, 299]] = 50
    std = np.ones(300)
    kurtosis[7], std[7] = NAN, 0
    stats = shaped(np.zeros(300), kurtosis, std)
    chosen = drawn_features(stats, ClassThresholds(), most=40)
    assert len(chosen) == 40
    assert {5, 200, 299} <= set(chosen.tolist())
    assert (chosen == drawn_features(stats, ClassThresholds(), most=40)).all()
    assert (np.diff(chosen) > 0).all()
    everything = drawn_features(stats, ClassThresholds())
    assert everything.tolist() == [i for i in range(300) if i != 7]
    assert set(drawn_features(stats, ClassThresholds(), most=2).tolist()) < {5, 200, 299}


def test_boxes_above_a_histogram_begin_where_its_axis_begins():
    bins = charts.binned({"set": np.array([0.0, 1.0]), "other tokens": np.array([0.5, 2.0])}, 4)
    row = pd.DataFrame(
        [("set", 0.0, 0.2, 0.5, 0.8, 1.0, 2, 0)],
        columns=["series", "low", "q1", "median", "q3", "high", "n", "n_outside"],
    )
    strip = charts.marginal_boxes(row, domain=[0, 2], axis_width=50).to_dict()["layer"][0]["encoding"]["y"]
    below = charts.overlaid(bins, title="x", axis_width=50).to_dict()["encoding"]["y"]
    for axis in (strip["axis"], below["axis"]):
        assert (axis["minExtent"], axis["maxExtent"]) == (50, 50)
    assert strip["title"]  # a title takes room beside the axis
    assert below["title"]
