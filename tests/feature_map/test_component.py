"""The Python side of the feature map: what is sent to the browser, and what is made of its answers."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.maths.polygon import inside
from tests.doubles import pages
from tests.feature_map import feature_map_app
from ui.feature_map import component
from ui.feature_map.component import MapPoints, by_group, by_value, fallback
from ui.feature_map.component.colours import GROUP_COLOURS, MISSING
from ui.shared import webgl

APP = Path(feature_map_app.__file__)
FOLDER = Path(webgl.__file__).parent
N = 600
LASSO = [[-20, -20], [0, -20], [5, 5], [0, 20], [-20, 20]]


def unpack(data: bytes) -> dict:
    """Read a message as the browser does, by Python's struct alone."""
    behind = 4 + struct.unpack_from("<I", data)[0]
    message = json.loads(data[4:behind])
    for block in message["blocks"]:
        assert (behind + block["offset"]) % 4 == 0
        code = {"f4": "f", "i4": "i", "u1": "B"}[block["type"]]
        message[block["name"]] = list(struct.unpack_from(f"<{block['length']}{code}", data, behind + block["offset"]))
    return message


def open_map(**query) -> AppTest:
    return pages.run(APP, {"n": N, "show": 1} | query)


def messages(at: AppTest) -> dict[str, dict]:
    assert not at.exception
    found = [unpack(element.proto.bytes) for element in at.get("bidi_component")]
    return {message["kind"]: message for message in found}


def answer(at: AppTest, state: dict) -> AppTest:
    """Run again with what the browser would send."""
    at.session_state["map"] = state
    return at.run()


def test_points_arrive_in_single_precision_without_those_that_have_no_place():
    sent, points = messages(open_map())["points"], feature_map_app.points(N)
    kept = np.arange(N) % 10 > 0
    assert sent["n"] == kept.sum()
    rows = sent["feature"]  # in this script, a feature's number is its row
    assert sorted(rows) == np.flatnonzero(kept).tolist()
    assert sent["x"] == points.x[rows].astype(np.float32).tolist()
    assert sent["y"] == points.y[rows].astype(np.float32).tolist()
    assert json.loads(bytes(sent["labels"])) == [f"token {row} <b>&" for row in rows]


def test_points_come_in_an_order_by_chance_that_is_the_same_each_time():
    points = feature_map_app.points(N)
    again = MapPoints(points.x, points.y, points.feature, points.labels)
    assert points.shown.tolist() == again.shown.tolist()
    assert points.digest == again.digest
    assert abs(np.median(points.shown[:100]) - N / 2) < N / 8


def test_colours_and_marks_come_apart_from_the_points():
    found = messages(open_map(highlight=1))
    assert list(found) == ["points", "colours", "marks"]
    rows = np.array(found["points"]["feature"])
    assert found["colours"]["colour"] == (rows % feature_map_app.CENTRES % GROUP_COLOURS).tolist()
    assert found["colours"]["value"] == (rows % feature_map_app.CENTRES).tolist()
    bright = np.unpackbits(np.array(found["marks"]["bright"], np.uint8))[: found["marks"]["n"]]
    assert np.flatnonzero(bright).tolist() == np.flatnonzero(rows < 30).tolist()
    assert {message["map"] for message in found.values()} == {"map"}


def test_another_feature_or_colour_leaves_the_points_message_as_it_is():
    at = open_map()
    before = [element.proto.bytes for element in at.get("bidi_component")]
    at.number_input(key="feature").set_value(7).run()
    picked = [element.proto.bytes for element in at.get("bidi_component")]
    assert [a == b for a, b in zip(before, picked, strict=True)] == [True, True, False]
    assert [unpack(before[2])["picked"], unpack(picked[2])["picked"]] == [
        [],
        [feature_map_app.points(N).sent[7]],
    ]  # 0 is not drawn
    at.segmented_control(key="how").set_value("Density").run()
    coloured = [element.proto.bytes for element in at.get("bidi_component")]
    assert [a == b for a, b in zip(picked, coloured, strict=True)] == [True, False, True]


def test_a_lasso_selects_what_lies_inside_and_goes_on_being_drawn():
    at = open_map()
    digest = messages(at)["points"]["digest"]
    at = answer(at, {"lasso": {"polygon": LASSO, "digest": digest}})
    points = feature_map_app.points(N)
    expected = inside(points.x, points.y, LASSO)
    assert 0 < expected.sum() < N
    assert at.text[0].value == f"{expected.sum()} rows, sum {np.flatnonzero(expected).sum()}"
    marks = messages(at)["marks"]
    assert marks["polygon"] == LASSO
    assert np.unpackbits(np.array(marks["bright"], np.uint8)).sum() == expected.sum()


def test_a_lasso_and_a_highlight_meet():
    at = open_map(highlight=1)
    at = answer(at, {"lasso": {"polygon": LASSO, "digest": messages(at)["points"]["digest"]}})
    expected = np.flatnonzero(inside(feature_map_app.points(N).x, feature_map_app.points(N).y, LASSO)[:30])
    assert at.text[0].value == f"{len(expected)} rows, sum {expected.sum()}"


def test_what_was_done_on_another_layout_is_not_taken_for_this_one():
    at = answer(open_map(), {"lasso": {"polygon": LASSO, "digest": "other"}, "point": {"point": 5, "digest": "other"}})
    assert [text.value for text in at.text] == [f"{N} rows, sum {N * (N - 1) // 2}", "clicked None"]


@pytest.mark.parametrize(
    ("point", "row"), [(0, 0), (539, 539), (540, None), (-1, None), ("1", None), (1.5, None), (None, None), ([], None)]
)
def test_a_click_is_a_row_of_the_points_or_nothing(point, row):
    points = feature_map_app.points(N)
    expected = None if row is None else points.shown[row]
    assert component._row(points, {"point": point, "digest": points.digest}) == expected


@pytest.mark.parametrize("state", [3, "x", [], {}, None, {"point": 1, "polygon": LASSO}])
def test_answers_of_another_shape_are_nothing(state):
    assert component._row(feature_map_app.points(N), state) is None
    assert component._polygon(feature_map_app.points(N), state) is None


def test_a_lasso_that_is_no_polygon_is_an_error_a_person_can_read():
    at = open_map()
    at = answer(at, {"lasso": {"polygon": [[0, 0]] * 5000, "digest": messages(at)["points"]["digest"]}})
    assert "got 5000 entries" in at.error[0].value


def test_an_animation_goes_in_steps_and_points_without_a_match_stay_and_fade():
    points = feature_map_app.animation(N)
    sent = messages(open_map(animate=1))["points"]
    assert [step["title"] for step in sent["steps"]] == ["Layer 0", "Layer 1", "Layer 2"]
    assert [(step["start"], step["stop"]) for step in sent["steps"]] == [(0, 540), (540, 1080), (1080, 1620)]
    rows = points.shown
    assert sent["feature"] == (rows % N).tolist()
    fades = np.array(sent["fades"], bool)
    assert fades.tolist() == (rows % N % 3 == 0).tolist()
    moved = np.array(sent["to_x"]) - np.array(sent["x"])
    assert not moved[fades].any()
    assert moved[~fades] == pytest.approx(4, abs=1e-5)


def test_links_join_drawn_points_only():
    points = MapPoints(
        np.array([0, 1, np.nan, 3.0]), np.zeros(4), np.arange(4), links=np.array([[0, 1], [1, 2], [3, 1]])
    )
    pairs = points.shown[points.arrays["links"]].reshape(-1, 2)
    assert pairs.tolist() == [[0, 1], [3, 1]]


def test_half_a_surrogate_pair_in_a_label_does_not_stop_the_map():
    points = MapPoints(np.zeros(1), np.zeros(1), np.arange(1), labels=["\ud83d"])
    assert json.loads(points.arrays["labels"].tobytes()) == ["\ufffd"]


def test_values_are_coloured_evenly_between_percentiles_and_on_a_log_scale_if_they_span_far():
    values = np.concatenate([np.linspace(0, 1, 1001), [1e9, np.nan, np.inf]])
    colours = by_value(values, "Value")
    assert not colours.log
    assert colours.ramp[1].startswith("≥ 0.99")
    assert colours.index[[-3, -2, -1]].tolist() == [254, MISSING, MISSING]
    assert colours.missing == 2
    assert colours.index[500] == pytest.approx(127, abs=3)
    assert (np.diff(colours.index[:1001].astype(int)) >= 0).all()
    far = by_value(np.logspace(-4, 0, 401), "Density")
    assert far.log
    assert far.index[200] == pytest.approx(127, abs=2)


def test_numbers_that_span_orders_of_magnitude_keep_a_log_scale_though_some_are_zero():
    colours = by_value(np.concatenate([np.zeros(50), np.logspace(-4, 0, 401)]), "Density", log=True)
    assert colours.log
    assert colours.index[[0, 50]].tolist() == [0, 0]
    assert colours.index[250] == pytest.approx(127, abs=2)
    assert colours.ramp[0].startswith("≤ ")
    assert not by_value(np.array([1.0, 1.1, 1.2]), "Kurtosis", log=True).log
    assert not by_value(np.zeros(3), "Density", log=True).log


@pytest.mark.parametrize("values", [np.full(3, 2.0), np.full(3, np.nan), np.array([0.0, 0.0, 5.0]), np.empty(0)])
def test_values_without_a_range_still_have_a_colour(values):
    colours = by_value(values, "Value")
    assert len(colours.index) == len(values)
    assert ((colours.index == MISSING) == np.isnan(values)).all()


def test_more_groups_than_colours_take_them_in_turn_and_no_group_is_grey():
    colours = by_group(np.array([-1, 0, GROUP_COLOURS, 1]), [str(i) for i in range(GROUP_COLOURS + 1)], "Cluster")
    assert colours.index.tolist() == [MISSING, 0, 0, 1]
    assert np.isnan(colours.values[0])


def test_without_webgl_a_chart_of_a_sample_takes_the_maps_place():
    at = pages.run(APP, {"n": 6000, "show": 1}, _map_without_webgl=True)
    assert not at.exception
    assert not at.get("bidi_component")
    assert len(at.get("vega_lite_chart")) == 1
    assert "400 of 5,400 points are left out" in at.caption[0].value
    at.session_state["map-chart"] = {"selection": {"box": {"x": [-20, 0], "y": [20, -20]}}}
    at.run()
    points = feature_map_app.points(6000)
    expected = np.flatnonzero(inside(points.x, points.y, [[-20, -20], [0, -20], [0, 20], [-20, 20]]))
    assert at.text[0].value == f"{len(expected)} rows, sum {expected.sum()}"
    at.button(key="map-again").click().run()
    assert len(at.get("bidi_component")) == 3


def test_the_sample_keeps_what_is_picked_and_highlighted_and_is_the_same_each_time():
    rows = np.arange(20_000)
    highlighted = rows % 10 == 0
    chosen = fallback.sample(rows, highlighted, [7])
    assert len(chosen) == fallback.MOST_POINTS
    assert 7 in chosen
    assert np.isin(rows[highlighted], chosen).all()
    assert chosen.tolist() == fallback.sample(rows, highlighted, [7]).tolist()


def test_the_browser_code_writes_no_html_and_fetches_nothing():
    for path in FOLDER.glob("*.js"):
        text = path.read_text()
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "fetch(", "http:", "https:", "eval("):
            assert forbidden not in text, f"{forbidden} in {path.name}"
