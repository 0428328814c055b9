"""The cards of the first page: a question, what is found for the open dictionary, and a link to it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from ui.shared import links
from ui.shared.errors import NotStored, StillRunning
from ui.shared.escape import plain

if TYPE_CHECKING:
    from core.home.findings import Finding

_FOUND = "_home_found"
"""What was last found for each card, so that a page that is drawn anew does not lose what it says."""


@dataclass(frozen=True)
class Question:
    """What a card asks, the page that answers, and the name of what finds the answer (see ui.home.answers)."""

    text: str
    page: str
    find: str


QUESTIONS = (
    Question("Which features follow token position?", "positions", "positional"),
    Question("What makes a feature fire?", "feature", "firing"),
    Question("Which features promote a class of tokens?", "logit_weights", "promoting"),
    Question("Which features does my own text use?", "text", "used"),
    Question("Would another training run find the same features?", "matching", "shared"),
    Question("What becomes of a feature in a wider dictionary?", "splitting", "splitting"),
    Question("Which features nearly coincide?", "geometry", "coinciding"),
    Question("What does the whole dictionary look like?", "feature_map", "grouped"),
)


@dataclass(frozen=True)
class Card:
    """A card on the screen; what is found is drawn into its two places later."""

    question: Question
    said: st.delta_generator.DeltaGenerator
    link: st.delta_generator.DeltaGenerator

    def show(self, found: "Finding") -> None:
        """Draw a finding, and lead the link to it."""
        self.said.markdown(f"**{plain(found.said)}**")
        links.to(self.link, self.question.page, found.query)

    def fill(self, find: Callable[[], "Finding | None"]) -> None:
        """Draw what was found, or why nothing is said here."""
        try:
            found = find()
        except StillRunning:
            return
        except NotStored:
            self.said.caption("The page computes this.")
        except LoupeError as error:
            self.said.caption(plain(str(error)))
        else:
            if found is None:
                self.said.caption("No listed dictionary fits.")
                return
            self.show(found)
            st.session_state[_FOUND][self.question.find] = found


def draw(dictionary: Dictionary) -> list[Card]:
    """Draw the questions, and what was found before. Nothing is computed for it."""
    name, cards = (dictionary.id, dictionary.sha256), []
    if st.session_state.get(_FOUND, {}).get("of") != name:
        st.session_state[_FOUND] = {"of": name}
    with st.container(key="questions", gap="small"):  # ui/shell/style.py puts them side by side
        for question in QUESTIONS:
            with st.container(border=True, height="stretch"):
                st.markdown(plain(question.text))
                said, link = st.empty(), st.empty()
                card = Card(question, said, link)
                if found := st.session_state[_FOUND].get(question.find):
                    card.show(found)
                else:
                    said.caption("…")
                    links.to(link, question.page, {})
                cards.append(card)
    return cards


def fill(cards: list[Card], dictionary: Dictionary) -> None:
    """Find what can be found for the open dictionary, one card after the other."""
    from ui.home.answers import ANSWERS  # imports most of core, which the first sight of the page does not need

    for card in cards:
        card.fill(partial(ANSWERS[card.question.find], dictionary))
