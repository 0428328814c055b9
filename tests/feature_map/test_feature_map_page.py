"""The feature map's page on a planted workspace, run by AppTest through the router."""

import numpy as np
import pytest
import streamlit as st

from core.feature_map.layout import Layout, LayoutSettings
from core.maths.polygon import inside
from core.work.artifacts import ArtifactStore
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, reading, table_by_key
from tests.doubles.planted import planted_dictionary
from tests.doubles.planted_pages import id_of
from tests.feature_map.test_component import messages
from ui.feature_map.map import MapStudy
from ui.studies import feature_map, geometry, opened

N = 12
UMAP = LayoutSettings()


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that writes a workspace with two dictionaries and opens the page with a query."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    planted_dictionary(d_in=planted_pages.D, d_sae=5, seed=3).save(tmp_path / "other")
    planted_dictionary(d_in=6, d_sae=5).save(tmp_path / "narrow")
    pinned = [f"--sae={tmp_path / name}" for name in ("other", "narrow")]
    with pages.page(tmp_path, monkeypatch, "feature_map", *pinned) as run:
        run.folder = tmp_path
        yield run


def store_map(folder) -> Layout:
    """Put a map on disk as if it had been computed; feature 4 has no place."""
    pages.forget()
    found = opened.dictionary(id_of(folder))
    x, y, preservation = np.random.default_rng(0).random((3, N)).astype(np.float32)
    x[4] = y[4] = preservation[4] = np.nan
    layout = Layout(x, y, preservation)
    ArtifactStore(folder / "cache").save(layout, Layout.key(found.sha256, settings=UMAP))
    return layout


@pytest.mark.parametrize("tab", ["Map", "Clusters", "Map of each layer"])
def test_every_tab_opens_from_a_link_without_an_exception(open_page, tab):
    at = fine(open_page({"tab": tab, "method": "PCA"}))
    assert at.title[0].value == "Feature map"


def test_principal_components_are_shown_and_nothing_is_computed_until_it_is_asked_for(open_page, monkeypatch):
    def refuse(*_args, **_how):
        raise AssertionError("a map was computed unasked")

    monkeypatch.setattr(feature_map, "layout", refuse)
    monkeypatch.setattr(feature_map, "neighbors", refuse)
    at = open_page()
    sent = messages(at)["points"]
    expected = feature_map.pca([id_of(open_page.folder)])
    assert sent["x"] == expected[sent["feature"], 0].tolist()
    assert at.button(key="map_compute").label == "Compute the UMAP map"
    assert reading(at, "Neighbours kept, mean") == "n/a"


def test_a_map_that_takes_seconds_is_made_unasked(open_page, monkeypatch):
    asked = []
    stored = Layout(np.arange(N, dtype=np.float32), np.zeros(N, np.float32), np.ones(N, np.float32))
    monkeypatch.setattr(feature_map, "layout", lambda settings, ids: asked.append(settings.method) or stored)
    monkeypatch.setattr("ui.feature_map.map.AT_ONCE", range(N, N + 1))
    at = open_page()
    assert set(asked) == {"umap"}
    assert messages(at)["points"]["x"] == stored.x[messages(at)["points"]["feature"]].tolist()
    monkeypatch.setattr("ui.feature_map.map.AT_ONCE", range(N + 1, N + 2))
    asked.clear()
    assert open_page().button(key="map_compute").label == "Compute the UMAP map"
    assert asked == []


def test_principal_components_come_before_a_map_that_is_made_unasked(open_page, monkeypatch):
    asked, pca = [], feature_map.pca
    stored = Layout(np.arange(N, dtype=np.float32), np.zeros(N, np.float32), np.ones(N, np.float32))
    monkeypatch.setattr(feature_map, "pca", lambda *of: asked.append("pca") or pca(*of))
    monkeypatch.setattr(feature_map, "layout", lambda settings, ids: asked.append(settings.method) or stored)
    monkeypatch.setattr("ui.feature_map.map.AT_ONCE", range(N, N + 1))
    open_page()
    assert asked[:2] == ["pca", "umap"]  # so that something stands there while the map is made


def test_a_map_that_cannot_be_made_says_why_and_principal_components_stay(open_page):
    at = open_page()
    at.button(key="map_compute").click().run()
    assert "12" in at.error[0].value
    assert "15" in at.error[0].value
    assert messages(at)["points"]["n"] == N


def test_pca_is_judged_when_asked(open_page):
    at = open_page({"method": "PCA"})
    at.button(key="map_compute").click().run()
    # With 12 features all 11 others are the nearest 15 on any map.
    assert reading(at, "Neighbours kept, mean") == "100%"
    assert messages(at)["colours"]["title"] == "Neighbours kept on the map"


def test_a_stored_map_is_shown_at_once_without_the_features_that_have_no_place(open_page):
    layout = store_map(open_page.folder)
    at = open_page()
    sent = messages(at)["points"]
    assert sorted(sent["feature"]) == [i for i in range(N) if i != 4]
    assert sent["x"] == layout.x[sent["feature"]].tolist()
    assert reading(at, "Neighbours kept, mean") == f"{layout.mean_preservation:.0%}"
    assert "1 features are all zero or NaN and not on the map" in "".join(c.value for c in at.caption).replace("\\", "")


def test_a_lasso_and_a_search_filter_the_table(open_page):
    layout = store_map(open_page.folder)
    at = open_page({"find": "0-7"})
    assert reading(at, "Found") == "8"
    assert sorted(table_by_key(at, "map-table")["feature"]) == list(range(8))
    outline = [[0.2, 0.0], [1.0, 0.0], [1.0, 1.0], [0.6, 0.4], [0.2, 1.0]]
    at.session_state["map"] = {"lasso": {"polygon": outline, "digest": messages(at)["points"]["digest"]}}
    at.run()
    expected = np.flatnonzero(inside(layout.x, layout.y, outline) & (np.arange(N) < 8))
    assert 0 < len(expected) < 8
    assert sorted(table_by_key(at, "map-table")["feature"]) == expected.tolist()
    assert reading(at, "In the lasso") == str(len(expected))


def test_a_search_for_what_is_not_there_yet_says_how_to_get_it(open_page):
    at = open_page({"method": "PCA", "find": "cluster 3"})
    assert "tab Clusters" in at.error[0].value
    at.text_input(key="find").set_value("the *cat*").run()
    assert "colour by kurtosis" in at.error[0].value
    assert len(table_by_key(at, "map-table")) == N


def test_kurtosis_brings_the_tokens_that_a_search_looks_through(open_page):
    at = open_page({"method": "PCA", "colour": "Kurtosis"})
    at.run()  # the first run computed them
    tokens = table_by_key(at, "map-table").set_index("feature")["top_token"]
    at.text_input(key="find").set_value(f'"{tokens[3]}"').run()
    assert table_by_key(at, "map-table")["feature"].tolist() == [
        i for i in table_by_key(at, "map-table")["feature"] if tokens[i].casefold() == tokens[3].casefold()
    ]
    assert 3 in table_by_key(at, "map-table")["feature"].tolist()


def test_the_picked_feature_is_ringed_and_its_true_neighbours_are_listed(open_page):
    at = open_page({"method": "PCA", "feature": "6"})
    found = messages(at)
    assert [found["points"]["feature"][i] for i in found["marks"]["picked"]] == [6]
    W = opened.dictionary(id_of(open_page.folder)).W_dec.astype(float)
    cosines = W @ W[6] / np.linalg.norm(W, axis=1) / np.linalg.norm(W[6])
    cosines[6] = -2
    listed = table_by_key(at, "map-neighbors")
    assert listed["neighbor"].iloc[0] == cosines.argmax()
    assert listed["neighbor_cosine"].to_numpy() == pytest.approx(np.sort(cosines)[::-1][:11], abs=1e-6)


def test_the_map_takes_the_colours_of_a_number_that_another_page_computes(open_page):
    at = open_page({"method": "PCA", "colour": "Nearest cosine"})
    found = messages(at)
    assert found["colours"]["title"] == "Nearest cosine"
    nearest = geometry.neighbors(id_of(open_page.folder)).cos[:, 0]
    assert found["colours"]["value"] == nearest[found["points"]["feature"]].tolist()


def test_two_dictionaries_share_a_map(open_page):
    at = open_page({"method": "PCA", "with": id_of(open_page.folder, "other"), "feature": "2"})
    sent = messages(at)["points"]
    assert sorted(sent["feature"]) == sorted([*range(N), *range(5)])
    assert set(table_by_key(at, "map-neighbors").columns) >= {"dictionary", "neighbor"}
    assert set(table_by_key(at, "map-table")["dictionary"].str.rpartition("/")[2]) == {"dictionary", "other"}


def test_a_click_on_the_other_dictionary_of_a_map_leaves_the_feature_of_all_pages_alone(open_page):
    pages.forget()
    ids = [id_of(open_page.folder), id_of(open_page.folder, "other")]
    layout = feature_map.pca_map(ids, "decoder")
    study = MapStudy(LayoutSettings("pca"), ids, feature_map.stack(ids), layout, None, None)
    st.session_state["feature"] = 2
    study.pick(N + 4)
    assert (st.session_state["feature"], study.picked_row()) == (2, N + 4)
    assert study.row_title(N + 4) == "feature 4 of folder/other"
    st.session_state["feature"] = 3  # chosen elsewhere
    assert study.picked_row() == 3
    study.pick(7)
    assert (st.session_state["feature"], study.picked_row()) == (7, 7)


def test_dictionaries_of_different_spaces_are_refused_by_name(open_page):
    at = open_page({"method": "PCA", "with": id_of(open_page.folder, "narrow")})
    assert not at.exception
    assert "cannot be compared" in at.error[0].value
