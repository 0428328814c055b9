"""One selection on all pages: from a lasso through other pages, a reload and a link, and refused where it is not of."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.chromium import wait_until_drawn
from tests.doubles import planted_pages
from tests.doubles.planted import planted_dictionary

pytestmark = pytest.mark.e2e


@pytest.fixture
def other(tmp_path) -> str:
    """The id of a second dictionary in the planted workspace."""
    rng = np.random.default_rng(5)
    W_enc = rng.normal(size=(planted_pages.D, 12))
    tensors = {"W_enc": W_enc, "W_dec": W_enc.T, "b_enc": np.zeros(12), "b_dec": np.zeros(planted_pages.D)}
    made = planted_dictionary(hook_name="blocks.0.hook_resid_pre", context_size=planted_pages.C, tensors=tensors)
    made.save(tmp_path / "other")
    return f"folder/{(tmp_path / 'other').resolve()}"


def box(page):
    return page.locator("[data-testid=stSidebar] [data-testid=stPopover] button", has_text="election").first


def lasso_all(page) -> None:
    """Draw a lasso around the whole map."""
    page.get_by_role("button", name="Lasso", exact=True).click()
    around = page.locator(".stage[data-frames]").first.bounding_box()
    left, top = around["x"] + 4, around["y"] + 50
    right, bottom = around["x"] + around["width"] - 4, around["y"] + around["height"] - 60
    page.mouse.move(left, top)
    page.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom)):
        page.mouse.move(*corner, steps=5)
    page.mouse.up()


def test_a_lasso_goes_along_to_pages_a_reload_and_a_link_and_to_no_other_dictionary(
    planted_url, other, page, browser, tmp_path
):
    sae = planted_pages.id_of(tmp_path)
    page.goto(f"{planted_url}/feature_map?sae={sae}")
    page.locator(".stage[data-frames]").first.wait_for()
    wait_until_drawn(page)
    expect(box(page)).to_contain_text("No selection")
    lasso_all(page)
    page.locator(".st-key-select-0-feature-map button").first.click()
    expect(box(page)).to_contain_text("Selection: ")
    wait_until_drawn(page)
    n = int("".join(filter(str.isdigit, box(page).inner_text())))
    assert 2 <= n <= 12
    expect(page.locator("[data-testid=stSidebar]")).to_contain_text("from a lasso on the map")

    page.locator("[data-testid=stSidebarNav] a", has_text="Geometry").first.click()
    page.wait_for_url("**/geometry*selection=*")
    wait_until_drawn(page)
    expect(box(page)).to_contain_text(f"Selection: {n} features")
    page.reload()
    wait_until_drawn(page)
    expect(box(page)).to_contain_text(f"Selection: {n} features")

    link = page.url
    assert len(parse_qs(urlsplit(link).query)["selection"]) == 1
    friend = browser.new_context().new_page()
    friend.goto(link)
    wait_until_drawn(friend)
    expect(box(friend)).to_contain_text(f"Selection: {n} features")
    given = parse_qs(urlsplit(link).query)["selection"][0]
    friend.goto(f"{planted_url}/geometry?sae={other}&selection={given}")
    wait_until_drawn(friend)
    expect(box(friend)).to_contain_text("Selection: of another dictionary")
    expect(friend.locator("[data-testid=stSidebar] [data-testid=stAlert]")).to_contain_text(
        "and the open dictionary is"
    )
    friend.context.close()
