"""Ground truth: what do the pages say of a dictionary whose truth is known?"""

import streamlit as st

from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import opened, worlds
from ui.worlds import truth

ICON = ":material/fact_check:"
GROUP = "Other tools"
ORDER = 18

st.title("Ground truth")
st.caption(
    "A dictionary of a synthetic world, in which it is known what every feature is, beside what the pages say of it."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
if dictionary.id not in (worlds.NARROW, worlds.WIDE):
    truth.offer()
    st.stop()
pickers.facts(dictionary)
with errors.shown(stop=True):
    study = worlds.study()

TABS = {
    "What pages say": lambda: truth.verdicts(study),
    "Every feature": lambda: truth.features(study),
    "The world": lambda: truth.world(study),
}
tabs.draw(TABS)
