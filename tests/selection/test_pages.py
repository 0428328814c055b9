"""Pages that make a selection and follow it, run by AppTest through the router."""

import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, table, text_of


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    planted_pages.write_workspace(root)
    return root


@pytest.fixture
def opened(workspace, monkeypatch):
    """Return a function that opens a page with a query; what the page before it selected is in its link."""

    def run(name, query):
        sae = planted_pages.id_of(workspace)
        with pages.app(monkeypatch, *planted_pages.arguments(workspace), "--page", name):
            yield fine(pages.run(pages.SCRIPT, {"sae": sae} | query))

    running = []

    def first(name, **query):
        running.append(run(name, query))
        return next(running[-1])

    yield first
    for one in running:
        next(one, None)


def link(at) -> str:
    value = at.query_params["selection"]
    return value if isinstance(value, str) else value[0]


def select_button(at, name):
    return next(button for button in at.button if button.key == f"select-0-{name}")


def test_the_table_of_features_selects_what_it_lists_or_the_rows_that_are_ticked(opened):
    at = opened("overview", tab="Table of features")
    assert select_button(at, "all-features").label == "Select all 12"
    at.session_state["ov_table"] = {"selection": {"rows": [2, 5, 7], "columns": [], "cells": []}}
    at = fine(at.run())
    assert select_button(at, "all-features").label == "Select 3"
    at = fine(select_button(at, "all-features").click().run())
    assert link(at).endswith(":2,5,7")
    assert "from 12 of 12 features" in text_of(at.sidebar, "caption")


def test_only_these_leaves_members_in_the_table_and_a_click_picks_the_right_one(opened):
    at = opened("overview", tab="Table of features", selection="2,5,7", only="true")
    assert table(at, "encoder_norm")["feature"].tolist() == [2, 5, 7]
    assert "3 of 3 features" in text_of(at, "markdown")
    at = opened("geometry", tab="Hubs", selection="2,5,7", only="true")
    hubs = table(at, "in_degree")
    assert sorted(hubs["feature"]) == [2, 5, 7]
    assert "shown: the 3 rows of 12 that the selection has" in text_of(at, "caption")


def test_without_the_switch_tables_show_all(opened):
    at = opened("geometry", tab="Hubs", selection="2,5,7")
    assert len(table(at, "in_degree")) == 12


def test_the_export_to_neuronpedia_takes_the_selection(opened):
    at = opened("neuronpedia", tab="Quick list", selection="2,5,7")
    assert "The 3 features of the selection" in text_of(at, "caption")
    at = fine(at.text_input(key="np_features").set_value("1, 4").run())
    assert "features of the selection" not in text_of(at, "caption")


def test_the_summary_says_what_members_share_or_why_it_cannot(opened):
    at = opened("overview", tab="Selection")
    assert "Nothing is selected" in text_of(at, "info")
    at = opened("overview", tab="Selection", selection="2,5,7")
    assert "Five members and five others" in text_of(at, "info")
    assert table(at, "encoder_norm")["feature"].tolist() == [2, 5, 7]
    at = opened("overview", tab="Selection", selection="0-5")
    shared = table(at, "member_larger")
    assert "Encoder norm" in shared["compared"].tolist()
    assert (shared["n_members"] == 6).all()


def test_the_summary_says_which_members_are_active_together_once_the_text_is_read(opened, monkeypatch):
    planted_pages.read_little_text(monkeypatch)
    at = opened("overview", tab="Selection", selection="0-5", rows="20")
    assert "needs a token pass over the chosen text" in text_of(at, "info")
    opened("activations", rows="20")
    at = opened("overview", tab="Selection", selection="0-5", rows="20")
    found = table(at, "member_lift")
    assert set(found["feature"]) <= set(range(6))
    assert found["log10_q_together"].le(0).all()
    assert "members are active" in text_of(at, "caption")
