"""The app in headless Chromium: what no other test sees (layout, links, requests, colours)."""

from contextlib import suppress

import pytest
from playwright.sync_api import TimeoutError as BrowserTimeoutError
from playwright.sync_api import expect

from tests.browser.chromium import FIGURE, wait_until_drawn
from tests.browser.conftest import ROOT
from tests.doubles import planted_pages
from ui.shell.router import page_files

pytestmark = pytest.mark.e2e


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


def test_a_link_leads_to_its_own_feature_whichever_is_picked(planted_url, page):
    page.goto(f"{planted_url}/?feature={planted_pages.NEWCOMER}")
    wait_until_drawn(page)
    card = page.locator(f"[data-testid=stPageLink] a[href*='feature={planted_pages.POSITIONAL}']").first
    card.click()
    page.wait_for_url(lambda url: url.count("feature=") == 1 and f"feature={planted_pages.POSITIONAL}" in url)
    expect(page.get_by_label("Feature", exact=True).first).to_have_value(str(planted_pages.POSITIONAL))


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
