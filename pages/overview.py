"""Overview: what is this dictionary, and is it healthy?"""

import streamlit as st

from ui.overview import all_features, density, selection
from ui.overview import dictionary as overview_dictionary
from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import opened

ICON = ":material/monitor_heart:"
GROUP = "Start"
ORDER = 1

st.title("Overview")
st.caption(
    "A dictionary is one sparse autoencoder (SAE). This page shows what this one is, how the app feeds it, and "
    "whether it works as its source says."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)

TABS = {
    "Facts and health": lambda: overview_dictionary.overview(dictionary),
    "Density": lambda: density.density(dictionary),
    "Norms and biases": lambda: overview_dictionary.norms(dictionary),
    "Basis": lambda: overview_dictionary.basis(dictionary),
    "Table of features": lambda: all_features.all_features(dictionary),
    "Selection": lambda: selection.selection(dictionary),
}
FORMERLY = {
    "Overview": "Facts and health",
    "All features": "Table of features",
}
tabs.draw(TABS, formerly=FORMERLY)
