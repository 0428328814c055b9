"""A public app in Chromium: what it refuses a visitor, and hostile uploads, which run nothing."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import TIMEOUT_MS, wait_until_drawn
from tests.doubles import planted_pages

pytestmark = pytest.mark.e2e
HOSTILE = (
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>"
    '[link](javascript:window.ran=3) =HYPERLINK("x") $\\href{javascript:window.ran=4}{x}$'
)


@pytest.fixture
def url(serve, tmp_path):
    planted_pages.write_workspace(tmp_path)
    return serve([*planted_pages.arguments(tmp_path), "--public"])


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("overview?sae=/etc", "opens no path that a visitor names"),
        ("overview?sae=demo/layer0-standard-2048%23k=3", "takes no settings of files behind a #"),
        ("overview?sae=hub/user/repository/folder", "opens and downloads only what it lists"),
        ("dashboards?dash_folder=docs", "opens no path that a visitor names"),
    ],
)
def test_an_address_of_a_public_app_opens_nothing_that_is_closed(url, page, address, says, tmp_path):
    page.goto(f"{url}/{address}")
    alert = page.locator("[data-testid=stAlert]", has_text="this public app").first
    expect(alert).to_contain_text(says, timeout=TIMEOUT_MS)
    assert str(tmp_path) not in page.content()
    assert page.left_machine == []


def test_a_hostile_upload_is_shown_as_text_and_a_large_one_is_refused(url, page, tmp_path):
    sae = quote(planted_pages.id_of(tmp_path))
    page.goto(f"{url}/text?sae={sae}")
    wait_until_drawn(page)
    page.get_by_role("button", name=re.compile("Files")).first.click()
    field = page.locator("[data-testid=stFileUploaderDropzoneInput]").first
    name = "<img src=x onerror='window.ran = 5'>.txt"
    field.set_input_files({"name": name, "mimeType": "text/html", "buffer": HOSTILE.encode()})
    expect(page.get_by_text("The app reads 1 uploaded file")).to_be_visible(timeout=TIMEOUT_MS)
    wait_until_drawn(page)
    assert page.evaluate("window.ran") is None
    assert not page.locator("img[src=x]").count()
    field.set_input_files({"name": "large.txt", "mimeType": "text/plain", "buffer": b"x" * (3 * 2**20)})
    expect(page.get_by_text(re.compile("must be 1.0MB or smaller")).first).to_be_visible(timeout=TIMEOUT_MS)
    assert page.left_machine == []


def test_a_hostile_note_stays_text_and_goes_with_the_session(url, page, browser, tmp_path):
    address = f"{url}/feature?sae={quote(planted_pages.id_of(tmp_path))}&feature=3&tab=Notes"
    page.goto(address)
    note = page.get_by_label("What it is")
    note.fill(HOSTILE, timeout=TIMEOUT_MS)
    note.press("Control+Enter")
    expect(page.get_by_text("1 of 1 features with a note or tags")).to_be_visible(timeout=TIMEOUT_MS)
    assert page.evaluate("window.ran") is None
    other = browser.new_context().new_page()
    other.goto(address)
    expect(other.get_by_text("No feature of this dictionary has a note yet.")).to_be_visible(timeout=TIMEOUT_MS)
    other.context.close()
    assert not (tmp_path / "notes").exists()
