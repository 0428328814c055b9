"""Logit weights: which features promote, suppress or partition a class of tokens?"""

import streamlit as st

from ui.enrichment import views as enrichment_views
from ui.logit_weights import all_features as views
from ui.logit_weights import one_feature as logit_feature_views
from ui.shared import errors, tabs
from ui.sidebar import pickers, token_sets
from ui.studies import logit_weights as logit_studies
from ui.studies import token_sets as token_set_studies

ICON = ":material/bar_chart:"
ORDER = 5

st.title("Logit weights")
st.caption("What each feature does to the logit of every token, when it alone writes to the residual stream.")

settings = logit_studies.settings()
with errors.shown(stop=True):
    study = logit_studies.logit_study(settings)
pickers.facts(study.dictionary, study.model, f"Logit weights: {settings.describe()}.")
with st.sidebar:
    token_sets.editor(study.model)

feature = int(st.session_state.get("feature", 0))
TABS = {
    "All features": lambda: views.overview(study),
    "One feature": lambda: logit_feature_views.one_feature_by_set(study, feature),
    "Enrichment": lambda: enrichment_views.enrichment(study, token_set_studies.sets(study.model)),
    "Layers": lambda: logit_feature_views.layers(study),
    "Token sets": lambda: token_sets.library_table(study.model),
}
tabs.draw(TABS)
