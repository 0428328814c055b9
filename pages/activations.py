"""Activations: how do activation values move with position and layer?"""

import streamlit as st

from ui.activations import error, features, layers, loss, positions
from ui.shared import errors, tabs
from ui.sidebar import pickers, text_picker
from ui.studies import feature, opened

ICON = ":material/ssid_chart:"
GROUP = "All features"
ORDER = 7

st.title("Activation values")
st.caption(
    "How large activations are and how often features fire, by position, by feature and by layer. Zeros are left out."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)

pickers.facts(dictionary, model)
with errors.shown(stop=True):
    text_picker.draw(dictionary, model)
    view = positions.chosen(positions.embedding(model), positions.count_first())
feature.suggest_clearest(lambda: view.statistics)

TABS = {
    "By position": lambda: positions.positions(view),
    "Deciles": lambda: positions.deciles(view),
    "Features": lambda: features.features(view),
    "Values of one feature": lambda: features.one_feature(view),
    "Error by position": lambda: error.error(view),
    "Loss by position": lambda: loss.losses(view),
    "By layer": lambda: layers.layers(view),
}
FORMERLY = {
    "One feature": "Values of one feature",
    "Layers": "By layer",
}
tabs.draw(TABS, formerly=FORMERLY)
