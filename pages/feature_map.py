"""Feature map: what does the whole dictionary look like?"""

import streamlit as st

from ui.feature_map import clusters, layers, map
from ui.feature_map import settings as feature_map_settings
from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import opened

ICON = ":material/scatter_plot:"
GROUP = "All features"
ORDER = 9

st.title("Feature map")
st.caption(
    "Every feature is a point. Features with similar directions lie near each other. The page also measures how "
    "far the map can be trusted."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)
with errors.shown(stop=True):
    settings, ids = feature_map_settings.pick()

TABS = {
    "Map": lambda: map.the_map(settings, ids),
    "Clusters": lambda: clusters.clusters(settings),
    "Map of each layer": lambda: layers.layers(settings),
}
FORMERLY = {
    "Layers": "Map of each layer",
}
tabs.draw(TABS, formerly=FORMERLY)
