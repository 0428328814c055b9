"""The twelve tasks of a newcomer in headless Chromium, each with the most clicks that it may take.

A click, a text that is typed or pasted, and a drag count as one act each. A task begins at the first page, or, where it
says so, at the page that it is about.
"""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect
from safetensors.numpy import load_file, save_file

from tests.browser.chromium import TIMEOUT_MS, type_feature, wait_until_settled
from tests.browser.conftest import started
from tests.doubles import planted_pages

pytestmark = pytest.mark.e2e
NAV = "[data-testid=stSidebarNav] a"
OWN = 7
"""The feature that only one of the two planted dictionaries has."""


@pytest.fixture(scope="module")
def place(browser, tmp_path_factory):
    """A server for the planted dictionary and another, `other`, that differs in one feature; and their folder."""
    folder = tmp_path_factory.mktemp("journeys")
    there = planted_pages.write_workspace(folder)
    shutil.copytree(there, folder / "other")
    weights = load_file(there / "sae_weights.safetensors")
    for name, axis in (("W_enc", 1), ("W_dec", 0)):
        row = [slice(None)] * 2
        row[axis] = OWN
        weights[name][tuple(row)] = -weights[name][tuple(row)]
    save_file(weights, folder / "other" / "sae_weights.safetensors")
    with started(folder, planted_pages.arguments(folder)) as url:
        yield url, folder


class Person:
    """Somebody at the screen, whose acts are counted."""

    def __init__(self, page, url: str, folder: Path):
        self.page, self.url, self.folder, self.acts = page, url, folder, 0

    def begin(self, page: str = "", **query: object) -> None:
        self.page.goto(f"{self.url}/{page}?{'&'.join(f'{name}={value}' for name, value in query.items())}")
        wait_until_settled(self.page)

    def click(self, place, **how) -> None:
        self.acts += 1
        place.click(**how)
        wait_until_settled(self.page)

    def open(self, page: str) -> None:
        self.click(self.page.locator(NAV, has_text=re.compile(f"{page}$")).first)

    def tab(self, name: str) -> None:
        self.click(self.page.get_by_role("tab", name=name, exact=True))

    def type(self, field, text: str, *, end: str = "Enter") -> None:
        self.acts += 1
        field.fill(text)
        field.press(end)
        wait_until_settled(self.page)

    def row(self, number: int = 0, table: int = 0) -> None:
        """Tick a row of a table, whose rows are 35 pixels high."""
        grid = self.page.locator("[data-testid=stMain] [data-testid=stDataFrame]").nth(table)
        self.click(grid, position={"x": 16, "y": 35 * (number + 1) + 17})

    def chart(self, title: str):
        return self.page.locator(f"[role=graphics-document][aria-label^='{title}']").first


@pytest.fixture
def person(page, place):
    return Person(page, *place)


def test_1_which_features_are_strongest_at_a_position(person):
    person.begin("positions")
    person.tab("One position")
    person.type(person.page.get_by_label("Position", exact=True), str(planted_pages.PEAK))
    person.page.get_by_text(f"Strongest features at position {planted_pages.PEAK}", exact=True).wait_for()
    said = person.chart("The ten strongest features at position").get_attribute("aria-label")
    assert f"Position in the sequence {planted_pages.PEAK}, Feature {planted_pages.POSITIONAL}" in said
    assert person.acts <= 2


def test_2_which_feature_fires_on_a_word_and_what_does_it_promote(person):
    person.begin("text")
    person.type(person.page.get_by_label("Your text", exact=True), "import", end="Control+Enter")
    person.row()
    picked = person.page.url.partition("feature=")[2].partition("&")[0]
    person.open("Feature")
    expect(person.page.locator("h1")).to_contain_text(f"Feature {picked}")
    person.page.get_by_text("Promotes").first.wait_for()
    assert person.acts <= 4


def test_3_how_many_features_promote_a_token_set_and_how_sure_is_that(person):
    person.begin()
    person.open("Logit weights")
    person.tab("Enrichment")
    person.page.get_by_text("features with q ≤ 0.05").first.wait_for()
    assert person.acts <= 2


def test_4_which_features_are_in_a_part_of_the_map(person):
    person.begin()
    person.open("Feature map")
    stage = person.page.locator(".stage[data-frames]").first
    stage.wait_for()
    person.click(person.page.get_by_role("button", name="Lasso", exact=True))
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    person.acts += 1
    person.page.mouse.move(box["x"] + 5, box["y"] + 40)
    person.page.mouse.down()
    for x, y in ((box["width"] - 5, 40), (box["width"] - 5, box["height"] - 5), (5, box["height"] - 5), (5, 50)):
        person.page.mouse.move(box["x"] + x, box["y"] + y, steps=5)
    person.page.mouse.up()
    person.page.get_by_text("12 features", exact=True).first.wait_for()
    assert person.acts <= 4


def test_5_which_features_has_only_one_of_two_dictionaries(person):
    person.begin()
    person.open("Matching")
    person.type(person.page.get_by_role("combobox", name="Dictionary B"), str(person.folder / "other"))
    person.tab("Lists")
    person.click(person.page.get_by_text("A only", exact=True).first)
    person.page.get_by_text(re.compile(r"features? of A")).first.wait_for()
    person.row()
    person.page.wait_for_url(f"**feature={OWN}*")
    person.tab("Pair")
    assert person.acts <= 6


def test_6_is_the_dictionary_healthy(person):
    person.begin()
    person.open("Overview")
    person.page.get_by_text(re.compile("Healthy|Suspicious|Broken|Not judged")).first.wait_for()
    person.page.get_by_text("Variance explained").first.wait_for()
    assert person.acts <= 2


@pytest.mark.parametrize(("button", "ending"), [("CSV", "csv"), ("PNG", "png"), ("SVG", "svg")])
def test_7_save_a_figure_and_its_numbers(person, button, ending):
    person.begin("positions")
    person.click(person.page.get_by_role("button", name="Save").first)
    with person.page.expect_download() as saved:
        person.acts += 1
        person.page.get_by_role("button", name=button, exact=True).last.click()
    assert saved.value.suggested_filename == f"position-heatmap.{ending}"
    assert person.acts <= 2


def test_8_which_features_does_my_own_sentence_use(person):
    person.begin()
    person.open("Text")
    person.type(person.page.get_by_label("Your text", exact=True), "my own sentence", end="Control+Enter")
    person.page.get_by_text("15 tokens").first.wait_for()
    assert person.acts <= 2


def test_9_how_do_two_texts_differ(person):
    person.begin("text")
    person.tab("Two texts")
    for name, text in (("Text A", "aaaa\nabab"), ("Text B", "zzzz\nzyzy")):
        person.type(person.page.get_by_label(name, exact=True).first, text, end="Control+Enter")
    person.page.get_by_text(re.compile("differs? at q|No feature differs|features? differ")).first.wait_for()
    assert person.acts <= 3


def test_10_open_a_dictionary_of_my_own_by_its_path(person):
    person.begin()
    person.type(person.page.get_by_role("combobox", name="Dictionary", exact=True), str(person.folder / "other"))
    person.page.wait_for_url("**sae=*other*")
    expect(person.page.locator("[data-testid=stAlert]")).to_have_count(0)
    assert person.acts <= 3


def test_11_note_what_a_feature_is_and_find_it_again(person):
    person.begin("feature", feature=OWN)
    person.tab("Notes")
    person.type(person.page.get_by_label("What it is", exact=True), "the only one", end="Control+Enter")
    assert person.acts <= 2
    person.begin()
    person.page.get_by_text("the only one").first.wait_for()


def test_12_what_does_a_feature_cause(person):
    person.begin()
    person.open("Interventions")
    person.page.get_by_text("ablated, clamped or steered").wait_for()
    assert person.acts <= 1


def test_eight_people_at_once_each_see_their_own_feature(browser, place):
    url, _ = place
    contexts = [browser.new_context(viewport={"width": 1400, "height": 950}) for _ in range(8)]
    pages = [context.new_page() for context in contexts]
    numbers = "[role=graphics-document][aria-label^='Logit weights of feature {}.'][aria-label*='Tokens: largest']"
    alone = {}
    for feature, page in enumerate(pages):
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"{url}/logit_weights?tab=Weights+of+one+feature&feature={feature}")
        wait_until_settled(page)
        alone[feature] = page.locator(numbers.format(feature)).first.get_attribute("aria-label")
    assert len({said.partition(". ")[2] for said in alone.values()}) > 1
    for step in (1, 2, 3):
        picks = [(place + step) % len(pages) for place in range(len(pages))]
        for page, feature in zip(pages, picks, strict=True):
            type_feature(page, feature)
        for page, feature in zip(pages, picks, strict=True):
            chart = page.locator(numbers.format(feature)).first
            chart.wait_for()
            assert chart.get_attribute("aria-label") == alone[feature]
    for context in contexts:
        context.close()
