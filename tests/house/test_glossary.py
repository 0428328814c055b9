"""The glossary says of a number what the app says, and has every word that people meet on the screen."""

import re
from pathlib import Path

from core import catalogue

ROOT = Path(__file__).resolve().parents[2]
WORDS, NUMBERS = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("\n## Numbers\n")
ONLY_CODE = {"study", "view", "result"}
"""Words of CONTRIBUTING.md that no person at the screen meets."""


def cells(text: str) -> list[list[str]]:
    """Return the rows of a table, without its head."""
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_a_number_of_the_glossary_is_a_statistic_with_its_title_and_meaning():
    rows = cells(NUMBERS)
    assert len(rows) > 40
    for title, meaning, column in rows:
        stat = catalogue.statistic(column.strip("`"))
        assert (title, meaning, column) == (stat.title, stat.meaning, f"`{stat.name}`")


def test_words_and_numbers_stand_in_order_and_once():
    for text in (WORDS, NUMBERS):
        terms = [row[0].lower() for row in cells(text)]
        assert terms == sorted(set(terms))


def test_every_word_of_the_house_that_the_screen_shows_is_explained():
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| word | meaning |")[2]
    house = [re.split(r"[,;`]", row[0])[0].strip() for row in cells("| word |" + table)]
    known = {part.strip(" `").lower() for row in cells(WORDS) for part in row[0].split(",")}
    known |= {stat.lower() for row in cells(NUMBERS) for stat in (row[0], row[2].strip("`"))}
    words = {word.lower() for word in house if word and word not in ONLY_CODE}
    assert len(words) > 12
    assert words - known == set()


def test_a_meaning_is_a_sentence():
    assert [row for row in cells(WORDS) if not row[1].endswith(".")] == []
