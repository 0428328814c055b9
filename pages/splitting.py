"""Splitting: what becomes of a feature in wider dictionaries?"""

import streamlit as st

from ui import compute, errors, pickers, sibling_views
from ui import match_matrix_views as many_views
from ui import splitting_views as views

ICON = ":material/account_tree:"
ORDER = 9

st.title("Splitting of features")
st.caption(
    "Which features of wider dictionaries go back to one of a narrow one, and what the seed, the data, the type, the "
    "width or the layer changes."
)

with errors.shown(stop=True):
    dictionary = compute.dictionary()
pickers.facts(dictionary)
threshold = views.threshold()

TABS = {
    "Children": lambda: views.of_series(views.children, threshold),
    "Counts": lambda: views.of_series(views.counts, threshold),
    "Siblings": lambda: views.of_series(sibling_views.siblings, threshold),
    "Many dictionaries": lambda: many_views.many(threshold),
    "Three at once": lambda: many_views.three(threshold),
}
for tab, draw in zip(st.tabs(list(TABS), key="tab", bind="query-params"), TABS.values(), strict=True):
    if tab.open:
        with tab, errors.shown():
            draw()
