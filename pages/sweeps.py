"""Sweeps: how far are many analyses of many dictionaries, and what do they say together?"""

import streamlit as st

from ui.shared import errors, tabs
from ui.studies import sweeps as studies
from ui.sweeps import picker, results, tasks

ICON = ":material/grid_view:"
GROUP = "Compare"
ORDER = 14

st.title("Sweeps")
st.caption(
    "What became of each task of a plan that runs in this process, on a cluster or anywhere else, and what its results "
    "say across layers, widths, seeds and texts. Nothing is computed here."
)

with errors.shown(stop=True):
    place = studies.place()
    sweep = picker.pick(place)

if sweep is not None:
    TABS = {
        "Tasks": lambda: tasks.tasks(sweep),
        "What is there": lambda: tasks.coverage(sweep),
        "Across texts": lambda: results.across_texts(sweep),
        "Across dictionaries": lambda: results.across_dictionaries(sweep),
    }
    tabs.draw(TABS)
