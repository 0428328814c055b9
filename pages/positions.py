"""Positions: which features follow token position?"""

import streamlit as st

from ui.positions import all_features as views
from ui.positions import beyond as beyond_views
from ui.positions import directions as space_views
from ui.positions import one_feature as feature_views
from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import positions as position_studies

ICON = ":material/linear_scale:"
ORDER = 0

st.title("Positional features")
st.caption("Which features of this dictionary follow the position of a token, which follow the token, and where.")

with errors.shown(stop=True):
    study = position_studies.position_study(n_pos=pickers.positions())

pickers.facts(study.dictionary, study.model, study.reason)
with st.sidebar:
    pickers.number("Position", "position", study.n_pos, help="What the tab One position is about.")
    count = pickers.count(study)

TABS = {
    "Overview": lambda: views.overview(study, count),
    "Curves": lambda: views.curves(study, count),
    "One feature": lambda: feature_views.one_feature(study),
    "One token": lambda: feature_views.one_token(study),
    "One position": lambda: views.one_position(study),
    "Beyond the context": lambda: beyond_views.beyond(study, count),
    "Geometry": lambda: space_views.geometry(study, count),
    "Position or token": lambda: (views.scores(study, count), space_views.widths(study)),
    "Model neurons": lambda: space_views.neurons(study),
    "All features": lambda: views.all_features(study),
}
tabs.draw(TABS)
