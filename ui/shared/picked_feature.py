"""The feature that all pages show: the one that a person picked, or, until then, the one that suits the open page."""

import streamlit as st

from ui.shared.progress import stands_already

KEY = "feature"
_SUGGESTED, _NEXT = "_feature_suggested", "_feature_next"


def picked_feature() -> int:
    """Return the feature to show; 0 where neither a person nor a page has picked one."""
    return int(st.session_state.get(KEY) or 0)


def pick_feature(feature: int) -> None:
    """Pick a feature for all pages, as a person does with a click. For callbacks."""
    st.session_state[KEY] = int(feature)
    keep_picked()


def keep_picked() -> None:
    """Keep the feature in the field on all pages, as a person typed it. An empty field keeps none."""
    if st.session_state.get(KEY) is not None:
        st.session_state.pop(_SUGGESTED, None)


def is_picked() -> bool:
    """Say whether a person picked the feature, or a link did."""
    feature = st.session_state.get(KEY)
    return feature is not None and feature != st.session_state.get(_SUGGESTED)


def suggest_feature(feature: int, why: str) -> None:
    """Show a feature until a person picks one, and say why this one.

    The same page of the same dictionary suggests the same feature, so an address without one shows it again. The
    field in the sidebar is drawn before a page knows what suits it, so the page runs once more.
    """
    if is_picked():
        return
    if st.session_state.get(KEY) != feature:
        st.session_state[_NEXT] = int(feature)
        if stands_already(KEY):
            st.rerun()
        take_up()
    st.caption(f"Feature {feature} is shown until you pick one: {why}.")


def take_up() -> None:
    """Put what a page suggested into the field, before it is drawn; not over what a person typed meanwhile."""
    suggested = st.session_state.pop(_NEXT, None)
    if suggested is not None and not is_picked():
        st.session_state[KEY] = st.session_state[_SUGGESTED] = suggested
