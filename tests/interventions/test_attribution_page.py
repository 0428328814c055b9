"""The tabs Attribution and Atlas on a planted workspace, run by AppTest through the router."""

import numpy as np
import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, table, text_of

FEATURE = planted_pages.POSITIONAL
QUERY = {"rows": "20", "feature": str(FEATURE), "iv_text": "Your prompt", "prompt": "abcdefgh"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def open_page(workspace):
    """Return a function that opens the page with a query, with what the tests before it computed."""
    with pages.kept_page(workspace, "interventions", QUERY) as open_page:
        yield open_page


@pytest.fixture
def open_tab(open_page):
    """Return a function that opens a tab with a query."""
    return lambda tab, query=None: open_page({"tab": tab} | (query or {}))


@pytest.mark.parametrize("text", ["Strongest contexts", "Your prompt"])
@pytest.mark.parametrize("number", ["Loss", "Logit", "Logit difference"])
def test_features_are_ranked_and_compared_with_ablation(open_tab, text, number):
    at = fine(open_tab("Attribution", {"iv_text": text, "attr_number": number}))
    ranked = table(at, "attribution")
    assert len(ranked) > 1
    assert ranked["attribution"].abs().is_monotonic_decreasing
    titles = [metric.label for metric in at.metric]
    assert {"Slope, features", "Rank correlation, features", "Slope, random"} <= set(titles)
    words = {"Loss": "loss, summed over tokens", "Logit": "logit of", "Logit difference": "−"}
    assert words[number] in text_of(at)


def test_a_token_that_is_typed_is_asked_about_and_one_that_there_is_not_is_said(open_tab):
    at = fine(open_tab("Attribution", {"attr_number": "Logit difference", "attr_plus": "z", "attr_minus": "#70"}))
    assert "logit of 'z' − logit of " in text_of(at)
    at = open_tab("Attribution", {"attr_number": "Logit", "attr_plus": "zz"})
    assert "'zz' is no token of planted: it reads it as 2 tokens, 'z', 'z'." in text_of(at, "error")
    at = open_tab("Attribution", {"attr_number": "Logit difference", "attr_plus": "z", "attr_minus": "z"})
    assert "Expected two tokens" in text_of(at, "error")


def test_against_means_silent_features_are_ranked_too(open_tab):
    fine(open_tab("Attribution", {"iv_text": "Strongest contexts"}))  # the token pass runs
    query = {"prompt": "abcd"}
    zero, mean = (
        table(fine(open_tab("Attribution", query | {"attr_baseline": baseline})), "attribution")
        for baseline in ("0", "Mean")
    )
    assert len(mean) > len(zero)


def test_the_atlas_lists_every_feature_and_the_other_pages_have_its_numbers(open_tab, workspace):
    at = fine(open_tab("Atlas"))
    atlas = table(at, "atlas_per_firing")
    assert atlas["atlas_size"].is_monotonic_decreasing
    assert sorted(atlas["feature"]) == list(range(len(atlas)))
    which = atlas["atlas_quadrant"].iloc[0]
    few = table(fine(open_tab("Atlas", {"atlas_which": which})), "atlas_per_firing")
    assert set(few["atlas_quadrant"]) == {which}
    assert len(few) < len(atlas)


def test_the_atlas_can_be_compared_with_ablation(open_tab):
    assert "Slope, features" not in [metric.label for metric in fine(open_tab("Atlas")).metric]
    at = fine(open_tab("Atlas", {"atlas_check": "true"}))
    assert "Slope, features" in [metric.label for metric in at.metric]
    assert "the first rows of" in text_of(at)


def test_the_table_of_all_features_and_the_colours_of_maps_have_the_atlas(open_tab, workspace):
    atlas = table(fine(open_tab("Atlas")), "atlas_per_firing").set_index("feature").sort_index()

    def script():
        import streamlit as st

        from ui.studies import compute, feature_tables, opened
        from ui.studies.feature_columns import COLUMNS

        st.session_state["sae"] = st.query_params["sae"]
        with compute.only_stored():
            st.dataframe(feature_tables.stored(opened.dictionary())[0])
            st.markdown(str(list(COLUMNS["atlas_effect"].values(None))) + COLUMNS["atlas_effect"].text(None)[0])

    at = fine(pages.run(script, {"sae": planted_pages.id_of(workspace), "rows": "20"}, rows=20))
    whole = table(at, "atlas_effect")
    np.testing.assert_allclose(whole["atlas_effect"], atlas["atlas_effect"])
    assert "tokens, all of" in text_of(at)


def test_the_atlas_is_drawn_where_the_picked_feature_never_fires(open_tab):
    atlas = table(fine(open_tab("Atlas")), "atlas_per_firing")
    silent = str(atlas.loc[atlas["atlas_quadrant"] == "silent", "feature"].iloc[0])
    query = {"feature": silent, "iv_text": "Strongest contexts"}
    assert len(table(fine(open_tab("Atlas", query)), "atlas_per_firing")) == len(atlas)
    assert f"Feature {silent} is active on none of the" in text_of(open_tab("Attribution", query), "error")
