"""The tab Around one feature: the graph of what fires before and after it, and both lists."""

import numpy as np
import pandas as pd
import streamlit as st

from core.automata import graph
from core.automata.tables import edge_table, is_edge
from core.feature.names import cut
from ui.automata import charts
from ui.shared import naming
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, is_dark, listing
from ui.shared.picked_feature import picked_feature
from ui.shared.selection import choose_feature_from
from ui.studies import automata
from ui.studies.automata import Automaton

TOP = 20
LONGEST_LABEL = 22
LISTED = ("step_lift", "shuffled_lift", "step_q", "step_count", "step_share")
KEY = "au-graph"


def around(automaton: Automaton) -> None:
    """Draw the graph of the picked feature, what follows it, and what comes before it."""
    feature = picked_feature()
    near = graph.surroundings(automaton.found, feature, automaton.rule, most=automaton.most)
    if near.edges.empty:
        st.info(plain(nothing(automaton, feature)))
    else:
        draw_graph(automaton, near, feature)
    left, right = st.columns(2, gap="medium")
    with left:
        neighbours(automaton, feature, back=False)
    with right:
        neighbours(automaton, feature, back=True)


def nothing(automaton: Automaton, feature: int) -> str:
    """Say why a feature has no edges."""
    found, rule = automaton.found, automaton.rule
    count, least = int(found.source_count[feature]), automata.SETTINGS.least_tokens
    if count == 0:
        return f"Feature {feature} fires on no token of this text that another follows. Pick another, or more text."
    if count < least:
        return f"Feature {feature} fires on {count} tokens of this text; features on fewer than {least} are not tested."
    edges = f"q ≤ {rule.q:g}, {rule.least_count} times or more, {rule.least_ratio:g} times shuffled text or more"
    return (
        f"Feature {feature} has no edge by this rule: {edges}. Choose more text, pick another feature, or loosen the "
        "rule above."
    )


def draw_graph(automaton: Automaton, near: graph.Surroundings, feature: int) -> None:
    """Draw nodes with names and edges with their numbers and examples."""
    edges = automata.with_logit_edges(automaton, near.edges)
    pairs = list(zip(edges["feature"].tolist(), edges["next_feature"].tolist(), strict=True))
    texts = automata.examples(automaton, pairs)
    numbered = {f"example_{n + 1}": [text[n] if n < len(text) else "" for text in texts] for n in range(3)}
    called = naming.names_of(automaton.passed.dictionary.sha256)

    def name(i: int) -> str:
        return f"{i} {called.of(i)}".strip() if called else str(i)

    shown = edges.assign(
        **numbered,
        **{"from": [name(one) for one, _ in pairs], "to": [name(other) for _, other in pairs]},
    )
    nodes = near.nodes.assign(label=[cut(name(i), LONGEST_LABEL) for i in near.nodes["feature"].tolist()])
    left_off = [f"{near.left_off:,} weaker edges among these features not drawn"] if near.left_off else []
    figure(
        f"What fires around feature {feature}",
        altair(
            charts.automaton(nodes, shown, dark=is_dark()),
            KEY,
            on_select=choose_feature_from(KEY, "point"),
            selection="point",
        ),
        edges.assign(step_example=numbered["example_1"]),
        explains=[name for name in (*LISTED, "logit_edge", "chance_logit_edge") if name in edges],
        note=automaton.note(
            f"{len(nodes)} features: the {automaton.most} largest lifts of each, {graph.STEPS} steps both ways",
            "line: lift (thicker is larger), arrow: to what fires next, ring: fires again itself",
            *left_off,
            f"layout by networkx, seed {graph.LAYOUT_SEED}",
            "hover over a line for numbers and text · click a feature to go to it",
        ),
        name=f"feature-{feature}-automaton",
        provenance=automaton.provenance(feature=feature, layout_seed=graph.LAYOUT_SEED),
    )


def neighbours(automaton: Automaton, feature: int, *, back: bool) -> None:
    """List the features that fire right after a feature, or right before it."""
    found = automaton.found
    own = found.target if back else found.source
    mine = np.flatnonzero(is_edge(found, automaton.rule) & (own == feature))
    mine = mine[np.argsort(-found.lift[mine], kind="stable")]
    title = f"Fires right {'before' if back else 'after'} feature {feature}"
    if not len(mine):
        st.caption(f"{title}: no feature by this rule.")
        return
    table = automata.with_examples(automaton, edge_table(found, mine[:TOP]))
    other = "feature" if back else "next_feature"
    shown: pd.DataFrame = table[[other, *LISTED, "step_example"]]
    cutoff = [f"{TOP} of {len(mine):,} features shown"] if len(mine) > TOP else [f"{len(mine):,} features"]
    figure(
        title,
        listing(shown, f"au-{'before' if back else 'after'}", picks=other),
        table,
        explains=LISTED,
        note=automaton.brief(*cutoff, "by lift", "click a row to go to its feature"),
        name=f"feature-{feature}-{'before' if back else 'after'}",
        provenance=automaton.provenance(feature=feature),
    )
