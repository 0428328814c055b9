"""The positional page on a planted workspace, run by AppTest through the router."""

import json
import os

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, table, text_of
from ui.studies import opened, positions


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that writes a workspace, opens the page with a query and runs it."""
    planted_pages.read_little_text(monkeypatch)
    with pages.page(tmp_path, monkeypatch, "positions") as run:

        def open_page(query: dict | None = None, **how) -> AppTest:
            planted_pages.write_workspace(tmp_path, **how)
            return run(query)

        yield open_page


@pytest.mark.parametrize(
    "tab",
    [
        "Heatmap",
        "Curves",
        "Feature by position",
        "One token",
        "One position",
        "Beyond the context",
        "Position vectors",
        "Position or token",
        "Model neurons",
        "All scores",
    ],
)
def test_every_tab_opens_from_a_link_without_an_exception(open_page, tab):
    at = fine(open_page({"tab": tab}))
    assert at.title[0].value == "Positional features"
    assert at.get("vega_lite_chart") or len(at.dataframe)


def test_a_link_from_before_a_tab_was_renamed_opens_the_tab(open_page):
    at = fine(open_page({"tab": "One feature", "feature": planted_pages.POSITIONAL}))
    assert at.session_state["tab"] == "Feature by position"
    assert f"Feature {planted_pages.POSITIONAL} by position" in text_of(at, "markdown")


def test_the_planted_position_feature_comes_first_with_its_peak(open_page):
    best = table(open_page({"tab": "All scores"}), "position_score").iloc[0]
    assert (best["feature"], best["peak"]) == (planted_pages.POSITIONAL, planted_pages.PEAK)
    assert best["position_score"] == pytest.approx(1.5)
    assert best["share_position"] == pytest.approx(1)
    assert best["share_token"] == pytest.approx(0, abs=1e-9)


def test_a_feature_that_fires_only_past_the_context_is_listed_with_its_tokens(open_page):
    late = table(open_page({"tab": "Beyond the context"}), "only_beyond")
    row = late[late["feature"] == planted_pages.NEWCOMER].iloc[0]
    assert row["only_beyond"] == 257


def test_the_planted_positions_are_mended_by_swapping_the_features_that_read_them(open_page):
    at = fine(open_page({"tab": "Beyond the context", "n": "2"}))
    assert "Error by position after repairs by hand" in text_of(at)
    assert "2 features count as positional" in text_of(at)


def test_the_page_says_which_method_was_used(open_page):
    assert "257 tokens x 12 positions" in text_of(open_page()).replace("×", "x")


def test_the_method_speaks_of_the_positions_that_are_looked_at(open_page):
    assert f"Exact over all 257 tokens × {planted_pages.C} positions" in text_of(
        open_page({"positions": planted_pages.C})
    )


def test_weights_that_change_on_disk_are_read_anew_also_under_a_relative_path(open_page, tmp_path):
    open_page()
    before = opened.dictionary("./dictionary")
    assert opened.dictionary(str(tmp_path / "dictionary")) is before
    folder = planted_pages.write_workspace(tmp_path, scale=2.0)
    os.utime(folder / "sae_weights.safetensors", ns=(1, 1))
    assert opened.dictionary("./dictionary").sha256 != before.sha256


@pytest.mark.parametrize("how", [{"hook_name": "blocks.1.hook_resid_pre"}, {"positional": "rotary"}])
def test_deeper_hooks_and_rotary_models_are_read_from_text(open_page, how):
    at = fine(open_page({"tab": "All scores"}, **how))
    assert "text" in text_of(at)
    assert table(at, "share_token")["share_token"].isna().all()


def test_the_feature_in_the_url_is_the_feature_shown(open_page):
    at = open_page({"tab": "Feature by position", "feature": 5})
    assert at.number_input(key="feature").value == 5
    assert "Feature 5 by position" in text_of(at)


@pytest.mark.parametrize(
    ("name", "value", "size"), [("feature", "99", 12), ("feature", "<b>x", 12), ("position", "-1", 12)]
)
def test_an_unknown_feature_or_position_in_the_url_is_named_and_the_page_goes_on(open_page, name, value, size):
    at = open_page({name: value})
    text = text_of(at, "warning")
    assert value in text
    assert f"0 to {size - 1}" in text
    assert at.get("vega_lite_chart")


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("nowhere", ["nowhere", "does not exist", "Check the path"]),
        ("../..", ["Expected a folder or file below"]),
        ("planted", ["no dictionary in a known format", "choose the folder"]),
    ],
)
def test_a_folder_that_cannot_be_opened_is_explained(open_page, tmp_path, folder, says):
    at = open_page({"sae": planted_pages.id_of(tmp_path, folder)})
    assert not at.exception
    for part in says:
        assert part in text_of(at, "error")
    assert at.selectbox(key="sae")


def test_an_unknown_dictionary_id_is_explained(open_page):
    at = open_page({"sae": "demo/nothing-like-it"})
    assert "There is no dictionary called" in text_of(at, "error")


def test_folding_can_be_switched_off_in_the_url(open_page):
    at = open_page({"fold": "false"})
    assert "decoder norms as stored" in text_of(at)


def test_token_labels_with_markup_stay_text(open_page):
    at = open_page({"tab": "One token", "token": 28})  # '<'
    assert not at.exception
    assert "Token 28" in text_of(at)


@pytest.mark.parametrize("prepend_bos", [True, False])
def test_statistics_from_text_read_the_chosen_text_after_bos_as_trained(open_page, tmp_path, prepend_bos):
    query = {"text": "File or folder", "text_name": str(tmp_path / "own.txt"), "positions": 6, "tab": "All scores"}
    (tmp_path / "own.txt").write_text("abc " * 2000)
    open_page({"tab": "Heatmap"}, hook_name="blocks.1.hook_resid_pre")
    config = tmp_path / "dictionary" / "cfg.json"
    said = json.loads(config.read_text())
    said["metadata"]["prepend_bos"] = prepend_bos
    config.write_text(json.dumps(said))
    at = fine(pages.run(pages.SCRIPT, query | {"sae": planted_pages.id_of(tmp_path)}))
    shown = text_of(at, *pages.READ)
    assert "own.txt" in shown
    assert ("each after BOS" in shown) == prepend_bos
    assert ("no BOS" in shown) != prepend_bos


def test_rows_shorter_than_the_positions_shown_are_refused(open_page, tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((300, 4), np.uint16))
    query = {"text": "File or folder", "text_name": str(tmp_path / "rows.npy"), "tab": "Heatmap"}
    at = open_page(query, hook_name="blocks.1.hook_resid_pre")
    assert not at.exception
    assert any("have 4 tokens, expected at least" in error.value for error in at.error)


def test_a_model_whose_config_is_mended_is_opened_anew(open_page, tmp_path):
    open_page()
    before = opened.model_of(opened.dictionary("./dictionary"))
    assert opened.model_of(opened.dictionary("./dictionary")) is before
    (before.folder / "tokenizer_config.json").write_text('{"bos_token": "A"}')
    after = opened.model_of(opened.dictionary("./dictionary"))
    assert (before.bos, after.bos) == (before.separator, after.tokenizer.token_to_id("A"))


def test_a_study_is_made_anew_when_its_model_reads_text_otherwise(open_page, tmp_path):
    open_page()
    before = positions.position_study("./dictionary")
    (before.model.folder / "tokenizer_config.json").write_text('{"bos_token": "A"}')
    assert positions.position_study("./dictionary").model is opened.model_of(opened.dictionary("./dictionary"))
