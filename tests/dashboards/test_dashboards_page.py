"""The page on dashboards of other tools, run by AppTest; neither model nor dictionary is read for it."""

import gzip

import pytest

from tests.dashboards.test_dashboards import neuronpedia, neuronpedia_batches, sae_dashboard
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
    text = next(part.value for part in at.html if "loupe-text" in part.value)
    assert "&lt;script&gt;" in text
    assert "<script>" not in text


def test_an_example_is_a_click_away_and_has_a_link(open_page):
    at = fine(open_page("").button(key="dash_example").click().run())
    assert "8 features" in text_of(at, "caption")
    assert at.query_params["dash_folder"] in ("example", ["example"])
    assert len(at.get("vega_lite_chart")) == 2


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


def test_a_damaged_batch_is_named_beside_the_features_of_the_others_and_read_once_it_is_whole(open_page, tmp_path):
    (tmp_path / "made").mkdir()
    neuronpedia_batches(tmp_path / "made")
    files = [tmp_path / "made" / name / "batch-1.jsonl.gz" for name in ("features", "explanations")]
    whole = [path.read_bytes() for path in files]
    for path in files:
        path.write_bytes(path.read_bytes()[:20])
    at = fine(open_page("made", 7))
    assert [name in text_of(at, "warning") for name in ("features/batch-1", "explanations/batch-1")] == [True, True]
    assert at.metric
    for path, data in zip(files, whole, strict=True):
        path.write_bytes(data)
    at.run()
    assert not at.warning
    assert at.number_input(key="dash_feature").max == 9


def test_a_batch_that_the_system_no_longer_refuses_is_read_though_no_file_changed(open_page, tmp_path, monkeypatch):
    (tmp_path / "made").mkdir()
    neuronpedia_batches(tmp_path / "made")
    packed = gzip.open

    def refuse(path, *args, **more):
        if path.name == "batch-1.jsonl.gz":
            raise PermissionError(13, "Permission denied")
        return packed(path, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(gzip, "open", refuse)
        at = fine(open_page("made", 7))
        assert "Permission denied" in text_of(at, "warning")
    at.run()
    assert not at.warning
    assert at.number_input(key="dash_feature").max == 9


def test_of_many_damaged_batches_a_few_are_named_and_the_others_counted(open_page, tmp_path):
    (tmp_path / "made").mkdir()
    sae_dashboard(tmp_path / "made")
    for i in range(2, 12):
        (tmp_path / "made" / f"batch-{i}.json").write_text("{")
    at = fine(open_page("made", 7))
    assert len(at.warning) == 5
    assert at.warning[4].value == "6 more files cannot be read."


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
