"""Audit a number on a page: a person presses the button and sees both values."""

import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    with pages.page(tmp_path, monkeypatch, "geometry") as run:
        yield run


def test_the_slow_way_stands_beside_what_is_shown_of_the_picked_feature(open_page):
    at = fine(open_page({"tab": "Hubs", "feature": "4"}))
    assert any("case geometry" in text.value for text in at.markdown)
    at = fine(at.button(key="audit-hubs-decoder").click().run())
    (found,) = [table.value for table in at.dataframe if "Slow way" in table.value]
    assert found["Number"].tolist() == ["Nearest of", "Among nearest of", "Nearest cosine", "Neighbour"]
    assert found["Difference"].abs().max() < 1e-6
    assert found["Shown"].notna().all()
