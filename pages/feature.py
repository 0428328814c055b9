"""Feature: what makes this feature fire, and what does it do?"""

import streamlit as st

from ui.feature import examples, logits, overview, own_direction, proxies, related
from ui.shared import errors, tabs
from ui.shared.escape import plain
from ui.sidebar import pickers, text_picker, token_set_picker
from ui.studies import feature, logit_weights, names, opened
from ui.studies.own_direction import stands_in

ICON = ":material/manage_search:"
GROUP = "One feature"
ORDER = 2

heading = st.empty()
heading.title("Feature")
st.caption("What makes this feature fire, which tokens it promotes, and which features are related to it.")

with errors.shown(stop=True):
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
text_picker.draw(dictionary, model)
settings = logit_weights.settings()
with st.sidebar:
    token_set_picker.editor(model)

pickers.facts(dictionary, model)
with errors.shown(stop=True):
    if stands_in():
        own_direction.notice(dictionary)
    else:
        own_direction.offer(dictionary)
    subject = feature.subject()
heading.title(plain(names.titled(subject)))
if not subject.own:
    with errors.shown():
        feature.suggest_clearest(lambda: subject.passed.statistics)
with errors.shown():
    overview.head(subject, settings)

TABS = {
    "Summary": lambda: overview.overview(subject, settings),
    "Examples": lambda: examples.examples(subject),
    "Proxies": lambda: proxies.proxies(subject),
    "Logits": lambda: logits.logits(subject, settings),
    "Related": lambda: related.related(subject),
    "Notes": lambda: overview.notes(subject),
}
FORMERLY = {
    "Overview": "Summary",
}
tabs.draw(TABS, formerly=FORMERLY)
