"""The tab on layers, on two layers of the demo's series, and the maps behind it."""

import json

import numpy as np
import pandas as pd
import pytest

from core.feature_map.layer_series import LayerLinks
from core.feature_map.layout import Layout
from core.feature_map.stack import Stack
from tests.doubles import pages
from tests.doubles.pages import fine, text_of
from ui.feature_map import layers

FIRST = "demo/layer2-standard-512"
SCRIPT = """
import streamlit as st
from core.feature_map.layout import LayoutSettings
from ui.feature_map import layers
st.session_state["sae"] = {id!r}
layers.layers(LayoutSettings({method!r}))
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Return a function that runs the tab alone on a demo dictionary."""
    with pages.app(monkeypatch, "--cache", str(tmp_path / "cache")):
        yield lambda id, method="pca", query=None: pages.run(SCRIPT.format(id=id, method=method), query)


def test_two_layers_are_drawn_apart_and_together(app):
    at = fine(app("demo/layer2-standard-2048", query={"map_layers": ["2", "3"]}))
    assert len(at.get("vega_lite_chart")) == 2
    assert len(at.get("bidi_component")) == 3
    shown = text_of(at, "markdown", "caption")
    assert "A map of each layer" in shown
    assert "4,096 features" in shown
    assert not [button for button in at.button if button.key == "map_layers_compute"]


def test_the_maps_of_layers_follow_the_selection_from_its_layer_on(tmp_path, monkeypatch):
    query = {"sae": "demo/layer2-standard-2048", "tab": "Map of each layer", "map_layers": ["2", "3"]}
    with pages.app(monkeypatch, "--cache", str(tmp_path / "cache"), "--page", "feature_map"):
        said = text_of(fine(pages.run(pages.SCRIPT, query | {"selection": "2,5,7"})), "caption")
        assert "3 members of the selection stand out" in said
        assert "grey: neither selected nor what becomes of it" in said
        assert "neither selected" not in text_of(fine(pages.run(pages.SCRIPT, query)), "caption")


def test_a_map_that_takes_long_is_offered_first_and_principal_components_are_shown(app):
    at = app("demo/layer2-standard-2048", "umap", {"map_layers": ["2", "3"]})
    assert not at.exception
    assert at.button(key="map_layers_compute").label == "Compute the UMAP maps of 2 layers"
    assert any("principal components" in caption.value for caption in at.caption)


def test_a_dictionary_without_a_series_is_told_so(app):
    at = app(FIRST)
    assert not at.exception
    assert "No other dictionary here differs from this one in the layer alone" in at.info[0].value


SHELF = """
import streamlit as st
from core.feature_map.layout import LayoutSettings
from ui.studies import feature_map
st.session_state["sae"] = "demo/layer2-standard-512"
settings = LayoutSettings("umap", n_neighbors=5)
before = feature_map.stored(settings)
made = feature_map.layout(settings)
st.json({"before": before is None, "same": feature_map.stored(settings) is made})
joint = feature_map.stack(["demo/layer2-standard-512", "demo/layer2-standard-1024"])
st.json({"rows": len(joint.feature), "pca": list(feature_map.pca_map([]).x.shape)})
"""


def test_a_map_is_computed_once_and_then_found(app):
    at = pages.run(SHELF)
    assert not at.exception
    assert [json.loads(found.value) for found in at.json] == [
        {"before": True, "same": True},
        {"rows": 1536, "pca": [512]},
    ]


def test_the_grid_draws_the_same_sample_each_time():
    table = pd.DataFrame({"feature": np.arange(5000)})
    first = layers.sample(table)["feature"].tolist()
    assert first == layers.sample(table)["feature"].tolist() == sorted(set(first))
    assert len(first) == layers.MOST_POINTS
    assert len(layers.sample(table[:30])) == 30


def test_features_of_the_last_layer_go_nowhere_in_the_animation():
    stack = Stack(np.eye(5), np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1]), ("a", "b"))
    links = LayerLinks(np.array([1, -1, 0, -1, -1]), np.array([0.9, np.nan, 0.5, np.nan, np.nan]))
    x = np.arange(5.0)
    points = layers.series_points(["A", "B"], stack, Layout(x, x + 10, x), links)
    assert [(step.title, step.start, step.stop) for step in points.steps] == [("A", 0, 3), ("B", 3, 5)]
    np.testing.assert_array_equal(points.to_x, [4, np.nan, 3, np.nan, np.nan])
    np.testing.assert_array_equal(points.to_y, [14, np.nan, 13, np.nan, np.nan])
