"""What all tabs of the automata page share: the rule for edges, picked in one row."""

import streamlit as st

from core.automata.tables import EdgeRule, suggested
from core.automata.transitions import LEVELS
from ui.studies import automata, token_pass
from ui.studies.automata import Automaton


def choose() -> tuple[EdgeRule, int]:
    """Pick the rule, and how many edges of each feature are followed. The URL holds it."""
    usual = EdgeRule()
    with st.expander("When one feature follows another", icon=":material/rule:"):
        columns = st.columns(4)
        q = columns[0].selectbox(
            "q at most",
            list(LEVELS),
            index=LEVELS.index(usual.q),
            key="au_q",
            bind="query-params",
            help="Expected share of false discoveries among all steps from feature to feature that are called real.",
        )
        count = columns[1].number_input(
            "Times, at least",
            automata.SETTINGS.least_together,
            10**6,
            usual.least_count,
            key="au_count",
            bind="query-params",
            help="How often the step happens in the text.",
        )
        ratio = columns[2].number_input(
            "Times shuffled text, at least",
            1.0,
            1000.0,
            usual.least_ratio,
            step=0.5,
            key="au_ratio",
            bind="query-params",
            help="How many times as often the step happens as in the same text with its tokens shuffled.",
        )
        most = columns[3].number_input(
            "Edges followed",
            1,
            8,
            3,
            key="au_most",
            bind="query-params",
            help="How many edges of each feature the graph, loops and paths follow: those with the largest lift, or, "
            "for paths, those walked most often.",
        )
        turns = st.toggle(
            "Only features that seldom fire on one token together",
            value=usual.turns,
            key="au_turns",
            bind="query-params",
            help="Two features that fire on the same tokens also follow one another, wherever both last for more than "
            "one token. Off: they are edges too.",
        )
    return EdgeRule(q, int(count), float(ratio), turns), int(most)


def automaton() -> Automaton:
    """Return the transitions of the text with the rule that a person chose (raises StillRunning, LoupeError)."""
    passed = token_pass.token_pass()
    found = automata.of_pass(passed)
    rule, most = choose()
    made = Automaton(passed, found, rule, most)
    automata.suggest(made, suggested(found, rule))
    return made
