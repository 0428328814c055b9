"""Names beside feature numbers: in tables, downloads, tooltips, axes and legends, and never those of another one."""

import json

import altair as alt
import pandas as pd
import pytest

from core.feature.names import FeatureNames
from ui.shared import naming
from ui.shared.finish import finished

NAMES = FeatureNames(("", "'import'", "brackets", '"; alert(1) //\u2028'))
TABLE = pd.DataFrame({"feature": [2, 1, 0], "density": [0.1, 0.2, 0.3]})


@pytest.fixture(autouse=True)
def two_dictionaries():
    known = {"aa": NAMES, "bb": FeatureNames(("one of B's",) * 4)}
    naming.find_by(lambda sha256: known.get(sha256, naming.NO_NAMES))
    yield
    naming.find_by(lambda sha256: naming.NO_NAMES)


def of(*shas: str) -> dict:
    return {"dictionaries": [{"sha256": sha256} for sha256 in shas]}


def test_the_name_of_a_feature_stands_right_behind_its_number():
    named = naming.with_names(TABLE, naming.names_for(of("aa")))
    assert named.columns.tolist() == ["feature", "feature_name", "density"]
    assert named["feature_name"].tolist() == ["brackets", "'import'", ""]
    assert TABLE.columns.tolist() == ["feature", "density"], "the page's own table was changed"


def test_a_figure_of_another_dictionary_or_of_several_shows_no_names():
    for shown in (of("cc"), of("aa", "bb"), of(), {}):
        assert naming.with_names(TABLE, naming.names_for(shown)) is TABLE


def test_where_a_figure_has_two_dictionaries_each_column_says_whose_features_it_holds():
    pairs = pd.DataFrame({"feature_a": [1], "feature_b": [2]})
    named = naming.with_names(pairs, naming.names_for(of("aa", "bb"), {"feature_a": "aa", "feature_b": "bb"}))
    assert named.iloc[0].to_dict() == {"feature_a": 1, "name_a": "'import'", "feature_b": 2, "name_b": "one of B's"}


def test_a_column_without_any_name_is_left_out():
    unnamed = TABLE[TABLE["feature"] == 0]
    assert naming.with_names(unnamed, naming.names_for(of("aa"))) is unnamed


@pytest.mark.parametrize("column", [[1.0, float("nan")], pd.array([1, None], dtype="Int64")])
def test_a_table_with_missing_features_keeps_them_without_a_name(column):
    table = pd.DataFrame({"feature": column})
    assert naming.with_names(table, naming.names_for(of("aa")))["feature_name"].tolist() == ["'import'", ""]


def drawn(chart: alt.Chart) -> dict:
    return finished(chart, dark=False, names=naming.names_for(of("aa"))).to_dict()


def test_a_tooltip_of_a_feature_says_its_name():
    chart = alt.Chart(TABLE).mark_point().encode(x="density:Q", tooltip=["feature:Q", "density:Q"])
    spec = drawn(chart)
    assert [one["field"] for one in spec["encoding"]["tooltip"]] == ["feature", "feature_name", "density"]
    rows = next(iter(spec["datasets"].values()))
    assert [row["feature_name"] for row in rows] == ["brackets", "'import'", ""]


def test_a_chart_of_layers_gets_names_as_well_though_its_data_lies_above_them():
    base = alt.Chart(TABLE).encode(x="density:Q", tooltip=["feature:Q"])
    spec = drawn(alt.layer(base.mark_line(), base.mark_point()))
    assert all(layer["encoding"]["tooltip"][1]["field"] == "feature_name" for layer in spec["layer"])


@pytest.mark.parametrize(("channel", "guide"), [("y", "axis"), ("color", "legend")])
def test_an_axis_and_a_legend_of_features_show_names_that_cannot_end_the_expression(channel, guide):
    data = pd.DataFrame({"feature": ["1", "3"], "density": [0.1, 0.2]})
    spec = drawn(alt.Chart(data).mark_point().encode(x="density:Q", **{channel: "feature:N"}))
    expression = spec["encoding"][channel][guide]["labelExpr"]
    labels, rest = json.JSONDecoder().raw_decode(expression)
    assert labels["1"] == "1 'import'"
    assert rest == len(expression) - len("[datum.value] || datum.value")
    assert expression.isascii()


def test_without_names_a_chart_stays_as_it_is():
    chart = alt.Chart(TABLE).mark_point().encode(x="density:Q", color="feature:N", tooltip=["feature:Q"])
    assert "name" not in json.dumps(finished(chart, dark=False).to_dict()["encoding"])
