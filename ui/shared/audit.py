"""Audit a number: how it was made, from what, and the same by a slow way that shares no code with the fast one."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import catalogue
from core.audit.checks import name_of, room_of, statistics_of, why_not
from core.audit.recompute import MOST_ROWS, Slow, checked_columns
from ui.shared import errors
from ui.shared.escape import plain, signs_in_table
from ui.shared.picked_feature import picked_feature

Row = Mapping[str, Any]
Recompute = Callable[[Mapping[str, Any], Sequence[str], Sequence[Row], int], Slow]
_recompute: ContextVar[Recompute | None] = ContextVar("recompute", default=None)
ICON = ":material/fact_check:"
HELD_BY = "tests/oracles/test_oracles.py, case"
_KEYS = (
    *("feature_a", "feature_b", "coarse_feature", "child", "d_sae", "neighbor", "neighbor_rank"),
    *("token_set", "token_label", "token", "position", "stage", "bin_low"),
)
"""Columns that tell one row of a feature from another."""


def recompute_by(recompute: Recompute) -> None:
    """Let figures of this run compute numbers anew with this function."""
    _recompute.set(recompute)


def is_offered() -> bool:
    """Whether this run can compute numbers anew; outside of the app it cannot."""
    return _recompute.get() is not None


def draw(
    table: pd.DataFrame | Callable[[], pd.DataFrame], name: str, provenance: Mapping[str, Any], explains: Sequence[str]
) -> None:
    """Say how the numbers of a figure were made, and offer to compute those of the picked feature anew.

    A table that is a function is not made before a person asks; `explains` names its numbers until then.
    """
    columns = list(table) if isinstance(table, pd.DataFrame) else list(explains)
    known = statistics_of([*columns, *explains])
    st.caption("How these numbers are made")
    st.markdown("\n".join(f"- {_said(one)}" for one in known))
    for said in (*_tests(known), made_from(provenance)):
        st.caption(plain(said))
    if callable(table) and "feature" not in columns:
        columns = ["feature", *columns]  # as tables of many rows have
    if checked_columns(provenance, columns):
        _offer(table, name, provenance)
    reasons: dict[str, list[str]] = {}
    for one in known:
        if why := why_not(provenance, one, columns):
            reasons.setdefault(why, []).append(catalogue.statistic(one).title)
    if reasons:
        st.caption("Not by the slow way here")
        st.markdown("\n".join(f"- {plain(', '.join(titles))}: {plain(why)}." for why, titles in reasons.items()))


def beside_cards(place: DeltaGenerator, numbers: Mapping[str, Any], name: str, provenance: Mapping[str, Any]) -> None:
    """Offer the same of numbers that stand on cards, by their columns, in the row of cards."""
    if is_offered():
        with place.popover("Check", icon=ICON, type="tertiary", width="content"):
            draw(pd.DataFrame([numbers]), name, provenance, [])


def held_by(statistic: str) -> str:
    """Say which test holds a number to its slow version."""
    room = room_of(catalogue.ALIASES.get(statistic, statistic))
    return f"held by {HELD_BY} {room}" if room else "held by the tests of its page"


def made_from(provenance: Mapping[str, Any]) -> str:
    """Say from which weights and settings, and by which code."""
    dictionaries, model = provenance.get("dictionaries") or (), provenance.get("model")
    parts = [f"dictionary {one['sha256'][:16]}" for one in dictionaries]
    parts += [f"model {model['sha256'][:16]}"] if model else []
    parts += [str(provenance["method"])] if provenance.get("method") else []
    parts += [f"{name} {value}" for name, value in (provenance.get("settings") or {}).items()]
    return " · ".join([*parts, str(provenance.get("app", ""))])


def _said(name: str) -> str:
    one = catalogue.statistic(name)
    return f"**{plain(one.title)}**: {plain(one.formula)}"


def _tests(names: Sequence[str]) -> list[str]:
    """Say which tests hold these numbers, each test once."""
    by_test: dict[str, list[str]] = {}
    for name in names:
        by_test.setdefault(held_by(name), []).append(catalogue.statistic(name).title)
    if len(by_test) == 1:
        return [f"H{next(iter(by_test))[1:]}"]
    return [f"{', '.join(titles)}: {test}" for test, titles in by_test.items()]


_HELP = (
    "Computes the picked feature from the raw weights in 64-bit numbers, step by step as the formulas say, in a "
    "process of its own that loads none of the code that made the figure. Where a text is read, the model runs as it "
    "does for the figure; what it gives is encoded anew."
)


def _offer(table: pd.DataFrame | Callable[[], pd.DataFrame], name: str, provenance: Mapping[str, Any]) -> None:
    """Draw the button, and behind it what the slow way finds."""
    asked, feature = f"_audit {name}", picked_feature()
    if st.button("Recompute by the slow way", key=f"audit-{name}", help=_HELP):
        st.session_state[asked] = feature
    if st.session_state.get(asked) != feature:
        return
    whole = table() if callable(table) else table
    own, feature = _rows(whole, provenance)
    if not len(own):
        st.caption(f"Feature {feature} has no row here. Pick one that has to compute it the slow way.")
        return
    rows = [{key: _bare(value) for key, value in row.items()} for row in own.head(MOST_ROWS).to_dict("records")]
    with errors.shown():
        _compare(rows, provenance, _recomputed(provenance, checked_columns(provenance, list(own)), rows, feature))
        if len(own) > MOST_ROWS:
            st.caption(f"The first {MOST_ROWS} of {len(own):,} rows.")


def _rows(table: pd.DataFrame, provenance: Mapping[str, Any]) -> tuple[pd.DataFrame, int]:
    """Return the rows of a table that are about a feature, and the feature."""
    settings, picked = provenance.get("settings") or {}, picked_feature()
    own = next((column for column in ("feature", "feature_a") if column in table), None)
    if own and settings.get("end") != "b":  # of the second of two dictionaries no feature is picked
        return table[table[own] == picked], picked
    return table, int(settings.get("feature", picked))


def _bare(value: Any) -> Any:
    """Return a cell as plain data: numbers and texts."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, int | float | str) else None if value is pd.NA else str(value)


def _recomputed(provenance: Mapping[str, Any], columns: Sequence[str], rows: Sequence[Row], feature: int) -> Slow:
    recompute = _recompute.get()
    assert recompute is not None
    return recompute(provenance, columns, rows, feature)


def _compare(rows: Sequence[Row], provenance: Mapping[str, Any], slow: Slow) -> None:
    """List what is shown, what the slow way finds, and the difference."""
    settings = provenance.get("settings") or {}
    keys = [key for key in _KEYS if len({str(row.get(key)) for row in rows}) > 1]
    found = []
    for one in slow.numbers:
        row = rows[one.row]
        title = catalogue.statistic(name_of(one.column, row, settings)).title
        shown = row[one.column]
        at = {"Row": ", ".join(str(row[key]) for key in keys)} if len(rows) > 1 else {}
        found.append({**at, "Number": title, "Shown": np.nan if shown is None else float(shown), "Slow way": one.value})
    if found:
        table = pd.DataFrame(found)
        table = table.assign(Difference=table["Shown"] - table["Slow way"])
        digits, small = (st.column_config.NumberColumn(format=form) for form in ("%.7g", "%.1e"))
        config = {"Shown": digits, "Slow way": digits, "Difference": small}
        st.dataframe(signs_in_table(table), hide_index=True, column_config=config)
    for column, why in slow.left_out.items():
        title = catalogue.statistic(name_of(column, {}, settings)).title
        st.caption(plain(f"{title} is left out: {why}."))
