"""The overview page on a planted workspace, run by AppTest through the router."""

import json
from html import escape

import pytest
from streamlit.testing.v1 import AppTest

from core.overview.health import judge
from tests.doubles import pages, planted_pages
from tests.doubles.pages import READ, fine, text_of
from tests.doubles.planted import planted_dictionary
from ui.overview import dictionary as overview_dictionary


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the overview of a planted workspace with a query and runs it."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    with pages.page(tmp_path, monkeypatch, "overview") as run:
        yield lambda query=None, folder="dictionary": run(
            {"sae": planted_pages.id_of(tmp_path, folder)} | (query or {})
        )


def shown(at: AppTest) -> str:
    return text_of(at, *READ, "html", "code")


@pytest.mark.parametrize("tab", ["Facts and health", "Density", "Norms and biases", "Basis"])
def test_every_tab_opens_from_a_link_without_an_exception(open_page, tab):
    at = fine(open_page({"tab": tab}))
    assert at.title[0].value == "Overview"
    assert at.get("vega_lite_chart") or len(at.dataframe)


def test_the_badge_says_what_was_measured_and_that_nothing_is_published(open_page):
    at = open_page()
    readings = {metric.label: metric for metric in at.metric}
    assert any(label.startswith("Dead features on ") for label in readings)
    assert "Loss recovered" in readings
    assert {metric.delta for metric in readings.values()} == {"not published"}
    assert "Without position 0: Active features, L0 " in shown(at)
    assert "Published numbers are from other text" in shown(at)
    assert "Dead features are not comparable" not in shown(at)
    recipes = next(d.value for d in at.dataframe if "recipe" in d.value.columns)
    assert recipes["recipe"][0] == "as it is"


def test_a_published_share_of_dead_features_is_said_not_to_be_comparable(open_page, monkeypatch):
    def of_published(statistics, probe, published, loss=None, **how):
        return judge(statistics, probe, {"dead_share": 0.001}, loss, **how)

    monkeypatch.setattr("ui.overview.health.judge", of_published)
    at = open_page()
    assert "Dead features are not comparable" in shown(at)


def test_facts_norms_and_basis_are_there_without_the_model_and_the_badge_says_what_it_lacks(open_page, tmp_path):
    # A width that no model here has: the only one that fits would be taken.
    planted_dictionary(d_in=6, metadata={"model_name": "nobody/knows-it"}).save(tmp_path / "alone")
    at = open_page(folder="alone")
    assert not at.exception
    assert "nobody/knows-it" in shown(at)
    assert ["nobody/knows" in error.value for error in at.error] == [True]
    assert "blocks.0.hook_resid_pre" in shown(at)
    assert "sae = SAE.load_from_disk" in shown(at)
    for tab in ("Norms and biases", "Basis"):
        at = open_page({"tab": tab}, folder="alone")
        assert not at.exception
        assert not at.error
        assert at.get("vega_lite_chart")


def test_what_a_config_says_is_shown_letter_by_letter(open_page, tmp_path):
    text = "<script>alert(1)</script> <img src=x onerror='y'> \" & é"
    planted_dictionary(metadata={"dataset_path": text, "model_name": "nobody/knows-it"}).save(tmp_path / "odd")
    at = open_page(folder="odd")
    found = next(html.value for html in at.html if "Training text" in html.value)
    assert escape(text) in found
    assert "<script" not in found
    assert "<img" not in found


def test_the_facts_can_be_taken_away_as_json(open_page):
    open_page({"tab": "Norms and biases"})
    dictionary = planted_dictionary(metadata={"l0": float("nan")})
    found = json.loads(overview_dictionary.as_json(dictionary))
    assert found["facts"]["Hook"] == "blocks.0.hook_resid_pre"
    assert found["recipe"]["Decoder norms"] == "folded"
    assert found["sha256"] == dictionary.sha256
    assert "cache = model.read(tokens, " in found["python"]


def test_density_is_told_as_far_as_the_number_of_tokens_allows(open_page):
    at = open_page({"tab": "Density", "ultralow": "1e-2", "density_first": "false"})
    readings = {metric.label: metric.value for metric in at.metric}
    assert "Ultralow, below 1e-02" in readings
    fire, dead = int(readings["Features that fire"]), int(readings["Dead"])
    assert fire + dead == 12
    assert "More text tells more" not in shown(at)
    at = open_page({"tab": "Density"})
    assert "More text tells more" in shown(at)
    assert "fire on no token and are not drawn" in shown(at)


def test_the_axes_of_a_dictionary_with_a_cosine_are_dropped_for_one_without(open_page, tmp_path):
    at = open_page({"tab": "Density", "separation": "Density and alignment"})
    assert at.segmented_control(key="separation").value == "Density and alignment"
    planted_dictionary("transcoder").save(tmp_path / "transcoder")
    at = fine(open_page({"tab": "Density", "separation": "Density and alignment"}, folder="transcoder"))
    assert at.segmented_control(key="separation").options == ["Density and bias"]


@pytest.mark.parametrize("fold", ["true", "false"])
def test_norms_say_whether_they_are_folded(open_page, fold):
    at = open_page({"tab": "Norms and biases", "fold": fold})
    assert ("folded into the encoder" in shown(at)) == (fold == "true")
    assert ("**Decoder norm**" in shown(at)) == (fold == "false")
