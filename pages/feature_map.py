"""Feature map: what does the whole dictionary look like?"""

import streamlit as st

from ui.feature_map import clusters as map_cluster_views
from ui.feature_map import layers as map_series_views
from ui.feature_map import map as map_views
from ui.feature_map import settings as map_settings
from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import opened

ICON = ":material/scatter_plot:"
ORDER = 7

st.title("Feature map")
st.caption("Every feature as a point, near to those that point in a similar direction, and how far to trust that.")

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)
with errors.shown(stop=True):
    settings, ids = map_settings.pick()

TABS = {
    "Map": lambda: map_views.the_map(settings, ids),
    "Clusters": lambda: map_cluster_views.clusters(settings),
    "Layers": lambda: map_series_views.layers(settings),
}
tabs.draw(TABS)
