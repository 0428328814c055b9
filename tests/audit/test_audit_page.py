"""Audit a number on a page: a person presses the button and sees both values."""

import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Give a function that opens a page, presses one button, and returns the page and what was compared."""
    planted_pages.read_little_text(monkeypatch)
    planted_pages.write_workspace(tmp_path)

    def check(page, query, key):
        with pages.page(tmp_path, monkeypatch, page) as run:
            at = fine(fine(run(query)).button(key=f"audit-{key}").click().run())
        (found,) = [table.value for table in at.dataframe if "Slow way" in table.value]
        return at, found

    return check


def test_the_slow_way_stands_beside_what_is_shown_of_the_picked_feature(checked):
    at, found = checked("geometry", {"tab": "Hubs", "feature": "4"}, "hubs-decoder")
    assert "case geometry" in pages.text_of(at, "markdown", "caption")
    assert found["Number"].tolist() == ["Nearest of", "Among nearest of", "Nearest cosine", "Neighbour"]
    assert found["Difference"].abs().max() < 1e-6
    assert found["Shown"].notna().all()


def test_a_test_that_holds_all_numbers_is_named_once():
    def script():
        import pandas as pd

        from ui.shared import audit

        for names in (["kurtosis", "skewness"], ["kurtosis", "in_degree"]):
            audit.draw(pd.DataFrame(columns=names), "name", {}, [])

    at = fine(pages.run(script))
    said = [pages.text_of(at, kind).count("case logit_weights") for kind in ("markdown", "caption")]
    assert said == [0, 2]


def test_the_cards_of_a_feature_are_checked_on_the_text_that_was_read(checked):
    _, found = checked("feature", {"feature": "3"}, "feature-3-numbers")
    assert found["Number"].tolist() == ["Density", "Active tokens", "Mean when active", "Largest activation"]
    assert found["Difference"].abs().max() < 1e-5
    assert found["Shown"].min() > 0


def test_rows_by_position_and_stage_are_told_apart(checked):
    _, found = checked("positions", {"tab": "Feature by position", "feature": "3"}, "feature-3-curve")
    assert {"0, activation", "0, pre-activation"} <= set(found["Row"])
    assert {"Mean activation", "Mean pre-activation"} <= set(found["Number"])
    assert found["Difference"].abs().max() < 1e-5
    assert len(found) == 2 * 24


def test_what_has_no_slow_run_says_why(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    with pages.page(tmp_path, monkeypatch, "geometry") as run:
        said = pages.text_of(fine(run({"tab": "Distances"})))
    assert "it counts, and chance lies beside" in said
