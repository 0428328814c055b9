"""Automata: which feature fires on the next token?"""

import streamlit as st

from ui.automata import all_features, around, loops, rule
from ui.shared import errors, tabs
from ui.sidebar import pickers, text_picker
from ui.studies import opened

ICON = ":material/conversion_path:"
GROUP = "All features"
ORDER = 10

st.title("What fires next")
st.caption(
    "Which feature fires on the token after another, how much more often than in shuffled text, and which features "
    "follow one another in loops."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)

pickers.facts(dictionary, model)
with errors.shown(stop=True):
    text_picker.draw(dictionary, model)
    automaton = rule.automaton()

TABS = {
    "Around one feature": lambda: around.around(automaton),
    "What follows each": lambda: all_features.all_features(automaton),
    "Loops and paths": lambda: loops.loops_and_paths(automaton),
}
tabs.draw(TABS)
