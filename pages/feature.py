"""Feature: what makes this feature fire, and what does it do?"""

import streamlit as st

from ui import (
    compute,
    errors,
    feature_example_views,
    feature_logit_views,
    feature_proxy_views,
    feature_relation_views,
    logit_studies,
    pickers,
    text_picker,
)
from ui import feature_subject as subjects
from ui import feature_views as views
from ui import own_direction_views as own_directions
from ui import token_set_picker as token_sets

ICON = ":material/manage_search:"
ORDER = 2

st.title("One feature")
st.caption("What makes this feature fire, how strongly and where, what it promotes, and what it is related to.")

with errors.shown(stop=True):
    dictionary = compute.dictionary()
    model = compute.model_of(dictionary)
text_picker.draw(dictionary, model)
settings = logit_studies.settings()
with st.sidebar:
    token_sets.editor(model)

pickers.facts(dictionary, model)
with errors.shown(stop=True):
    if own_directions.stands_in():
        own_directions.notice(dictionary)
    else:
        own_directions.offer(dictionary)
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
for tab, draw in zip(st.tabs(list(TABS), key="tab", bind="query-params"), TABS.values(), strict=True):
    if tab.open:
        with tab, errors.shown():
            draw()
