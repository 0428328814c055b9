"""The logit-weight page on a planted workspace, run by AppTest through the router."""

import shutil

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, text_of
from tests.doubles.planted import planted_dictionary

TABS = ["Moments", "Weights of one feature", "Enrichment", "Moments by layer", "Token sets"]


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the page with a query; `prepare(tmp_path)` may change the workspace first."""
    with pages.page(tmp_path, monkeypatch, "logit_weights") as run:

        def open_page(query: dict | None = None, *, prepare=None) -> AppTest:
            planted_pages.write_workspace(tmp_path)
            if prepare is not None:
                prepare(tmp_path)
            return run(query)

        yield open_page


def errors_of(at: AppTest) -> str:
    return text_of(at, "error")


def replace_dictionary(root, **how) -> None:
    """Put a planted dictionary of another kind in the workspace's place."""
    shutil.rmtree(root / "dictionary")
    planted_dictionary(context_size=planted_pages.C, **how).save(root / "dictionary")


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_from_a_link_without_an_exception(open_page, tab):
    at = fine(open_page({"tab": tab}))
    assert at.title[0].value == "Logit weights"
    assert at.get("vega_lite_chart") or len(at.dataframe) or at.info


def test_without_a_series_of_layers_the_page_says_where_there_is_one(open_page):
    at = fine(open_page({"tab": "Moments by layer"}))
    assert "No other dictionary here differs from this one in the layer alone" in text_of(at, "info")
    assert not at.get("vega_lite_chart")


def test_the_table_holds_every_feature_with_its_moments(open_page):
    at = open_page({"tab": "Moments"})
    table = next(d.value for d in at.dataframe if "kurtosis" in d.value)
    assert sorted(table["feature"]) == list(range(12))
    assert (table["kurtosis"] >= 1).all()
    assert "Features by class: prediction" in at.get("vega_lite_chart")[0].proto.alt


def test_settings_in_the_url_change_the_numbers_and_are_said(open_page):
    at = open_page({"tab": "Moments", "lw_rows": "true", "lw_columns": "true"})
    assert "feature rows of length 1" in "\n".join(c.value for c in at.caption).replace("\\", "")
    table = next(d.value for d in at.dataframe if "logit_max" in d.value)
    assert table["logit_max"].abs().max() <= 1 + 1e-6


def test_a_feature_that_writes_nothing_is_explained_instead_of_drawn(open_page):
    def blank(root):
        W_dec = np.random.default_rng(0).normal(size=(12, 8))
        W_dec[4] = 0
        replace_dictionary(root, tensors={"W_dec": W_dec})

    at = open_page({"tab": "Weights of one feature", "feature": 4}, prepare=blank)
    assert not at.exception
    assert "Feature 4 gives every token the same logit weight" in at.info[0].value
    at = fine(open_page({"tab": "Enrichment", "feature": 4}, prepare=blank))


def test_an_unknown_token_set_in_the_url_is_named_and_the_page_goes_on(open_page):
    at = open_page({"tab": "Enrichment", "token_set": "starts_with_spice"})
    assert not at.exception
    assert "starts_with_spice" in at.warning[0].value.replace("\\", "")
    assert at.get("vega_lite_chart")


def test_an_invalid_regular_expression_says_where_it_is_wrong(open_page):
    at = open_page({"tab": "Token sets"})
    at.text_input(key="ts_name").input("mine")
    at.text_area(key="ts_text").input("a\n/b(/")
    at.button[-1].click().run() if not at.get("form_submit_button") else at.get("form_submit_button")[0].click().run()
    assert "/b(/" in errors_of(at) or "b(" in errors_of(at)
    assert "line 2" in errors_of(at).lower()


def test_a_dictionary_of_another_width_is_explained(open_page):
    at = open_page(prepare=lambda root: replace_dictionary(root, d_in=5))
    assert not at.exception
    assert "width 5" in errors_of(at)
    assert "Choose" in errors_of(at)


def test_a_hook_that_no_weight_matrix_leads_from_is_explained(open_page):
    at = open_page(prepare=lambda root: replace_dictionary(root, hook_name="blocks.0.mlp.hook_pre", d_in=16))
    assert not at.exception
    assert "blocks.0.mlp.hook_pre" in errors_of(at)


def test_a_model_without_an_unembedding_is_explained_and_other_pages_go_on(open_page):
    def headless(root):
        from safetensors.numpy import load_file, save_file

        path = root / "planted" / "model.safetensors"
        save_file({k: v for k, v in load_file(path).items() if not k.startswith("unembed")}, path)

    at = open_page(prepare=headless)
    assert not at.exception
    assert "no unembedding" in errors_of(at)
    at.switch_page("../../pages/positions.py").run()
    assert not at.exception
    assert not at.error
