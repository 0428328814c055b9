"""The address of a page, before its widgets read it."""

import math

import streamlit as st

from ui.shared import picked_feature
from ui.shared.escape import plain

TEXTS = frozenset(
    {"own", "own_a", "own_b", "own_pa", "own_pb", "text_name", "np_id", "np_features", "find", "fe_search"}
    | {"prompt", "iv_also", "iv_positions", "iv_A", "iv_B"}
    | {"fe_proxy_pattern", "note_search", "dash_folder", "selection", "st_glob"}
    | {"tr_name", "tr_seeds", "tr_files", "tr_dataset", "tr_wandb", "tr_matryoshka_widths"}
)
"""Names that hold text, where any sign is as good as another."""
LISTS = frozenset(
    {"ov_filters", "ov_groups", "split_wider", "split_many", "split_three", "map_layers", "with", "act_layers"}
    | {"atlas_which", "st_others", "st_layers", "st_runs"}
)
"""Names that hold a choice of several, which may be empty."""
_LEFT_OUT = "_link_left_out"


def follow() -> None:
    """Let a link to another page say which dictionary and feature that shows.

    The browser puts what is picked in front of what the link says, and Streamlit keeps the first. The last counts.
    """
    for name in ("sae", picked_feature.KEY):
        values = st.query_params.get_all(name)
        if len(values) > 1 and values[-1] != values[0]:
            if name == "sae":
                st.session_state[name] = values[-1]
            elif values[-1].isdecimal():
                picked_feature.pick_feature(int(values[-1][:12]))


def clean() -> None:
    """Drop values that Streamlit's widgets fail on: infinite numbers, which are named, and empty choices."""
    bad, endless = [], []
    for name in sorted(set(st.query_params) - TEXTS):
        values = st.query_params.get_all(name)
        endless += [f"{name}={value[:30]}" for value in values if _is_endless(value)]
        if any(map(_is_endless, values)) or (name not in LISTS and not any(values)):
            bad.append(name)
    if bad:
        for name in bad:
            del st.query_params[name]
        st.session_state[_LEFT_OUT] = endless
        st.rerun()  # widgets read the address as it was when the run began
    if left_out := st.session_state.pop(_LEFT_OUT, []):
        text = f"Left out of the link, as no number is so large: {', '.join(left_out)}."
        st.warning(plain(text), icon=":material/link_off:")


def _is_endless(text: str) -> bool:
    try:
        return math.isinf(float(text))
    except ValueError:
        return False
