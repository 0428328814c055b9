"""Feature: what makes this feature fire, and what does it do?"""

import streamlit as st

from ui.feature import examples as feature_example_views
from ui.feature import logits as feature_logit_views
from ui.feature import overview as views
from ui.feature import own_direction
from ui.feature import proxies as feature_proxy_views
from ui.feature import related as feature_relation_views
from ui.shared import errors, tabs
from ui.sidebar import pickers, token_sets
from ui.sidebar import text as text_picker
from ui.studies import feature as subjects
from ui.studies import logit_weights as logit_studies
from ui.studies import opened
from ui.studies.own_direction import stands_in

ICON = ":material/manage_search:"
ORDER = 2

st.title("One feature")
st.caption("What makes this feature fire, how strongly and where, what it promotes, and what it is related to.")

with errors.shown(stop=True):
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
text_picker.draw(dictionary, model)
settings = logit_studies.settings()
with st.sidebar:
    token_sets.editor(model)

pickers.facts(dictionary, model)
with errors.shown(stop=True):
    if stands_in():
        own_direction.notice(dictionary)
    else:
        own_direction.offer(dictionary)
    subject = subjects.subject()
views.head(subject, settings)

TABS = {
    "Overview": lambda: views.overview(subject, settings),
    "Examples": lambda: feature_example_views.examples(subject),
    "Proxies": lambda: feature_proxy_views.proxies(subject),
    "Logits": lambda: feature_logit_views.logits(subject, settings),
    "Related": lambda: feature_relation_views.related(subject),
    "Notes": lambda: views.notes(subject),
}
tabs.draw(TABS)
