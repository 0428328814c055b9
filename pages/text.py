"""Text: which features does my own text use, and how do two texts differ?"""

import streamlit as st

from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import opened
from ui.text import input, one_text, two_prompts, two_texts

ICON = ":material/article:"
GROUP = "One feature"
ORDER = 3

st.title("Your own text")
st.caption(
    "Which features fire on your own text, token by token, and which features differ between two texts or two prompts. "
    "The text stays on the machine that runs this app."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
    how = input.reading(dictionary, model)

pickers.facts(dictionary, model)

TABS = {
    "One text": lambda: one_text.one_text(dictionary, model, how),
    "Two texts": lambda: two_texts.two_texts(dictionary, model, how),
    "Two prompts": lambda: two_prompts.two_prompts(dictionary, model, how),
}
tabs.draw(TABS)
