"""What all charts share: ticks of log axes, titles that fit, text that contrasts."""

import json

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from core import catalogue
from ui.shared.charts import heatmap, scatter
from ui.shared.finish import finished, log_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.005, 4, [0.01, 0.1, 1]),
        (1, 1000, [1, 10, 100, 1000]),
        (1e-5, 1e7, [1e-5, 1e-3, 1e-1, 1e1, 1e3, 1e5, 1e7]),
        (0.2, 11, [0.2, 0.5, 1, 2, 5, 10]),
        (2, 9, [2, 3, 5, 7]),
        (0.011, 0.062, [0.02, 0.03, 0.05]),
        (3.1, 3.4, []),
        (5, 5, []),
        (0, 10, []),
        (1, np.inf, []),
    ],
)
def test_log_axes_are_labelled_at_powers_of_ten_or_at_round_numbers_between(low, high, ticks):
    assert log_ticks(low, high) == ticks


def chart(column, *, kind="log", height=300, title="y", axis=None):
    data = pd.DataFrame({"x": np.arange(len(column)), "y": column})
    y = alt.Y("y:Q").title(title).scale(type=kind)
    return alt.Chart(data).mark_line().encode(alt.X("x:Q"), y.axis(**axis) if axis else y).properties(height=height)


def axis_of(spec):
    return (spec["layer"][0] if "layer" in spec else spec)["encoding"]["y"].get("axis", {})


def test_ticks_span_what_all_layers_draw():
    layers = alt.layer(chart([0.5, 2.0]), chart([20.0, 9000.0]))
    assert axis_of(finished(layers, dark=False).to_dict())["values"] == [1, 10, 100, 1000]


def test_a_tooltip_has_titles_and_never_names_of_columns():
    table = pd.DataFrame({"feature": [0, 1], "self_lift": [1.0, 2.0], "n_next": [3, 4], "in_text": [5, 6]})
    own = alt.Tooltip("feature:Q", title="My own")
    unit = (
        alt.Chart(table)
        .mark_point()
        .encode(
            alt.X("self_lift:Q").title("Lift of itself (log)"), tooltip=[own, "self_lift:Q", "n_next:Q", "in_text:Q"]
        )
    )
    lines = finished(alt.layer(unit), dark=False).to_dict()["layer"][0]["encoding"]["tooltip"]
    titles = ["My own", "Lift of itself", catalogue.statistic("n_next").title, "In text"]
    assert [line["title"] for line in lines] == titles


@pytest.mark.parametrize("axis", [{"values": [1, 7]}, {"values": [1, 7], "format": "d"}])
def test_ticks_that_a_chart_chose_itself_stay(axis):
    assert axis_of(finished(chart([1.0, 1000.0], axis=axis), dark=False).to_dict()) == axis


def test_a_format_that_a_chart_chose_is_that_of_its_ticks():
    spec = finished(chart([1.0, 1000.0], axis={"format": ".1%"}), dark=False).to_dict()
    assert axis_of(spec)["labelExpr"] == "format(datum.value, '.1%')"


def test_linear_axes_keep_their_ticks():
    assert axis_of(finished(chart([1.0, 1000.0], kind="linear"), dark=False).to_dict()) == {}


@pytest.mark.parametrize(
    "nested", [lambda part: part, alt.layer, alt.hconcat, lambda part: alt.vconcat(alt.layer(part))]
)
def test_a_title_longer_than_its_axis_is_broken_into_lines(nested):
    title = "Standard deviation when active by position"
    spec = finished(nested(chart([1.0, 2.0], kind="linear", height=220, title=title)), dark=False).to_dict()
    lines = str(spec).count("'Standard deviation when',")
    assert lines == 1
    tall = finished(nested(chart([1.0, 2.0], kind="linear", height=380, title=title)), dark=False).to_dict()
    assert str(tall).count(f"'{title}'") == 1


def test_the_outermost_names_of_rows_keep_their_places():
    assert finished(chart([1.0, 2.0]), dark=True).to_dict()["config"]["axisDiscrete"] == {"labelFlush": False}


def test_text_on_light_pages_has_the_contrast_that_readers_need():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    config = finished(chart([1.0, 2.0]), dark=False).to_dict()["config"]
    for place in ("axis", "legend"):
        assert 1.05 / (luminance(config[place]["labelColor"]) + 0.05) >= 4.5
    assert "labelColor" not in finished(chart([1.0, 2.0]), dark=True).to_dict()["config"].get("axis", {})


def test_texts_of_tokens_stand_on_an_axis_as_data_whatever_their_letters():
    texts = ["'a'", '"]; alert(1); ["', "\\", "\u2028\ud800"]
    cells = pd.DataFrame({"feature": [1], "position": [5], "act": [1.0]})
    names = {"row": "feature", "value": "act", "row_order": [1], "row_title": "Feature", "value_title": "Activation"}
    axis = heatmap(cells, n_pos=9, first=5, x_labels=texts, **names).to_dict()["layer"][0]["encoding"]["x"]["axis"]
    listed, at, offset = axis["labelExpr"].rpartition("[datum.value - ")
    assert json.loads(listed) == [*texts[:3], "\u2028\ufffd"]  # half a character is a sign
    assert (at, offset) == ("[datum.value - ", "5]")
    assert axis["values"] == [5, 6, 7, 8]
    numbered = heatmap(cells, n_pos=9, first=5, **names).to_dict()["layer"][0]["encoding"]["x"]["axis"]
    assert "labelExpr" not in numbered


@pytest.mark.parametrize(("values", "domain"), [([1.0, 1 - 2e-16, 1.0], [0.5, 1.5]), ([0.5, 0.75, 1.0], None)])
def test_points_that_differ_by_rounding_alone_get_an_axis_around_them(values, domain):
    table = pd.DataFrame({"feature": range(3), "cosine": values, "norm": [1.0, 2.0, 3.0]})
    scale = scatter(table, "cosine", "norm", x_title="Cosine", y_title="Norm").to_dict()["encoding"]["x"]["scale"]
    assert scale.get("domain") == (pytest.approx(domain) if domain else None)


@pytest.mark.parametrize("n", [0, 2])
def test_a_layer_without_marks_is_not_heard(n):
    points = alt.Chart(pd.DataFrame({"x": range(3), "y": range(3)})).mark_circle().encode(x="x:Q", y="y:Q")
    ring = alt.Chart(pd.DataFrame({"x": range(n), "y": range(n)})).mark_point(size=90).encode(x="x:Q", y="y:Q")
    layers = finished(points + ring + ring.mark_rule(), dark=False).to_dict()["layer"]
    assert [layer["mark"].get("aria", True) for layer in layers] == [True, n > 0, n > 0]


@pytest.mark.parametrize(("mark", "n", "said"), [("rect", 1_000, True), ("rect", 1_001, False), ("line", 1_001, True)])
def test_marks_have_a_text_each_unless_they_are_too_many_to_be_heard(mark, n, said):
    table = pd.DataFrame({"a": np.arange(n), "b": np.arange(n)})
    chart = alt.Chart(table, mark=mark).encode(alt.X("a:Q"), alt.Y("b:Q"))
    (drawn,) = vl_convert.vegalite_to_vega(finished(chart, dark=False).to_dict())["marks"]
    assert ("description" in json.dumps(drawn)) == said
