"""Home: what is this, and where do I begin?"""

import streamlit as st

from ui.home import cards, dictionary_card
from ui.shared import errors, progress
from ui.studies import opened

ICON = ":material/home:"
GROUP = "Start"
ORDER = 0

st.title("SAE Loupe")
st.markdown(
    "SAE Loupe shows what is inside a sparse autoencoder (SAE) of a language model. Load one, ask a question, and see "
    "the answer for every feature, exactly and in seconds."
)

left, right = st.columns([3, 2], gap="medium")
with right:
    dictionary_card.own()
with left, errors.shown(stop=True):
    dictionary = opened.dictionary()
    health = dictionary_card.draw(dictionary)
questions = cards.draw(dictionary)
dictionary_card.notes(dictionary)

with progress.in_background() as jobs:
    cards.fill(questions, dictionary)
    dictionary_card.fill(health, dictionary)
progress.watch_all(jobs)
