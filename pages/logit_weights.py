"""Logit weights: which features promote, suppress or partition a class of tokens?"""

import streamlit as st

from ui.enrichment import views
from ui.logit_weights import all_features, one_feature
from ui.shared import errors, tabs
from ui.shared.picked_feature import picked_feature, suggest_feature
from ui.sidebar import pickers, token_set_picker
from ui.studies import logit_weights, token_sets

ICON = ":material/bar_chart:"
GROUP = "All features"
ORDER = 5

st.title("Logit weights")
st.caption("What each feature adds to the logit of every token, if it alone writes to the residual stream.")

settings = logit_weights.settings()
with errors.shown(stop=True):
    study = logit_weights.logit_study(settings)
pickers.facts(study.dictionary, study.model, f"Logit weights: {settings.describe(study.model)}.")
with st.sidebar:
    token_set_picker.editor(study.model)

if study.most_peaked is not None:
    suggest_feature(study.most_peaked, "of the features that are skewed towards promotion it has the largest kurtosis")
feature = picked_feature()
TABS = {
    "Moments": lambda: all_features.overview(study),
    "Weights of one feature": lambda: one_feature.one_feature_by_set(study, feature),
    "Enrichment": lambda: views.enrichment(study, token_sets.sets(study.model)),
    "Moments by layer": lambda: one_feature.layers(study),
    "Token sets": lambda: token_set_picker.library_table(study.model),
}
FORMERLY = {
    "All features": "Moments",
    "One feature": "Weights of one feature",
    "Layers": "Moments by layer",
}
tabs.draw(TABS, formerly=FORMERLY)
