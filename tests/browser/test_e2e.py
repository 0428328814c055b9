"""The app in headless Chromium: what no other test sees (layout, links, requests, colours)."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as BrowserTimeoutError
from playwright.sync_api import expect

from tests.browser.chromium import FIGURE, TIMEOUT_MS, chromium_path, open_browser, wait_until_drawn
from tests.doubles import planted_pages
from ui.shell.router import page_files

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")
pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def browser():
    if not chromium_path():
        if os.environ.get("LOUPE_REQUIRE_BROWSER"):
            pytest.fail("Chromium is required here (LOUPE_REQUIRE_BROWSER is set) and was not found.")
        pytest.skip("no Chromium on this machine; install it to run the browser tests")
    with open_browser() as found:
        yield found


@pytest.fixture
def serve(tmp_path):
    """Return a function that starts a fresh server for a planted workspace and returns its URL."""
    running = []

    def start(arguments: list[str] | None = None) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
        command += ["--server.headless", "true", "--", *(arguments or [])]
        log = open(tmp_path / "server.log", "w")  # noqa: SIM115 (closed with the process)
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        running.append((server, log))
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                if urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).read() == b"ok":
                    return url
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not start: " + (tmp_path / "server.log").read_text()[-2000:])

    yield start
    for server, log in running:
        server.terminate()
        server.wait(20)
        log.close()


@pytest.fixture
def planted_url(serve, tmp_path):
    planted_pages.write_workspace(tmp_path)
    return serve(planted_pages.arguments(tmp_path))


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.left_machine = []
    page.on("request", lambda request: request.url.startswith(LOCAL) or page.left_machine.append(request.url))
    yield page
    context.close()


def test_a_deep_link_may_be_the_very_first_request(planted_url, page):
    page.goto(f"{planted_url}/positions?tab=Feature+by+position&feature={planted_pages.POSITIONAL}")
    wait_until_drawn(page)
    assert page.locator("h1").inner_text() == "Positional features"
    assert page.locator("[role=dialog]").count() == 0
    page.get_by_text(f"Feature {planted_pages.POSITIONAL} by position").wait_for()
    page.get_by_label("Dictionary").first.wait_for()
    assert page.left_machine == []


def test_a_click_in_the_heatmap_picks_the_feature_and_writes_it_into_the_url(planted_url, page):
    page.goto(f"{planted_url}/positions")
    wait_until_drawn(page)
    cell = page.locator("[data-testid=stVegaLiteChart] svg .mark-rect path").first
    for _ in range(6):  # a click on a chart that is just being drawn again is lost
        cell.click()
        with suppress(BrowserTimeoutError):
            page.wait_for_url("**feature=*", timeout=15_000)
            break
    assert "feature=" in page.url
    picked = page.url.partition("feature=")[2].partition("&")[0]
    expect(page.get_by_label("Feature", exact=True)).to_have_value(picked)
    assert page.left_machine == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_page_keep_their_contrast_in_both_themes(planted_url, browser, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1400, "height": 950})
    page = context.new_page()
    page.goto(planted_url)
    wait_until_drawn(page)
    script = "(sel, what) => getComputedStyle(document.querySelector(sel))[what]"
    ground = page.evaluate(f"({script})('.stApp', 'backgroundColor')")
    text = page.evaluate(f"({script})('h1', 'color')")
    context.close()
    brightness = [sum(int(v) for v in colour[4:-1].split(",")[:3]) for colour in (ground, text)]
    assert abs(brightness[0] - brightness[1]) > 400
    assert (brightness[0] > 380) == (scheme == "light")


def test_the_demo_opens_on_a_finding_that_leads_to_its_charts(serve, page):
    if not (ROOT / "demo" / "dictionaries" / "index.json").exists():
        pytest.skip("the demo dictionaries are not there")
    page.goto(serve())
    page.get_by_text("173 of 2,048 features follow position.").wait_for()
    page.locator("[data-testid=stPageLink] a", has_text="Positions").click()
    page.wait_for_url("**/positions?*feature=610*")
    page.get_by_text("Mean activation by position").wait_for()
    page.wait_for_function(f"document.querySelectorAll('{FIGURE}').length >= 3")
    assert page.left_machine == []


def test_every_page_opens_from_the_navigation_with_the_same_feature_and_asks_nobody(planted_url, page):
    page.goto(f"{planted_url}/positions?feature={planted_pages.NEWCOMER}")
    wait_until_drawn(page)
    for file in page_files():
        page.locator("[data-testid=stSidebarNav] a", has_text=file.title).first.click()
        address = file.path.stem if file.order else "?"  # the first page stands at the root
        page.wait_for_url(f"**/{address}*")
        wait_until_drawn(page)
        expect(page.get_by_label("Feature", exact=True).first).to_have_value(str(planted_pages.NEWCOMER))
    assert page.left_machine == []
