"""Charts of more points than Vega draws without a pause: every point by WebGL, and the same answers as Altair's."""

import json
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.doubles import pages
from tests.feature_map.test_component import unpack
from tests.house import cloud_app
from ui.shared import charts, cloud, following
from ui.shared.cloud.read import Axis, read
from ui.shared.thinned import MOST_MARKS

APP = Path(cloud_app.__file__)
N = MOST_MARKS + 1000


def open_app(n: int = N, **query) -> AppTest:
    return pages.fine(pages.run(APP, {"n": n} | query))


def messages(at: AppTest, chart: str = "first") -> dict[str, dict]:
    found = [unpack(element.proto.bytes) for element in at.get("bidi_component")]
    return {message["kind"]: message for message in found if message["map"] == f"{chart}-cloud"}


def answer(at: AppTest, **state) -> AppTest:
    """Run again with what the browser would send of the first chart."""
    digest = messages(at)["points"]["digest"]
    at.session_state["first-cloud"] = {name: {"digest": digest} | what for name, what in state.items()}
    return pages.fine(at.run())


def said(at: AppTest, what: str) -> str:
    return next(code.value for code in at.code if code.value.startswith(what)).removeprefix(f"{what} ")


@pytest.mark.parametrize("kind", ["linear", "log", "symlog"])
def test_an_axis_goes_from_values_to_places_and_back(kind):
    axis = Axis("x", "X", kind, 0.01, 4000.0)
    values = np.array([0.01, 0.5, 1, 20, 4000.0])
    places = axis.units(values)
    assert places[[0, -1]].tolist() == [0, 1]
    assert (np.diff(places) > 0).all()
    assert [axis.value(place) for place in places] == pytest.approx(values, rel=1e-12)
    halves = {"linear": 2000.005, "log": (0.01 * 4000) ** 0.5, "symlog": (1.01 * 4001) ** 0.5 - 1}
    assert axis.value(0.5) == pytest.approx(halves[kind], rel=1e-12)


def test_a_symlog_axis_is_the_same_on_both_sides_of_zero():
    axis = Axis("x", "X", "symlog", -100, 100)
    assert axis.units([-10, 0, 10]) == pytest.approx([1 - axis.units([10])[0], 0.5, axis.units([10])[0]], rel=1e-12)
    assert axis.value(axis.units([-10])[0]) == pytest.approx(-10)


def test_every_point_is_sent_with_its_place_colour_and_tooltip():
    at, table = open_app(log=1), cloud_app.table(N)
    sent = messages(at)["points"]
    assert not at.get("vega_lite_chart")
    assert sent["n"] == len(sent["x"]) == N
    for axis, column in (("x", "skewness"), ("y", "kurtosis")):
        told = sent["axes"][axis]
        shown = Axis(column, told["title"], told["kind"], told["low"], told["high"])
        assert sent[axis] == pytest.approx(shown.units(table[column]).astype(np.float32).tolist())
        assert min(sent[axis]) > 0
        assert max(sent[axis]) < 1
    assert [sent["axes"][axis]["kind"] for axis in "xy"] == ["linear", "log"]
    assert [tip["title"] for tip in sent["tips"]] == ["Feature", "kind", "Kurtosis", "token"]
    assert sent["tip0"] == table["feature"].tolist()
    assert sent["tip2"] == table["kurtosis"].astype(np.float32).tolist()
    texts = json.loads(bytes(sent["tip3-texts"]))
    assert [texts[code] for code in sent["tip3"]] == table["token"].tolist()
    colours = messages(at)["colours"]
    assert colours["palette"] == [charts.ACCENT, "#4c78a8"]
    assert [colours["groups"][code] for code in colours["colour"]] == table["kind"].tolist()
    assert "A finding." in sent["label"]
    assert f"{N:,} points" in sent["label"]


def test_lines_texts_and_rings_lie_where_the_chart_has_them():
    at = open_app()
    sent, marks = messages(at)["points"], messages(at)["marks"]
    assert marks["rules"] == [{"along": "x", "at": -0.5}, {"along": "y", "at": 20.0}]
    assert marks["texts"] == [{"x": 0.9, "y": 0.02, "text": "alone <b>", "dy": -9}]
    assert marks["rings"] == [pytest.approx([sent["x"][7], sent["y"][7]], abs=1e-6)]
    assert sent["axes"]["y"]["low"] < 0 < sent["axes"]["y"]["high"]  # 0 belongs to an axis that does not refuse it


def test_few_points_are_drawn_by_vega():
    at = open_app(MOST_MARKS // 2 - 10)
    assert len(at.get("vega_lite_chart")) == 2
    assert not at.get("bidi_component")


def test_a_click_tells_the_feature_and_a_rectangle_what_lies_inside():
    at = open_app(log=1)
    axes = messages(at)["points"]["axes"]
    at = answer(at, point={"point": 41})
    assert said(at, "event") == "{'point': [{'feature': 41}]}"
    corners = [[0.2, 0.3], [0.6, 0.3], [0.6, 0.7], [0.2, 0.7]]
    at = answer(at, lasso={"polygon": corners})
    found = eval(said(at, "event"))["brush"]
    for axis, column, ends in (("x", "skewness", (0.2, 0.6)), ("y", "kurtosis", (0.3, 0.7))):
        shown = Axis(column, "", axes[axis]["kind"], axes[axis]["low"], axes[axis]["high"])
        assert found[column] == pytest.approx([shown.value(end) for end in ends])
    assert messages(at)["marks"]["polygon"] == corners
    table = cloud_app.table(N)
    brush = following.Brush(table, "feature", "skewness", "kurtosis")
    inside = brush.features({"selection": {following.BRUSH: found}})
    places = np.stack([messages(at)["points"][axis] for axis in "xy"])
    expected = np.flatnonzero((places[0] > 0.2) & (places[0] < 0.6) & (places[1] > 0.3) & (places[1] < 0.7))
    assert 0 < len(expected) < N
    assert inside == expected.tolist()


@pytest.mark.parametrize(
    "state",
    [
        {"point": {"point": N}},
        {"point": {"point": -1}},
        {"point": {"point": True}},
        {"point": {"point": 3, "digest": "another"}},
        {"lasso": {"polygon": [[0, 0], [1, 1]]}},
        {"lasso": {"polygon": [[0, 0], [1, 0], [1, float("nan")], [0, 1]]}},
        {"lasso": {"polygon": [[0, 0], [1e300, 0], [1, 1], [0, 1]]}},
        {"lasso": {"polygon": "abcd"}},
    ],
)
def test_what_the_browser_cannot_have_sent_is_nothing(state):
    at = answer(open_app(), **state)
    assert said(at, "event") == "{}"


def test_a_chart_without_a_callback_cannot_be_clicked():
    sent = messages(open_app(), "second")
    assert sent["points"]["still"]
    assert not messages(open_app())["points"]["still"]


def test_a_browser_without_webgl_gets_a_sample_by_vega():
    at = open_app()
    for name in ("first", "second"):
        at.session_state[f"_{cloud.plane(name)}_without_webgl"] = True
    at = pages.fine(at.run())
    assert len(at.get("vega_lite_chart")) == 2
    assert not at.get("bidi_component")
    assert any("marks drawn, a random sample" in caption.value for caption in at.caption)


def test_members_of_the_selection_stay_bright():
    table = cloud_app.table(N).assign(in_selection=np.arange(N) % 7 == 0)
    shown = (
        alt.Chart(table)
        .mark_circle()
        .encode(
            alt.X("skewness:Q"),
            alt.Y("kurtosis:Q"),
            opacity=alt.condition("datum.in_selection", alt.value(0.9), alt.value(0.1)),
        )
    )
    assert read(shown).bright.tolist() == table["in_selection"].tolist()


def test_points_without_a_place_on_a_log_axis_are_left_out():
    table = cloud_app.table(N).assign(kurtosis=np.arange(N) - 10.0)
    found = read(cloud_app.chart(table, log=True, brush=False))
    assert found.table["feature"].tolist() == list(range(11, N))


@pytest.mark.parametrize("mark", ["line", "bar", "tick", "rect", "area"])
def test_charts_of_other_marks_are_no_clouds(mark):
    points = alt.Chart(cloud_app.table(N)).encode(alt.X("skewness:Q"), alt.Y("kurtosis:Q"))
    assert read(points.mark_circle()) is not None
    assert read(getattr(points, f"mark_{mark}")()) is None
    assert read(alt.layer(points.mark_circle(), getattr(points, f"mark_{mark}")())) is None
    assert read(alt.hconcat(points.mark_circle(), points.mark_circle())) is None
    assert read(points.mark_circle().encode(alt.X("kind:N"))) is None


@pytest.mark.parametrize("log", [False, True])
def test_a_ramp_goes_from_the_least_value_to_the_largest(log):
    table = pd.DataFrame({"x": np.arange(N), "y": np.arange(N), "c": np.linspace(1, 100, N)})
    table.loc[5, "c"] = np.nan
    scale = alt.Scale(range=["#000000", "#ffffff"], type="log" if log else "linear")
    shown = alt.Chart(table).mark_circle().encode(alt.X("x:Q"), alt.Y("y:Q"), alt.Color("c:Q").scale(scale).title("C"))
    colours = read(shown).colours
    assert [colours.index[0], colours.index[-1], colours.index[5]] == [0, 254, 255]
    middle = np.flatnonzero(colours.index == 127).mean()
    assert table["c"][round(middle)] == pytest.approx(10 if log else 50.5, rel=0.02)
    assert (colours.ends, colours.title, colours.log) == (("1", "100"), "C", log)
