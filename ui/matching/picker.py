"""Pick the second dictionary, B, and features of both. The first, A, is the one picked in the sidebar."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from core.dictionaries.dictionary import Dictionary
from ui.shared.picked_feature import pick_feature, picked_feature
from ui.studies import opened
from ui.studies.matching import MatchStudy
from ui.studies.second_dictionary import KEY, chosen, default_second

_DEFAULT = "_b_default"
B_KEY = "match_feature_b"
"""The key of the feature of B, in session and URL."""
PAIR_OF = "_match_pair_of"
"""The dictionaries and feature of A for which the feature of B was chosen; others bring their own partner."""


def second() -> Dictionary:
    """Draw the picker of B and open the picked dictionary (raises LoupeError). A page calls this once."""
    default = default_second()
    if default != st.session_state.get(_DEFAULT, default) == st.session_state.get(KEY):
        del st.session_state[KEY]  # it was the default for another A
    st.session_state[_DEFAULT] = default
    options = opened.dictionary_ids()
    st.selectbox(
        "Dictionary B",
        options,
        index=options.index(default) if default in options else 0,
        key=KEY,
        bind="query-params",
        format_func=opened.in_pickers(),
        accept_new_options=True,
        placeholder="Choose one or type a path",
        help="The dictionary to compare with A, the one picked in the sidebar. Type to search, or type the path of a "
        "folder or file.",
    )
    return chosen()


def choose_pair(study: MatchStudy, a: np.ndarray, b: np.ndarray) -> Callable[[int], None]:
    """Return a function that picks the features of a row; -1 picks none."""

    def pick(row: int) -> None:
        if a[row] >= 0:
            pick_feature(a[row])
        if b[row] >= 0:
            st.session_state[B_KEY] = int(b[row])
            st.session_state[PAIR_OF] = (*study.names, picked_feature())

    return pick
