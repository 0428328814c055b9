"""Neuronpedia: what does Neuronpedia say of this feature, and how do I bring mine there?"""

import streamlit as st

from ui.neuronpedia import export as neuronpedia_export
from ui.neuronpedia import labels
from ui.shared import errors, tabs
from ui.shared.picked_feature import picked_feature, suggest_feature
from ui.sidebar import pickers
from ui.studies import opened

ICON = ":material/public:"
GROUP = "Other tools"
ORDER = 21

st.title("Neuronpedia")
st.caption(
    "Neuronpedia is a site that shows the features of published dictionaries. This page links to a feature there, "
    "downloads its labels, and makes the files for an upload. The app sends no request before you press a button."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)
suggest_feature(0, "it is the first")
feature = picked_feature()


def quick_list() -> None:
    labels.quick_list(dictionary, labels.choose_features(dictionary, feature))


def export() -> None:
    neuronpedia_export.export(dictionary, opened.model_of(dictionary), labels.choose_features(dictionary, feature))


TABS = {
    "This feature": lambda: labels.panel(dictionary, feature),
    "Quick list": quick_list,
    "Export": export,
}
tabs.draw(TABS)
