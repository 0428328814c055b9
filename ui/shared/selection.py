"""What charts and tables of features share: titles from the catalogue, and picking a feature by a click."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pandas as pd
import streamlit as st

from core import catalogue
from ui.shared.picked_feature import pick_feature

_told: ContextVar[tuple[str, dict] | None] = ContextVar("told", default=None)


@contextmanager
def telling(chart_key: str, selection: dict) -> Iterator[None]:
    """Let `selection_of` know what was chosen in a chart that Altair does not draw; around the page's callback."""
    token = _told.set((chart_key, selection))
    try:
        yield
    finally:
        _told.reset(token)


def selection_of(chart_key: str) -> dict:
    """Return what is chosen in a chart, by the names of its selections; for callbacks."""
    told = _told.get()
    return told[1] if told and told[0] == chart_key else st.session_state[chart_key]["selection"]


def choose_feature_from(chart_key: str, selection: str):
    """Return a callback that picks the feature of a clicked mark, in the sidebar and in the URL."""

    def callback() -> None:
        points = selection_of(chart_key).get(selection) or []
        if points and "feature" in points[0]:
            pick_feature(points[0]["feature"])

    return callback


def axis_title(name: str, log: bool) -> str:
    """Return the title of a statistic, with (log) for a logarithmic axis."""
    return f"{catalogue.statistic(name).title}{' (log)' if log else ''}"


def columns(table: pd.DataFrame) -> dict:
    """Return titles, help and number formats of a table's columns. Raises for a column without a declaration."""
    result = {}
    for name in table.columns:
        item = catalogue.statistic(name)
        if pd.api.types.is_float_dtype(table[name]):
            result[name] = st.column_config.NumberColumn(item.title, help=catalogue.help_text(name), format="%.4g")
        else:
            result[name] = st.column_config.Column(item.title, help=catalogue.help_text(name))
    return result
