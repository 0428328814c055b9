"""Every page in headless Chromium, light and dark, against the rules of WCAG 2.1 A and AA that axe-core can check."""

import pytest
from axe_playwright_python.base import AXE_FILE_PATH

from tests.browser.axe import IS_DARK, broken
from tests.browser.chromium import wait_until_settled
from ui.shell.router import page_files

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def visitor(browser):
    """One page for all tests of this file, with axe-core in it."""
    context = browser.new_context(viewport={"width": 1400, "height": 950}, color_scheme="light")
    context.add_init_script(path=AXE_FILE_PATH)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("file", page_files(), ids=lambda file: file.path.stem)
def test_no_page_breaks_a_rule_in_either_theme(shared_url, visitor, file):
    visitor.emulate_media(color_scheme="light")
    visitor.goto(f"{shared_url}/{file.path.stem if file.order else ''}")
    wait_until_settled(visitor)
    light = broken(visitor)
    visitor.emulate_media(color_scheme="dark")
    visitor.wait_for_function(IS_DARK)
    wait_until_settled(visitor)
    assert light + broken(visitor) == []


def test_a_chart_is_named_by_its_title_its_finding_and_its_numbers(shared_url, visitor):
    visitor.goto(f"{shared_url}/positions")
    wait_until_settled(visitor)
    chart = visitor.locator("[role=graphics-document][aria-label^='Position score by rank']")
    said = chart.first.get_attribute("aria-label")
    assert said.startswith("Position score by rank. The position scores of the 12 features show no clear elbow.")
    assert "Position score: largest 1.5 at Rank (log) 1, least" in said


def test_the_check_notices_a_faint_text_a_button_a_field_and_a_picture_without_names(visitor):
    visitor.goto("about:blank")
    visitor.set_content(
        "<html lang=en><title>t</title><p style='color:#999'>faint</p><button id=a></button>"
        "<input id=b aria-labelledby=a><svg role=img></svg>"
    )
    rules = {line.partition(":")[0] for line in broken(visitor)}
    assert rules == {"button-name", "color-contrast", "label", "svg-img-alt"}
