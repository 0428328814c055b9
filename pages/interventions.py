"""Interventions: what does this feature cause?"""

import streamlit as st

from ui.interventions import atlas, attribution, continuing, dose, edited_text, subject
from ui.shared import errors, tabs
from ui.sidebar import pickers, text_picker
from ui.studies import opened

ICON = ":material/experiment:"
GROUP = "One feature"
ORDER = 4

st.title("Interventions")
st.caption(
    "What the model says when features are ablated, clamped or steered, token by token. Beside each effect stands that "
    "of controls: random directions of the same length, other features, and the opposite sign."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)

pickers.facts(dictionary, model)
with errors.shown(stop=True):
    subject.check(dictionary, model)
    text_picker.draw(dictionary, model)
    chosen = subject.offered(dictionary, model)

TABS = {
    "Edited text": lambda: edited_text.edited_text(chosen()),
    "Dose and response": lambda: dose.dose(chosen()),
    "Continuations": lambda: continuing.continuing(chosen()),
    "Attribution": lambda: attribution.attribution(chosen()),
    "Atlas": atlas.draw,
}
tabs.draw(TABS)
