"""Every tab of every page in headless Chromium, wide and narrow: nothing fails, leaves the machine or is cut off.

Each tab keeps the rules of axe-core in the dark theme; test_accessibility asks first tabs in both.
"""

import pytest
from axe_playwright_python.base import AXE_FILE_PATH

from tests.browser.axe import MAIN, broken
from tests.browser.chromium import TIMEOUT_MS, wait_until_settled
from tests.browser.conftest import LOCAL
from ui.shell.router import page_files

pytestmark = pytest.mark.e2e
WIDTHS = (1400, 700)
PROBED = "_stcore/"
"""Streamlit asks for its own addresses below each page first, and is told that they are not there."""
CUT_OFF = """() => {
  const SCROLLS = "[class*=st-key-scrolls_]";
  const faults = [];
  const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getBoundingClientRect().width > 0;
  const say = (what, e) => faults.push(`${what}: ${(e.textContent || "").trim().slice(0, 80)}`);
  const whole = "[data-testid=stMetricValue], [data-testid=stMetricLabel], [data-testid=stCaptionContainer]";
  const labels = `${whole}, [data-testid=stMain] button, [data-testid=stMain] [data-testid=stMarkdownContainer]`;
  for (const e of document.querySelectorAll(labels))
    for (const part of [e, ...e.querySelectorAll("*")]) {
      const { overflowX } = getComputedStyle(part);
      const hides = overflowX === "hidden" || overflowX === "clip";
      if (shown(part) && hides && part.clientWidth && part.scrollWidth > part.clientWidth + 1) say("cut off", part);
    }
  for (const chart of document.querySelectorAll("[data-testid=stVegaLiteChart]")) {
    if (["auto", "scroll"].includes(getComputedStyle(chart.closest(SCROLLS) ?? chart).overflowX)) continue;
    const frame = chart.getBoundingClientRect();
    for (const drawing of chart.querySelectorAll("svg, canvas"))
      if (drawing.getBoundingClientRect().right > frame.right + 2) say("wider than its frame", chart);
    for (const text of chart.querySelectorAll("svg text")) {
      const { left, right, width } = text.getBoundingClientRect();
      if (width && (left < frame.left - 2 || right > frame.right + 2)) say("outside its chart", text);
    }
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth + 1) faults.push(`the page is ${scrollWidth} wide, its window ${clientWidth}`);
  return [...new Set(faults)];
}"""

PATIENCE_MS = 10_000
"""A chart draws itself anew some time after its frame has changed: what is cut off then must not stay so."""
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def visitor(browser):
    """A page that keeps what went wrong in it."""
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 950}, color_scheme="dark")
    context.add_init_script(path=AXE_FILE_PATH)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.faults = []
    page.on("request", lambda request: request.url.startswith(LOCAL) or page.faults.append(f"asked {request.url}"))
    page.on("pageerror", lambda error: page.faults.append(f"failed: {error}"))
    page.on("console", lambda said: page.faults.append(said.text) if _is_error(said) else None)
    yield page
    context.close()


def _is_error(said) -> bool:
    return said.type == "error" and PROBED not in said.location.get("url", "")


def tabs(page) -> list[str]:
    return [tab.inner_text() for tab in page.get_by_role("tab").all()]


def look(page, tab: str, patience_ms: int = PATIENCE_MS) -> None:
    """Note what is cut off at each width, and stays so."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 950})
        page.evaluate(TWO_FRAMES)  # after the first the layout is new, after the second what follows it
        page.faults += [f"{tab}, {width} px: {fault}" for fault in _lasting_faults(page, patience_ms)]
    page.set_viewport_size({"width": WIDTHS[0], "height": 950})


def _lasting_faults(page, patience_ms: int) -> list[str]:
    from playwright.sync_api import TimeoutError as BrowserTimeoutError

    try:
        page.wait_for_function(f"() => !({CUT_OFF})().length", timeout=patience_ms)
    except BrowserTimeoutError:
        return page.evaluate(CUT_OFF)
    return []


@pytest.mark.parametrize("file", page_files(), ids=lambda file: file.path.stem)
def test_nothing_on_a_page_fails_is_cut_off_or_breaks_a_rule(shared_url, visitor, file):
    visitor.goto(f"{shared_url}/{file.path.stem if file.order else ''}")
    wait_until_settled(visitor)
    look(visitor, "first view")
    for name in tabs(visitor)[1:]:
        visitor.get_by_role("tab", name=name, exact=True).click()
        wait_until_settled(visitor)
        look(visitor, name)
        visitor.faults += [f"{name}: {fault}" for fault in broken(visitor, MAIN)]
    assert visitor.faults == []


def test_the_check_notices_what_is_cut_off(visitor):
    narrow = "overflow: hidden; white-space: nowrap; width"
    visitor.set_content(
        f"<main data-testid=stMain><button style='{narrow}: 40px'>Far too long</button>"
        f"<button style='{narrow}: 400px'>Short</button></main>"
        "<div data-testid=stVegaLiteChart style='width: 50px'>"
        "<svg width=50 style='overflow: visible'><text x=40 y=20>tick</text></svg></div>"
        "<div data-testid=stVegaLiteChart style='width: 50px'><svg width=90></svg>wide</div><hr style='width: 3000px'>"
    )
    look(visitor, "tab", patience_ms=200)
    kinds = [fault.removeprefix("tab, 1400 px: ") for fault in visitor.faults if ", 1400" in fault]
    assert kinds[:3] == ["cut off: Far too long", "outside its chart: tick", "wider than its frame: wide"]
    assert kinds[3].startswith("the page is 30")


def test_a_chart_that_follows_its_frame_late_is_whole(visitor):
    visitor.set_content(
        "<main data-testid=stMain></main><div data-testid=stVegaLiteChart style='width: 50px'>"
        "<svg width=50 style='overflow: visible'><text x=40 y=20>tick</text></svg></div>"
        "<script>setTimeout(() => document.querySelector('text').setAttribute('x', 0), 600)</script>"
    )
    look(visitor, "tab")
    assert visitor.faults == []
