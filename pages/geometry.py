"""Geometry: how far apart are the features, compared with chance?"""

import streamlit as st

from ui.geometry import distances as views
from ui.geometry import features as feature_views
from ui.shared import errors, tabs
from ui.shared.escape import plain
from ui.sidebar import pickers
from ui.studies import geometry as geometry_studies
from ui.studies import opened

ICON = ":material/hub:"
ORDER = 6

st.title("Geometry of the dictionary")
st.caption("How far apart the features' directions are, compared with chance, and which of them nearly coincide.")

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)
side = pickers.side()
with errors.shown(stop=True):
    study = geometry_studies.study(side=side)
if study.warning:
    st.warning(plain(study.warning), icon=":material/warning:")

TABS = {
    "Distances": lambda: views.distances(study),
    "Hubs": lambda: feature_views.hubs(study),
    "Against density": lambda: feature_views.against_density(study),
    "Composed": lambda: feature_views.composed(study),
    "One feature": lambda: feature_views.one_feature(study),
}
tabs.draw(TABS)
