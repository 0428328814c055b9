"""Tabs of a page: only the open one is drawn, and an error in it leaves the others alone.

While a report of the page is made, another may be drawn in its place.
"""

from collections.abc import Callable, Mapping

import streamlit as st

from ui.shared import errors, report


def draw(tabs: Mapping[str, Callable[[], object]], *, formerly: Mapping[str, str] | None = None) -> None:
    """Show a tab for each name and call the function that draws the open one. The URL holds the open tab.

    `formerly` are names that tabs had before, with those of today, so that old links open what they opened.
    """
    now = (formerly or {}).get(st.query_params.get("tab", ""))
    if now in tabs:
        st.session_state["tab"] = now
    places = dict(zip(tabs, st.tabs(list(tabs), key="tab", bind="query-params"), strict=True))
    opened = next(title for title, place in places.items() if place.open)
    title = report.tab_to_draw(list(tabs), opened)
    with places[title], report.section(title), errors.shown():
        tabs[title]()
