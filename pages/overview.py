"""Overview: what is this dictionary, and is it healthy?"""

import streamlit as st

from ui.overview import all_features as all_features_views
from ui.overview import density as density_views
from ui.overview import dictionary as views
from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import opened

ICON = ":material/monitor_heart:"
ORDER = 1

st.title("Overview")
st.caption("What this dictionary is, exactly how it is used here, and whether it does what its source says.")

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)

TABS = {
    "Overview": lambda: views.overview(dictionary),
    "Density": lambda: density_views.density(dictionary),
    "Norms and biases": lambda: views.norms(dictionary),
    "Basis": lambda: views.basis(dictionary),
    "All features": lambda: all_features_views.all_features(dictionary),
}
tabs.draw(TABS)
