"""Positions: which features follow token position?"""

import streamlit as st

from ui.positions import all_features, beyond, directions, one_feature
from ui.shared import errors, tabs
from ui.shared.picked_feature import suggest_feature
from ui.sidebar import pickers
from ui.studies import positions

ICON = ":material/linear_scale:"
GROUP = "All features"
ORDER = 6

st.title("Positional features")
st.caption(
    "Which features of this dictionary follow the position of a token, and which follow the token itself. A "
    "dictionary is one sparse autoencoder (SAE)."
)

with errors.shown(stop=True):
    study = positions.position_study(n_pos=pickers.positions())

read = f" Read were {study.text}; the text is chosen on Activations." if study.text else ""
pickers.facts(study.dictionary, study.model, study.reason + read)
if best := study.top(1):
    suggest_feature(best[0], "of all features it follows position most")
with st.sidebar:
    first = all_features.first_position(study)
    pickers.number("Position", "position", study.n_pos, default=first, help="Shown by the tab One position.")
    count = pickers.count(study)

TABS = {
    "Heatmap": lambda: all_features.overview(study, count),
    "Curves": lambda: all_features.curves(study, count),
    "Feature by position": lambda: one_feature.one_feature(study),
    "One token": lambda: one_feature.one_token(study),
    "One position": lambda: all_features.one_position(study),
    "Beyond the context": lambda: beyond.beyond(study, count),
    "Position vectors": lambda: directions.geometry(study, count),
    "Position or token": lambda: (all_features.scores(study, count), directions.widths(study)),
    "Model neurons": lambda: directions.neurons(study),
    "All scores": lambda: all_features.all_features(study),
}
FORMERLY = {
    "Overview": "Heatmap",
    "One feature": "Feature by position",
    "Geometry": "Position vectors",
    "All features": "All scores",
}
tabs.draw(TABS, formerly=FORMERLY)
