"""Geometry: how far apart are the features, compared with chance?"""

import streamlit as st

from ui.geometry import distances, features
from ui.shared import errors, tabs
from ui.shared.escape import plain
from ui.sidebar import pickers
from ui.studies import geometry, opened

ICON = ":material/hub:"
GROUP = "All features"
ORDER = 8

st.title("Geometry of the dictionary")
st.caption(
    "How far apart the directions of the features are, compared with random directions, and which features "
    "nearly coincide."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)
side = pickers.side()
with errors.shown(stop=True):
    study = geometry.study(side=side)
if study.warning:
    st.warning(plain(study.warning), icon=":material/warning:")
geometry.suggest_closest(study.neighbors)

TABS = {
    "Distances": lambda: distances.distances(study),
    "Hubs": lambda: features.hubs(study),
    "Cosine against density": lambda: features.against_density(study),
    "Composed": lambda: features.composed(study),
    "Nearest features": lambda: features.one_feature(study),
}
FORMERLY = {
    "Against density": "Cosine against density",
    "One feature": "Nearest features",
}
tabs.draw(TABS, formerly=FORMERLY)
