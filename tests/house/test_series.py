"""Few series of a chart differ by more than colour."""

import altair as alt
import pandas as pd
import pytest

from ui.shared.finish import finished
from ui.shared.series import DASHES, SHAPES


def table(n):
    return pd.DataFrame({"x": [0.0, 1.0] * n, "y": range(2 * n), "series": [f"s{i}" for i in range(n) for _ in "ab"]})


def encoded(n, *, order=None):
    colour = alt.Color("series:N").title(None).legend(orient="top")
    return alt.Chart(table(n)).encode(alt.X("x:Q"), alt.Y("y:Q"), colour.sort(order) if order else colour)


def channels(chart):
    spec = finished(chart, dark=False).to_dict()
    return (spec["layer"][0] if "layer" in spec else spec)["encoding"]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_lines_have_dashes_and_one_legend_with_their_colours(n):
    channel = channels(encoded(n).mark_line())
    dash, colour = channel["strokeDash"], channel["color"]
    assert dash["scale"] == {"domain": [f"s{i}" for i in range(n)], "range": DASHES[:n]}
    for name in ("field", "title", "legend"):
        assert dash[name] == colour[name]
    assert colour["scale"]["domain"] == dash["scale"]["domain"]  # legends of one domain become one


@pytest.mark.parametrize("n", [1, 5])
def test_one_line_and_many_lines_stay_as_they_are(n):
    assert "strokeDash" not in channels(encoded(n).mark_line())


def test_points_have_shapes():
    spec = finished(encoded(3).mark_circle(size=40), dark=False).to_dict()
    assert spec["mark"] == {"type": "point", "size": 40, "filled": True}
    assert spec["encoding"]["shape"]["scale"]["range"] == SHAPES[:3]


def test_the_order_of_the_legend_stays():
    assert channels(encoded(2, order=["s1", "s0"]).mark_line())["strokeDash"]["scale"]["domain"] == ["s1", "s0"]


def test_baselines_keep_their_own_dashes():
    chance = alt.Chart(table(1).replace({"series": {"s0": "chance"}})).mark_line(strokeDash=[5, 3])
    chance = chance.encode(alt.X("x:Q"), alt.Y("y:Q"), alt.Color("series:N"))
    scale = channels(alt.layer(encoded(2).mark_line(), chance))["strokeDash"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {
        "s0": DASHES[0],
        "s1": DASHES[1],
        "chance": [5, 3],
    }


def test_dashes_that_a_chart_chose_itself_stay():
    chart = encoded(2).mark_line().encode(alt.StrokeDash("series:N").legend(None))
    assert channels(chart)["strokeDash"] == {"field": "series", "legend": None, "type": "nominal"}
