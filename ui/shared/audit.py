"""Audit a number: how it was made, from what, and the same by a slow way that shares no code with the fast one."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import pandas as pd
import streamlit as st

from core import catalogue
from core.audit.recompute import ROOMS, audited
from ui.shared import errors
from ui.shared.escape import plain, signs_in_table
from ui.shared.picked_feature import picked_feature

Recompute = Callable[[Mapping[str, Any], Sequence[str], int], dict[str, float]]
_recompute: ContextVar[Recompute | None] = ContextVar("recompute", default=None)


def recompute_by(recompute: Recompute) -> None:
    """Let figures of this run compute numbers anew with this function."""
    _recompute.set(recompute)


def columns_of(table: object, provenance: Mapping[str, Any]) -> list[str]:
    """Return the columns of a figure's table that can be audited; none outside of the app."""
    if _recompute.get() is None or not isinstance(table, pd.DataFrame):
        return []
    return audited(provenance, list(table))


def draw(table: pd.DataFrame, name: str, provenance: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Say how the columns were made, and offer to compute those of the picked feature anew."""
    st.caption("How these numbers are made")
    said = {catalogue.statistic(column).title: catalogue.statistic(column).formula for column in columns}
    st.markdown("\n".join(f"- **{plain(title)}**: {plain(formula)}" for title, formula in said.items()))
    st.caption(plain(_made_from(provenance)))
    feature, own = picked_feature(), table[table["feature"] == picked_feature()]
    if len(own) != 1:
        st.caption(f"Feature {feature} has no row of its own here. Pick one that has to compute it the slow way.")
        return
    asked = f"_audit {name}"
    if st.button("Recompute by the slow way", key=f"audit-{name}", help=_HELP):
        st.session_state[asked] = feature
    if st.session_state.get(asked) == feature:
        with errors.shown():
            _compare(own.iloc[0], columns, _recomputed(provenance, columns, feature))


_HELP = (
    "Computes the picked feature from the raw weights in 64-bit numbers, step by step as the formulas say, in a "
    "process of its own that loads none of the code that made the figure."
)


def _recomputed(provenance: Mapping[str, Any], columns: Sequence[str], feature: int) -> dict[str, float]:
    recompute = _recompute.get()
    assert recompute is not None
    return recompute(provenance, columns, feature)


def _compare(row: pd.Series, columns: Sequence[str], slow: Mapping[str, float]) -> None:
    """List what is shown, what the slow way finds, and the difference."""
    shown = [float(row[column]) if pd.notna(row[column]) else float("nan") for column in columns]
    found = [slow[column] for column in columns]
    titles = [catalogue.statistic(column).title for column in columns]
    table = pd.DataFrame({"Number": titles, "Shown": shown, "Slow way": found})
    table = table.assign(Difference=table["Shown"] - table["Slow way"])
    digits = st.column_config.NumberColumn(format="%.7g")
    small = st.column_config.NumberColumn(format="%.1e")
    st.dataframe(
        signs_in_table(table),
        hide_index=True,
        column_config={"Shown": digits, "Slow way": digits, "Difference": small},
    )


def _made_from(provenance: Mapping[str, Any]) -> str:
    """Say from which weights and settings, by which code, and where a test holds the slow way to the fast one."""
    dictionary, model = provenance["dictionaries"][0], provenance.get("model")
    parts = [f"dictionary {dictionary['sha256'][:16]}", *([f"model {model['sha256'][:16]}"] if model else [])]
    parts += [f"{name} {value}" for name, value in provenance["settings"].items()]
    room = ROOMS[provenance["method"]]
    return f"{' · '.join([*parts, provenance['app']])} · held by tests/oracles/test_oracles.py, case {room}"
