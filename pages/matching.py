"""Matching: which features do two dictionaries share, compared with chance?"""

import streamlit as st

from ui.matching import page, picker
from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import opened

ICON = ":material/compare_arrows:"
GROUP = "Compare"
ORDER = 11

st.title("Matching two dictionaries")
st.caption("Which features dictionaries A and B share, compared with chance and with a dictionary matched to itself.")

left, right = st.columns(2, gap="large")
with errors.shown(stop=True):
    a = opened.dictionary()
    with left:
        page.first(a)
    with right:
        b = picker.second()
        pickers.facts(b)
with errors.shown(stop=True):
    TABS = page.tabs(a, b)
FORMERLY = {
    "Against density": "Match against density",
    "Map": "Joint map",
    "Export": "Match file",
}
if TABS:
    tabs.draw(TABS, formerly=FORMERLY)
