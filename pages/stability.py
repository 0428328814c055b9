"""Stability: which features return in other dictionaries, more often than by chance?"""

import streamlit as st

from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.stability import companions, factors, left_over, life, picker, returning, stable_core
from ui.studies import opened

ICON = ":material/verified:"
GROUP = "Compare"
ORDER = 13

st.title("Stability of features")
st.caption(
    "Which features of a dictionary are found again in others of its hook, such as other seeds, data, widths and "
    "types, compared with chance."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)
with errors.shown(stop=True):
    others = picker.others(dictionary)

TABS = {
    "Returning features": lambda: returning.returning(others),
    "Left over": lambda: left_over.left_over(others),
    "What goes with it": lambda: companions.companions(others),
    "Factors": lambda: factors.factors(others),
    "Stable core": lambda: stable_core.core(others),
    "Life over layers": life.life,
}
tabs.draw(TABS)
