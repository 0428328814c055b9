"""Splitting: what becomes of a feature in wider dictionaries?"""

import streamlit as st

from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.splitting import matrix, series, siblings
from ui.studies import opened

ICON = ":material/account_tree:"
GROUP = "Compare"
ORDER = 12

st.title("Splitting of features")
st.caption(
    "Which features of wider dictionaries one feature of a narrow dictionary becomes, and how seed, data, type, width "
    "and layer change the features."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)
threshold = series.threshold()

TABS = {
    "Children": lambda: series.of_series(series.children, threshold),
    "Counts": lambda: series.of_series(series.counts, threshold),
    "Siblings": lambda: series.of_series(siblings.siblings, threshold),
    "Many dictionaries": lambda: matrix.many(threshold),
    "Three at once": lambda: matrix.three(threshold),
}
tabs.draw(TABS)
