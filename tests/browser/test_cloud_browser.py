"""A chart of a whole dictionary in headless Chromium: its ticks, its tooltip, a click, a rectangle, and the wheel."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import TIMEOUT_MS, serve
from tests.house import cloud_app
from ui.shared.cloud.read import read

pytestmark = pytest.mark.e2e
N = 6000
MARGINS = {"left": 66, "top": 34, "right": 14, "bottom": 46}
"""Pixels around the points, as axes.js leaves them."""


@pytest.fixture(scope="module")
def url(browser):
    with serve("tests/house/cloud_app.py") as found:
        yield found


@pytest.fixture
def stage(browser, url):
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{url}/?n={N}&log=1")
    found = page.locator(".stage[data-ticks]").first
    found.wait_for()
    yield found
    assert errors == []
    context.close()


def cloud():
    return read(cloud_app.chart(cloud_app.table(N), log=True))


def pixel(stage, x: float, y: float) -> tuple[float, float]:
    """Where two values lie in the stage while all of the chart is shown."""
    box, shown = stage.bounding_box(), cloud()
    width = box["width"] - MARGINS["left"] - MARGINS["right"]
    height = box["height"] - MARGINS["top"] - MARGINS["bottom"]
    across, up = float(shown.x.units([x])[0]), float(shown.y.units([y])[0])
    return MARGINS["left"] + across * width, MARGINS["top"] + (1 - up) * height


def on_page(stage, x: float, y: float) -> tuple[float, float]:
    box, (px, py) = stage.bounding_box(), pixel(stage, x, y)
    return box["x"] + px, box["y"] + py


def test_ticks_stand_where_their_values_are(stage):
    ticks = json.loads(stage.get_attribute("data-ticks"))
    fifths = [n / 5 for n in range(-5, 6)]
    assert [value for axis, value, _ in ticks if axis == "x"] == pytest.approx(fifths, abs=1e-9)
    assert [value for axis, value, _ in ticks if axis == "y"] == pytest.approx([0.01, 0.1, 1, 10, 100, 1000])
    for axis, value, at in ticks:
        expected = pixel(stage, value, 1)[0] if axis == "x" else pixel(stage, 0, value)[1]
        assert at == pytest.approx(expected, abs=0.01)


def test_a_point_says_what_it_is_and_a_click_picks_it(stage):
    page, row = stage.page, 7
    place = on_page(stage, 0.9, 0.02)
    page.mouse.move(*place)
    tip = page.locator(".tip").first
    expect(tip).to_have_text(f"Feature: {row}\nkind: many <b>&\nKurtosis: 0.02\ntoken:  t{row}", use_inner_text=True)
    assert tip.locator("*").count() == 0
    page.mouse.click(*place)
    page.get_by_text("told {'point': [{'feature': 7}]}", exact=True).wait_for()


def test_a_rectangle_tells_its_ends_and_escape_removes_it(stage):
    page = stage.page
    page.mouse.move(*on_page(stage, -0.4, 1))
    page.mouse.down()
    page.mouse.move(*on_page(stage, 0.3, 100), steps=4)
    page.mouse.up()
    told = page.get_by_text("told {'brush'")
    told.wait_for()
    found = eval(told.inner_text().removeprefix("told "))["brush"]
    assert found["skewness"] == pytest.approx([-0.4, 0.3], abs=0.01)
    assert found["kurtosis"] == pytest.approx([1, 100], rel=0.05)
    stage.focus()
    page.keyboard.press("Escape")
    page.get_by_text("told {}", exact=True).wait_for()


def test_the_wheel_belongs_to_the_page_and_zooms_with_ctrl(stage):
    page = stage.page
    before, ticks = stage.get_attribute("data-view"), stage.get_attribute("data-ticks")
    page.mouse.move(*on_page(stage, 0.2, 1))
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(300)
    assert stage.get_attribute("data-view") == before
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    expect(stage).not_to_have_attribute("data-view", before)
    assert stage.get_attribute("data-ticks") != ticks
    stage.focus()
    page.keyboard.press("0")
    expect(stage).to_have_attribute("data-ticks", ticks)
