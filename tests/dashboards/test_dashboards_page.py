"""The page on dashboards of other tools, run by AppTest; neither model nor dictionary is read for it."""

import pytest

from tests.dashboards.test_dashboards import neuronpedia, sae_dashboard
from tests.doubles import planted_pages

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the page on a folder with a feature in the URL."""

    def run(folder: str, feature: int | None = None) -> AppTest:
        planted_pages.write_workspace(tmp_path)
        monkeypatch.setattr("sys.argv", ["app.py", *planted_pages.arguments(tmp_path)])
        st.cache_resource.clear()
        at = AppTest.from_file(planted_pages.SCRIPT, default_timeout=60)
        at.query_params["sae"] = f"folder/{tmp_path / 'dictionary'}"
        at.run()
        at.query_params["dash_folder"] = folder
        if feature is not None:
            at.query_params["dash_feature"] = str(feature)
        return at.switch_page("../../pages/dashboards.py").run()

    yield run
    st.cache_resource.clear()


@pytest.mark.parametrize("write", [sae_dashboard, neuronpedia])
def test_a_feature_is_shown_with_all_that_its_file_says(open_page, tmp_path, write):
    (tmp_path / "made").mkdir()
    write(tmp_path / "made")
    at = open_page("made", 7)
    assert not at.exception
    assert not at.error
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
    assert "dashboard for feature 8" in at.error[0].value.replace("\\", "")


@pytest.mark.parametrize(("folder", "says"), [("planted", "holds no dashboards"), ("/etc", "Expected a folder below")])
def test_a_folder_without_dashboards_or_outside_the_roots_is_explained(open_page, folder, says):
    at = open_page(folder)
    assert not at.exception
    assert says in at.error[0].value.replace("\\", "")
