"""Text: which features does my own text use, and how do two texts differ?"""

import streamlit as st

from ui.shared import errors, tabs
from ui.sidebar import pickers
from ui.studies import opened
from ui.text import input as text_input
from ui.text import one_text as views
from ui.text import two_prompts as prompt_views
from ui.text import two_texts as pair_views

ICON = ":material/article:"
ORDER = 4

st.title("Your own text")
st.caption(
    "Which features of this dictionary your own text uses, token by token, and in which two texts or prompts differ. "
    "Text stays on the machine that runs this app."
)

with errors.shown(stop=True):
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
    how = text_input.reading(dictionary, model)

pickers.facts(dictionary, model)

TABS = {
    "One text": lambda: views.one_text(dictionary, model, how),
    "Two texts": lambda: pair_views.two_texts(dictionary, model, how),
    "Two prompts": lambda: prompt_views.two_prompts(dictionary, model, how),
}
tabs.draw(TABS)
