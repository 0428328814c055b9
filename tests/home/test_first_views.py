"""What pages show before anybody has picked a feature, and that a person's pick wins."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.geometry.neighbors import Neighbors, nearest_features
from core.geometry.tables import closest_feature
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, text_of
from ui.studies import opened, second_dictionary


@pytest.fixture
def open_app(tmp_path, monkeypatch):
    """Return a function that opens a page of a planted workspace, without a feature in the address."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)

    def run(page: str, query: dict | None = None) -> AppTest:
        with pages.app(monkeypatch, *planted_pages.arguments(tmp_path), "--page", page):
            return fine(pages.run(pages.SCRIPT, {"sae": planted_pages.id_of(tmp_path)} | (query or {})))

    return run


def field(at: AppTest) -> int | None:
    """The number in the field Feature of the sidebar."""
    return at.number_input(key="feature").value


def closest(at: AppTest) -> int:
    return closest_feature(nearest_features(opened.dictionary(at.session_state["sae"]).W_dec, k=5))


def test_positions_shows_the_feature_that_follows_position_most(open_app):
    at = open_app("positions", {"tab": "Feature by position"})
    assert field(at) == planted_pages.POSITIONAL
    assert f"Feature {planted_pages.POSITIONAL} is shown until you pick one" in text_of(at, "caption")
    assert f"Feature {planted_pages.POSITIONAL} by position" in text_of(at, "markdown")


@pytest.mark.parametrize("page", ["geometry", "feature_map"])
def test_geometry_and_map_show_the_feature_with_the_nearest_neighbour(open_app, page):
    at = open_app(page)
    assert field(at) == closest(at)
    assert "no other has a nearer neighbour" in text_of(at, "caption")


@pytest.mark.parametrize("page", ["feature", "activations", "text", "logit_weights"])
def test_pages_on_text_and_tokens_show_a_feature_that_is_not_silent(open_app, page):
    at = open_app(page)
    assert field(at) is not None
    said = text_of(at)
    assert f"Feature {field(at)} is shown until you pick one" in said
    assert "silent on this text" not in said
    assert "is active on none of" not in said


def test_two_texts_begin_with_texts_that_differ_and_with_a_feature_that_does(open_app):
    at = open_app("text", {"tab": "Two texts"})
    assert "it differs most between the texts" in text_of(at, "caption")
    first = next(frame.value for frame in at.dataframe if "unit_q" in frame.value.columns).iloc[0]
    assert field(at) == first["feature"]


def test_where_no_feature_differs_those_that_come_nearest_are_listed(open_app):
    same = "import os\nimport sys\n"
    at = open_app("text", {"tab": "Two texts", "own_a": same, "own_b": same + "\n"})
    assert "No feature differs at q" in text_of(at, "info")
    assert "Features that come nearest to differing" in text_of(at, "markdown")


def test_the_partner_of_a_dictionary_is_another_seed_of_it_before_all_others(monkeypatch, tmp_path):
    with pages.app(monkeypatch, "--cache", str(tmp_path)):
        monkeypatch.setattr("ui.studies.opened.st.session_state", {"sae": "demo/layer2-standard-2048"})
        assert second_dictionary.default_second() == "demo/layer2-standard-2048-seed1"


@pytest.mark.parametrize("feature", [0, 7])
def test_a_feature_in_the_link_is_shown_and_nothing_is_said_of_another(open_app, feature):
    at = open_app("positions", {"feature": feature, "tab": "Feature by position"})
    assert field(at) == feature
    assert "until you pick one" not in text_of(at)
    assert f"Feature {feature} by position" in text_of(at, "markdown")


def test_a_feature_that_a_person_types_stays_also_where_it_is_the_suggested_one(open_app, monkeypatch):
    at = open_app("positions")
    for typed in (7, planted_pages.POSITIONAL):
        at.number_input(key="feature").set_value(typed).run()
        assert field(fine(at)) == typed
        assert "until you pick one" not in text_of(at)


def test_an_emptied_field_brings_the_suggested_feature_back(open_app):
    at = open_app("positions", {"feature": 7})
    at.number_input(key="feature").set_value(None).run()
    assert field(fine(at)) == planted_pages.POSITIONAL


def test_a_number_that_is_too_large_is_named_and_the_suggested_one_shown(open_app):
    at = open_app("positions", {"feature": 99})
    assert field(at) == planted_pages.POSITIONAL
    assert f"Showing {planted_pages.POSITIONAL}." in text_of(at, "warning")


def test_one_position_begins_at_position_5(open_app):
    at = open_app("positions", {"tab": "One position"})
    assert "strongest features at position 5" in text_of(at, "markdown")


def test_a_dictionary_without_neighbours_has_no_closest_feature():
    none = np.full((4, 2), np.nan, np.float32)
    assert closest_feature(Neighbors(none, np.full((4, 2), -1), np.arange(4))) is None


def test_a_suggestion_never_replaces_what_a_person_typed_while_it_was_made():
    def app():
        import streamlit as st

        from ui.shared import picked_feature

        picked_feature.take_up()
        st.number_input("Feature", 0, 9, None, key=picked_feature.KEY, on_change=picked_feature.keep_picked)

    at = pages.run(app)
    at.session_state["_feature_next"] = 3  # a page has suggested it, and runs once more
    at.number_input(key="feature").set_value(5).run()
    assert at.number_input(key="feature").value == 5
    at.session_state["_feature_next"] = 3
    assert at.run().number_input(key="feature").value == 5
