"""Splitting: what becomes of a feature in wider dictionaries?"""

import streamlit as st

from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.splitting import matrix as many_views
from ui.splitting import series as views
from ui.splitting import siblings as sibling_views
from ui.studies import opened

ICON = ":material/account_tree:"
ORDER = 9

st.title("Splitting of features")
st.caption(
    "Which features of wider dictionaries go back to one of a narrow one, and what the seed, the data, the type, the "
    "width or the layer changes."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
pickers.facts(dictionary)
threshold = views.threshold()

TABS = {
    "Children": lambda: views.of_series(views.children, threshold),
    "Counts": lambda: views.of_series(views.counts, threshold),
    "Siblings": lambda: views.of_series(sibling_views.siblings, threshold),
    "Many dictionaries": lambda: many_views.many(threshold),
    "Three at once": lambda: many_views.three(threshold),
}
tabs.draw(TABS)
