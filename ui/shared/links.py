"""Links to other pages of the app, with what all pages share."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

PAGES = Path(__file__).resolve().parents[2] / "pages"
_NOT_SHARED = ("tab",)
"""Names in the address that belong to one page."""


def to(
    place: DeltaGenerator,
    page: str,
    query: Mapping[str, str],
    *,
    label: str | None = None,
    icon: str = ":material/arrow_forward:",
) -> None:
    """Link to a page with the settings of this one, and what the query says beside them; by default under its title."""
    kept = {name: st.query_params.get_all(name) for name in st.query_params if name not in _NOT_SHARED}
    place.page_link(PAGES / f"{page}.py", label=label, query_params=kept | dict(query), icon=icon)
