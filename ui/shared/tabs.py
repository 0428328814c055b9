"""Tabs of a page: only the open one is drawn, and an error in it leaves the others alone."""

from collections.abc import Callable, Mapping

import streamlit as st

from ui.shared import errors


def draw(tabs: Mapping[str, Callable[[], object]]) -> None:
    """Show a tab for each name and call the function that draws the open one. The URL holds the open tab."""
    for tab, draw_tab in zip(st.tabs(list(tabs), key="tab", bind="query-params"), tabs.values(), strict=True):
        if tab.open:
            with tab, errors.shown():
                draw_tab()
