"""A page as one HTML file: complete, escaped, and asking nobody for anything."""

import base64
import html
import json
import re
from html.parser import HTMLParser

import altair as alt
import pandas as pd
import pytest

from core.feature.names import FeatureNames
from tests.doubles import pages, planted_pages
from ui.shared.finish import finished
from ui.shared.report import Entry, Section
from ui.shared.report_file import write
from ui.shell.router import page_files

PROVENANCE = {"dictionaries": [{"id": "a/b", "sha256": "0123456789abcdef0123"}], "method": "<script>alert(1)</script>"}
EVIL = "<img src=https://example.org/x onerror=alert(1)>"


def entry(**changed) -> Entry:
    table = pd.DataFrame({"feature": range(60), "density": 0.25, "token": EVIL})
    chart = finished(alt.Chart(table).mark_point().encode(alt.X("feature:Q"), alt.Y("density:Q")), dark=False)
    said = {"note": f"n 60 · click a row · {EVIL}", "name": "some-table", "explains": ["density"]}
    return Entry(**({"title": EVIL, "provenance": PROVENANCE, "table": table, "charts": [chart]} | said | changed))


def report(*entries, **numbers) -> str:
    return write(EVIL, EVIL, [Section("First", numbers, list(entries))], dark=False).decode()


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_nothing_in_a_report_runs_or_is_fetched_whatever_its_texts_say():
    text = report(entry(), **{EVIL: EVIL})
    tags = Tags(text).found
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "base", "form"}
    assert all(name not in ("onerror", "onload", "onclick") for _, held in tags for name in held)
    addresses = [held[name] for _, held in tags for name in ("src", "href") if name in held]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert "default-src 'none'" in text


def test_a_report_holds_picture_table_formula_provenance_and_numbers_of_each_figure():
    text = report(entry(), density="0.25 of <all>")
    (picture,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    assert b"<svg" in base64.b64decode(picture)
    (table,) = re.findall(r'download="some-table.csv" href="data:text/csv;base64,([^"]+)"', text)
    assert base64.b64decode(table).count(b"\n") == 61
    assert "The first 50 of 60 rows" in text
    assert "Of a/b (sha256 0123456789abcdef)" in text
    assert "0.25 of &lt;all&gt;" in text
    assert "click a row" not in text
    assert "<b>Density</b>" in text


def test_texts_stand_in_place_of_the_table_of_their_tokens():
    text = report(entry(charts=[], texts=["<div>one text</div>"]))
    assert "<div>one text</div>" in text
    assert "<table" not in text


def test_a_chart_of_many_marks_is_a_picture_of_pixels():
    table = pd.DataFrame({"feature": range(5_001), "density": 0.25})
    chart = finished(alt.Chart(table).mark_point().encode(alt.X("feature:Q")), dark=False)
    assert "data:image/png" in report(entry(table=table, charts=[chart]))


WITHOUT = (
    "automata",
    "home",
    "dashboards",
    "interventions",
    "matching",
    "neuronpedia",
    "splitting",
    "stability",
    "sweeps",
    "training",
    "worlds",
)
"""Pages that have no figure to show of a single planted dictionary."""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A planted workspace whose features all have names."""
    planted_pages.read_little_text(monkeypatch)
    monkeypatch.setattr("ui.studies.names.find", lambda sha256: FeatureNames(("a name",) * 12))
    planted_pages.write_workspace(tmp_path)
    return tmp_path


def lacking(part: str) -> str:
    """Say what a figure or a row of cards in a report lacks of how its numbers were made; empty if nothing."""
    said = json.loads(html.unescape(re.search("<summary>Provenance</summary><pre>(.*?)</pre>", part, re.S)[1]))
    hashes = [one["sha256"] for one in [*said["dictionaries"], *([said["model"]] if said["model"] else [])]]
    texts = [name for name in said["settings"] if name == "text" or name.startswith("text_of")]
    formulas = re.findall("<b>[^<]+</b>[^<]*: [^<]+<br>[^<]+It is held by [^<]*tests", part)
    lacks = {
        "a formula, or the test that holds it": not formulas,
        "the hashes of its inputs": not hashes or any(len(one) != 64 for one in hashes),
        "the hash of its text": len(texts) > sum("rows_sha256" in name for name in said["settings"]),
        "the version of the code": not re.fullmatch(r"SAE Loupe \S+", said["app"]),
        "its method": not said["method"],
        "all settings in one place": set(said) > {"app", "dictionaries", "model", "method", "settings"},
    }
    return "; ".join([f"{part[:80]}: {what}" for what, lacks_it in lacks.items() if lacks_it])


@pytest.mark.parametrize("name", [page.path.stem for page in page_files()])
def test_every_page_gives_a_report_of_all_its_tabs(root, monkeypatch, name):
    with pages.page(root, monkeypatch, name) as open_page:
        at = open_page()
        if not [button for button in at.button if button.key == "report"]:
            assert name in WITHOUT
            return
        at.button(key="report").click().run()
        assert not at.exception
        _, made = at.session_state["_report_made"]
        headings = re.findall("<h2>(.*?)</h2>", made.decode())
        assert 0 < len(headings) <= len(at.tabs)
        parts = re.findall("<section>.*?</section>|<dl>.*?(?=<section>|<h2>|</body>)", made.decode(), re.S)
        assert [said for part in parts if (said := lacking(part))] == []
