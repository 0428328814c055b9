"""The feature map in headless Chromium: what the pointer and the keys do, and what is drawn."""

import io

import numpy as np
import pytest
from playwright.sync_api import expect

from core.maths.polygon import inside
from tests.browser.chromium import TIMEOUT_MS, serve
from tests.feature_map import feature_map_app

pytestmark = pytest.mark.e2e
N = 600
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")
NO_WEBGL = """const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === "webgl2" ? null : get.call(this, kind, ...rest);
};"""


@pytest.fixture(scope="module")
def url(browser):
    with serve("tests/feature_map/feature_map_app.py") as found:
        yield found


@pytest.fixture
def page(browser):
    """A page that counts what the server sends, and fails the test if anything leaves the machine."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.left_machine, page.errors, page.received = [], [], [0]
    page.on("request", lambda request: request.url.startswith(LOCAL) or page.left_machine.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("websocket", lambda ws: ws.on("framereceived", lambda data: page.received.append(len(data))))
    yield page
    assert page.left_machine == []
    assert page.errors == []
    context.close()


def open_map(page, url: str, query: str = "show=1", n: int = N):
    """Open the page and wait for the first frame; return the map's stage."""
    page.goto(f"{url}/?n={n}&{query}")
    stage = page.locator(".stage[data-frames]").first
    stage.wait_for()
    return stage


def view(stage) -> tuple[float, float, float]:
    """Centre and scale of the map, as it says itself."""
    return tuple(map(float, stage.get_attribute("data-view").split()))


def wait_for_view(page, stage, *expected: float) -> None:
    """Wait until centre and scale are as expected, to a thousandth."""
    reached = "e.dataset.view.split(' ').every((value, i) => Math.abs(value - expected[i]) < 0.001)"
    page.wait_for_function(f"([e, expected]) => {reached}", arg=[stage.element_handle(), list(expected)])


def to_page(stage, x: float, y: float) -> tuple[float, float]:
    box, (cx, cy, scale) = stage.bounding_box(), view(stage)
    return box["x"] + box["width"] / 2 + (x - cx) * scale, box["y"] + box["height"] / 2 - (y - cy) * scale


def to_data(stage, px: float, py: float) -> list[float]:
    box, (cx, cy, scale) = stage.bounding_box(), view(stage)
    return [(px - box["x"] - box["width"] / 2) / scale + cx, (box["y"] + box["height"] / 2 - py) / scale + cy]


def pixels(stage) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(stage.screenshot())).convert("RGB")).astype(int)


def lasso(page, stage, shape: list[tuple[float, float]]) -> list[list[float]]:
    """Draw a lasso with the given corners, in pixels from the map's middle; return it in data units."""
    box = stage.bounding_box()
    corners = [(box["x"] + box["width"] / 2 + dx, box["y"] + box["height"] / 2 + dy) for dx, dy in shape]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=5)
    page.mouse.up()
    return [to_data(stage, *corner) for corner in corners]


def lone_row() -> int:
    """A row that no other is near to."""
    points = feature_map_app.points(N)
    x, y = points.x[points.shown], points.y[points.shown]
    apart = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    np.fill_diagonal(apart, np.inf)
    return int(points.shown[apart.min(axis=1).argmax()])


def test_points_are_drawn_and_follow_the_theme(page, url):
    stage = open_map(page, url)
    light = pixels(stage)
    assert (light[-20, 20] > 240).all()
    assert ((light.max(axis=2) - light.min(axis=2)) > 60).sum() > 5_000  # coloured, as points are and text is not
    frames = int(stage.get_attribute("data-frames"))
    page.emulate_media(color_scheme="dark")
    expect(stage).not_to_have_attribute("data-frames", str(frames))
    page.wait_for_timeout(200)
    dark = pixels(stage)
    assert (dark[-20, 20] < 40).all()
    assert ((dark.max(axis=2) - dark.min(axis=2)) > 60).sum() > 5_000


def test_the_wheel_zooms_at_the_cursor_and_the_keys_move(page, url):
    stage = open_map(page, url)
    box, before = stage.bounding_box(), view(stage)
    cursor = round(box["x"]) + 200, round(box["y"]) + 150  # wheel events count in whole pixels
    under = to_data(stage, *cursor)
    page.mouse.move(*cursor)
    page.mouse.wheel(0, -400)
    expect(stage).not_to_have_attribute("data-view", " ".join(map(str, before)))
    assert view(stage)[2] > 1.5 * before[2]
    assert to_data(stage, *cursor) == pytest.approx(under, abs=1e-6)
    stage.focus()
    at = view(stage)
    page.keyboard.press("ArrowRight")
    wait_for_view(page, stage, at[0] + 40 / at[2], at[1], at[2])
    page.keyboard.press("0")
    wait_for_view(page, stage, *before)


def test_the_keyboard_reaches_the_map_picks_with_it_and_leaves_it(page, url):
    stage = open_map(page, url)
    page.get_by_label("Feature", exact=True).focus()
    for _ in range(12):
        page.keyboard.press("Tab")
        if stage.evaluate("e => e.getRootNode().activeElement === e"):
            break
    expect(stage).to_be_focused()
    expect(stage).to_have_attribute("role", "application")
    assert stage.get_attribute("aria-label")
    assert "Arrow keys" in stage.get_attribute("aria-description")
    before = view(stage)
    for key in ("+", "+", "-", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    x, y, scale = before
    wait_for_view(page, stage, x - 32 / scale, y + 32 / scale, scale * 1.25)

    said = page.locator(".said").first
    expect(said).to_contain_text("Feature ")
    points = feature_map_app.points(N)
    x, y, _ = view(stage)
    aimed = points.shown[np.hypot(points.x[points.shown] - x, points.y[points.shown] - y).argmin()]
    assert said.text_content().splitlines()[0] == f"Feature {aimed}"
    page.keyboard.press("Enter")
    expect(page.get_by_label("Feature", exact=True)).to_have_value(str(aimed))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Move", exact=True)).to_be_focused()
    expect(said).to_be_empty()


def test_hover_shows_the_label_as_text_and_a_click_picks_the_feature(page, url):
    stage, row = open_map(page, url), lone_row()
    points = feature_map_app.points(N)
    place = to_page(stage, points.x[row], points.y[row])
    page.mouse.move(*place)
    tip = page.locator(".tip").first
    tip.wait_for()
    assert tip.inner_text().splitlines() == [f"Feature {row}", f"token {row} <b>&", f"Group: group {row % 12}"]
    assert tip.locator("*").count() == 0
    received = len(page.received)
    page.mouse.click(*place)
    expect(page.get_by_label("Feature", exact=True)).to_have_value(str(row))
    page.get_by_text(f"clicked {row}", exact=True).wait_for()
    assert sum(page.received[received:]) < 15_000  # the points, 20 kB and more, do not come again


def test_a_lasso_selects_what_python_says_lies_inside_and_escape_removes_it(page, url):
    stage, points = open_map(page, url), feature_map_app.points(N)
    page.get_by_role("button", name="Lasso", exact=True).click()
    outline = lasso(page, stage, [(-150, -200), (200, -120), (0, 0), (180, 160), (-160, 140)])
    expected = np.flatnonzero(inside(points.x, points.y, outline))
    assert 20 < len(expected) < N - 20
    page.get_by_text(f"{len(expected)} rows, sum {expected.sum()}", exact=True).wait_for()
    page.wait_for_timeout(300)
    greyed = pixels(stage)
    stage.focus()
    page.keyboard.press("Escape")
    page.get_by_text(f"{N} rows, sum {N * (N - 1) // 2}", exact=True).wait_for()
    page.wait_for_timeout(300)
    coloured = [((image.max(axis=2) - image.min(axis=2)) > 60).sum() for image in (greyed, pixels(stage))]
    assert coloured[0] < 0.8 * coloured[1]


def test_the_animation_moves_along_its_steps(page, url):
    stage = open_map(page, url, "animate=1")
    slider = page.locator(".film input")
    assert page.locator(".film output").inner_text() == "Layer 0"
    still = pixels(stage)
    slider.fill("0.5")
    assert page.locator(".film output").inner_text() == "Layer 0 → Layer 1"
    page.wait_for_timeout(200)
    assert (pixels(stage) != still).any(axis=2).sum() > 3_000
    slider.fill("1.6")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".film output")).to_have_text("Layer 2")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_lost_context_comes_back(page, url):
    stage = open_map(page, url)
    canvas = page.locator("canvas.points").first
    before = pixels(stage)
    canvas.evaluate(
        "c => { window.lost = c.getContext('webgl2').getExtension('WEBGL_lose_context'); lost.loseContext() }"
    )
    page.get_by_text("waiting for it").first.wait_for()
    page.evaluate("lost.restoreContext()")
    page.locator(".message").first.wait_for(state="hidden")
    page.wait_for_timeout(300)
    assert np.abs(pixels(stage) - before).mean() < 1


def test_without_webgl_a_chart_takes_the_maps_place(page, url):
    page.add_init_script(NO_WEBGL)
    page.goto(f"{url}/?n={N}&show=1")
    page.get_by_text("This browser has no WebGL, so the map is a simpler chart").wait_for()
    page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for()
    assert page.locator(".stage").count() == 0
