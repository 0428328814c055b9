"""Back and Forward in the browser: one step for each thing that a person did."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import type_feature, wait_until_drawn
from tests.browser.conftest import ROOT
from tests.doubles import planted_pages
from ui.matching import picker
from ui.shared import picked_feature
from ui.studies import second_dictionary

pytestmark = pytest.mark.e2e


def test_the_steps_are_named_as_the_widgets_are():
    script = (ROOT / "ui" / "shell" / "history.js").read_text(encoding="utf-8")
    names = json.loads(re.search(r"PLACES = (.*);", script)[1])
    assert names == ["sae", second_dictionary.KEY, picked_feature.KEY, picker.B_KEY, "tab"]


def feature_field(page):
    return page.get_by_label("Feature", exact=True).first


def pick(page, feature):
    type_feature(page, feature)
    wait_until_drawn(page)


def open_tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_url("**tab=*")
    wait_until_drawn(page)


def test_back_and_forward_walk_through_picks_tabs_and_pages(planted_url, page):
    first, second = 1, planted_pages.NEWCOMER
    page.goto(f"{planted_url}/positions")
    wait_until_drawn(page)
    pick(page, first)
    pick(page, second)
    open_tab(page, "Feature by position")
    page.locator("[data-testid=stSidebarNav] a", has_text="Geometry").first.click()
    page.wait_for_url("**/geometry*")
    wait_until_drawn(page)

    tab = page.get_by_role("tab", selected=True)
    for feature, name in ((second, "Feature by position"), (second, "Heatmap"), (first, "Heatmap")):
        page.go_back()
        expect(page.locator("h1")).to_have_text("Positional features")
        expect(feature_field(page)).to_have_value(str(feature))
        expect(tab).to_have_text(name)
        wait_until_drawn(page)
    page.go_forward()
    expect(feature_field(page)).to_have_value(str(second))


def test_what_a_page_suggests_is_no_step_of_its_own(planted_url, page):
    page.goto(planted_url)
    wait_until_drawn(page)
    page.locator("[data-testid=stSidebarNav] a", has_text="Positions").first.click()
    page.wait_for_url("**/positions?*feature=*")
    wait_until_drawn(page)
    page.go_back()
    page.wait_for_url(lambda url: url.partition("?")[0].rstrip("/") == planted_url)
    expect(page.locator("h1")).to_have_text("SAE Loupe")
