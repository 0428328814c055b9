"""The tab What follows each: every feature, what follows it, and whether it follows itself."""

import streamlit as st

from core.automata.tables import feature_table, follows_itself, is_edge
from ui.shared import charts
from ui.shared.figure import altair, figure, listing
from ui.shared.selection import axis_title, choose_feature_from
from ui.studies.automata import Automaton

MOST_ROWS = 5_000
KEY = "au-self"


def all_features(automaton: Automaton) -> None:
    """Draw self-excitation against chance, and the table of all features."""
    found, rule = automaton.found, automaton.rule
    table = feature_table(found, rule)
    tested = table[table["self_q"].notna()]
    if tested.empty:
        st.info("No feature fires on enough tokens of this text to be tested. Choose more text.")
        return
    x, y = "self_shuffled_lift", "self_lift"
    chart = charts.scatter(
        tested, x, y, x_title=axis_title(x, True), y_title=axis_title(y, True), x_log=True, y_log=True, select="point"
    )
    hidden = int((tested[y] <= 0).sum())
    figure(
        "How often features fire twice in a row",
        altair(chart.properties(height=320), KEY, on_select=choose_feature_from(KEY, "point"), selection="point"),
        tested[["feature", "self_count", "self_lift", "self_shuffled_lift", "self_q"]],
        explains=["self_lift", "self_shuffled_lift", "self_q"],
        note=automaton.note(
            f"{len(tested):,} tested features",
            *([f"{hidden:,} never fire twice in a row and are not on the log axis"] if hidden else []),
            f"{int(follows_itself(found, rule).sum()):,} follow themselves by this rule",
            "click a point to pick its feature",
        ),
        name="self-excitation",
        provenance=automaton.provenance(),
    )
    figure(
        f"{int(is_edge(found, rule).sum()):,} edges among {found.d_sae:,} features",
        listing(table.head(MOST_ROWS), "au-all", picks="feature", height=460),
        table,
        explains=["self_lift", "self_shuffled_lift", "n_next", "n_loops", "step_lift", "shuffled_lift"],
        note=automaton.brief(
            "those that follow themselves most come first",
            "next feature: the one with the largest lift",
            *([f"{MOST_ROWS:,} of {len(table):,} features shown, files hold all"] if len(table) > MOST_ROWS else []),
            "click a row to pick its feature",
        ),
        name="automaton-all-features",
        provenance=automaton.provenance(),
    )
