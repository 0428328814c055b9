"""The tab Loops and paths: features that take turns, and longer ways through the automaton."""

import pandas as pd
import streamlit as st

from core.automata.graph import MOST_LOOPS
from core.automata.walks import MOST_PATHS, SHUFFLES
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.shared.picked_feature import picked_feature
from ui.studies import automata
from ui.studies.automata import Automaton

LENGTHS = [2, 3, 4, 5]
EXPLAINED = ("path_count", "path_shuffled", "path_lift", "path_q")


def loops_and_paths(automaton: Automaton) -> None:
    """List loops of n steps in the whole dictionary, and paths of n steps from the picked feature on."""
    n = st.segmented_control("Steps", LENGTHS, default=2, required=True, key="au_n", bind="query-params")
    table = automata.loops(automaton, n)
    if table.empty:
        st.info(f"No loop of {n} features by this rule. Choose more text, or loosen the rule above.")
    else:
        which = "" if n == 2 else f", along the {automaton.most} largest lifts of each feature"
        draw(
            automaton,
            f"Loops of {n} features",
            table,
            "au-loops",
            [f"the {MOST_LOOPS} with the largest weakest lift{which}; of these, those that the text walks once around"],
        )
    feature = picked_feature()
    table = automata.paths(automaton, feature, n + 1)
    if table.empty:
        st.info(plain(f"No path of {n} steps begins at feature {feature} by this rule."))
        return
    said = f"at each step the {automaton.most} continuations that the text walks most often, at most {MOST_PATHS} paths"
    draw(automaton, f"Paths of {n} steps from feature {feature}", table, "au-paths", [said])


def draw(automaton: Automaton, title: str, table: pd.DataFrame, key: str, said: list[str]) -> None:
    figure(
        title,
        listing(table, key, picks="feature", order=["path", *EXPLAINED, "path_example"]),
        table,
        explains=EXPLAINED,
        note=(automaton.note if key == "au-loops" else automaton.brief)(
            *said, f"chance: mean of {SHUFFLES} shuffled texts, seed 0", "click a row to pick its first feature"
        ),
        name=key.removeprefix("au-") if key == "au-loops" else f"feature-{picked_feature()}-paths",
        provenance=automaton.provenance(),
    )
