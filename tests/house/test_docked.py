"""The line at the foot of a page that names the picked feature."""

import numpy as np
import pytest

from core.feature.names import FeatureNames
from tests.doubles import pages, planted_pages
from ui.shell import docked
from ui.shell.router import page_files


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("ui.studies.names.find", lambda sha256: FeatureNames(("*a* name",) * 12))
    planted_pages.write_workspace(tmp_path)
    return tmp_path


def lines(at) -> list[str]:
    return [one.value for one in at.markdown if one.value.startswith("**Feature ")]


def test_what_is_picked_is_named_letter_by_letter_and_what_a_page_suggests_is_not(root, monkeypatch):
    with pages.page(root, monkeypatch, "geometry") as open_page:
        assert lines(open_page()) == []
        assert lines(open_page({"feature": 4})) == ["**Feature 4** \\*a\\* name"]


def test_it_stands_where_a_page_stops_early(root, monkeypatch):
    with pages.page(root, monkeypatch, "matching") as open_page:
        assert len(lines(open_page({"feature": 4, "b": "folder/gone"}))) == 1


def test_its_links_are_pages_and_their_tabs():
    assert set(docked.LINKS) <= {page.path.stem for page in page_files()}
    for page in page_files():
        tab = docked.LINKS.get(page.path.stem, {}).get("tab")
        assert tab is None or f'    "{tab}": lambda' in page.path.read_text(encoding="utf-8")


def test_the_small_curve_spans_the_bins_that_are_not_empty_and_escapes_its_text():
    svg = docked.sparkline(np.array([0, 2, 0, 4, 0]), "<b>")
    assert svg.count("<rect") == 3
    assert 'height="9.0"' in svg
    assert "<b>" not in svg
