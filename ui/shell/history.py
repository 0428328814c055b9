"""Back and forward through what a person did: a script of the page, as Streamlit has no setting for it."""

from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

_TAB = "_tab_gone_back_to"


@cache
def _script() -> str:
    return f"<script>{(Path(__file__).parent / 'history.js').read_text(encoding='utf-8')}</script>"


def draw() -> None:
    """Add the script, which holds nothing from outside, to the page; it works once in a browser's tab."""
    with st.container(key="script_of_history"):  # ui/shell/style.py takes its gap away
        st.html(_script(), unsafe_allow_javascript=True)


def keep_tab() -> None:
    """Open the tab that the address names after Back or Forward to another page.

    All pages name their open tab by `tab`, and Streamlit drops what the page that is left has named, so the tab is
    taken from the address itself, and put in place in a run of its own: in this one, the address as Streamlit knows
    it wins.
    """
    if _TAB in st.session_state:
        st.session_state["tab"] = st.query_params["tab"] = st.session_state.pop(_TAB)
        return
    context = get_script_run_ctx()
    if context is None or not context.is_history_navigation or "tab" in st.query_params:
        return
    if tab := parse_qs(context.query_string).get("tab"):
        st.session_state[_TAB] = tab[0]
        st.rerun()
