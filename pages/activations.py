"""Activations: how do activation values move with position and layer?"""

import streamlit as st

from ui.activations import error as error_views
from ui.activations import features as feature_views
from ui.activations import layers as series_views
from ui.activations import loss as loss_views
from ui.activations import positions as views
from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.sidebar import text as text_picker
from ui.studies import opened

ICON = ":material/ssid_chart:"
ORDER = 3

st.title("Activation values")
st.caption("How large activations are and how often they come, by position, by feature and by layer; zeros left out.")

with errors.shown(stop=True):
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)

pickers.facts(dictionary, model)
with errors.shown(stop=True):
    text_picker.draw(dictionary, model)
    view = views.chosen(views.embedding(model), views.count_first())

TABS = {
    "By position": lambda: views.positions(view),
    "Deciles": lambda: views.deciles(view),
    "Features": lambda: feature_views.features(view),
    "One feature": lambda: feature_views.one_feature(view),
    "Error by position": lambda: error_views.error(view),
    "Loss by position": lambda: loss_views.losses(view),
    "Layers": lambda: series_views.layers(view),
}
tabs.draw(TABS)
