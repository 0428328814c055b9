"""The tabs on the tasks of a plan: their states, failures in words, and what of each dictionary is there."""

import streamlit as st

from core.sweeps.state import progress_of
from core.sweeps.sweep import Sweep
from core.sweeps.tables import coverage_table, task_table
from ui.shared.figure import figure, listing
from ui.sweeps.said import note, provenance

SHOWN_FIRST = ("failed", "running", "waiting", "done")


def tasks(sweep: Sweep) -> None:
    """Draw all tasks, failed ones first, and the command that goes on with them."""
    states = progress_of(sweep.plan, sweep.place.store, sweep.place.documents)
    table = task_table(sweep.plan, states)
    if any(one.state != "done" for one in states):
        st.markdown("**Go on with what is left**, in a terminal on a machine that sees the same store:")
        st.code(sweep.command("resume"), language=None, wrap_lines=True)
    order = table["sweep_state"].map(SHOWN_FIRST.index)
    table = table.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    figure(
        "Tasks of the plan",
        listing(table, "sweep-tasks", height=420 if len(table) > 12 else "auto"),
        table,
        explains=["sweep_state", "sweep_seconds", "sweep_words"],
        note=note(sweep, f"{len(table):,} tasks, failed ones first"),
        name="sweep-tasks",
        provenance=provenance(sweep),
    )


def coverage(sweep: Sweep) -> None:
    """Draw which analysis of which dictionary is there."""
    states = progress_of(sweep.plan, sweep.place.store, sweep.place.documents)
    table = coverage_table(sweep.plan, states)
    figure(
        "What of each dictionary is there",
        listing(table, "sweep-coverage", height=420 if len(table) > 12 else "auto"),
        table,
        explains=["sweep_state"],
        note=note(sweep, "pages find what is done under the same names, and compute what is missing when asked"),
        name="sweep-coverage",
        provenance=provenance(sweep),
    )
