"""The page on dashboards of other tools, run by AppTest; neither model nor dictionary is read for it."""

import pytest

from tests.dashboards.test_dashboards import neuronpedia, sae_dashboard
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, text_of


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the page on a folder with a feature in the URL."""
    planted_pages.write_workspace(tmp_path)
    with pages.page(tmp_path, monkeypatch, "dashboards") as run:
        yield lambda folder, feature=None: run({"dash_folder": folder, "dash_feature": feature})


@pytest.mark.parametrize("write", [sae_dashboard, neuronpedia])
def test_a_feature_is_shown_with_all_that_its_file_says(open_page, tmp_path, write):
    (tmp_path / "made").mkdir()
    write(tmp_path / "made")
    at = fine(open_page("made", 7))
    assert [metric.value for metric in at.metric] == ["0.01", "3"]
    assert at.dataframe[0].value["token_text"].tolist() == [" Monday", " Friday", "!"]
    assert len(at.get("vega_lite_chart")) == 2
    text = at.html[0].value
    assert "&lt;script&gt;" in text
    assert "<script>" not in text


def test_a_feature_without_a_dashboard_is_named(open_page, tmp_path):
    (tmp_path / "made").mkdir()
    sae_dashboard(tmp_path / "made")
    at = open_page("made", 8)
    assert "dashboard for feature 8" in text_of(at, "error")


@pytest.mark.parametrize(("folder", "says"), [("planted", "holds no dashboards"), ("/etc", "Expected a folder below")])
def test_a_folder_without_dashboards_or_outside_the_roots_is_explained(open_page, folder, says):
    at = open_page(folder)
    assert not at.exception
    assert says in text_of(at, "error")


def test_a_file_that_is_written_anew_in_place_is_read_anew(open_page, tmp_path):
    (tmp_path / "made").mkdir()
    sae_dashboard(tmp_path / "made")
    at = fine(open_page("made", 7))
    path = tmp_path / "made" / "batch-0.json"
    path.write_text(path.read_text().replace('"feature_index": 7', '"feature_index": 9'))
    at.run()
    assert not at.exception
    at.number_input(key="dash_feature").set_value(9).run()
    assert fine(at).metric
