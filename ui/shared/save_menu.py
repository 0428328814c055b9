"""The menu Save of a figure: its table, its charts as pictures, and the same in Python."""

from collections.abc import Callable, Mapping

import pandas as pd
import streamlit as st

from core import tables
from ui.shared import pictures, same_in_python, without_python
from ui.shared.escape import plain, signs


def table_buttons(name: str, make: Callable[[], pd.DataFrame], said: Mapping[str, object]) -> None:
    """Offer a figure's table, and a side file that says where it comes from, as CSV cannot.

    `said` is the figure's title, note and provenance.
    """
    st.caption("Table")
    with st.container(horizontal=True, gap="small"):
        _download(name, "CSV", lambda: tables.to_csv(make()), "csv", "text/csv")
        _download(name, "Parquet", lambda: tables.to_parquet(make(), said["provenance"]), "parquet")
        _download(name, "Provenance", lambda: tables.side_file(make(), **said), "json", "application/json")


def picture_buttons(name: str, specification: Callable[[float], dict]) -> None:
    """Offer a figure's charts as pictures; `specification` gives them for a size of letters."""
    st.caption("Picture, in the colours of the page")
    with st.container(horizontal=True, gap="small"):
        if pictures.can_draw():
            _download(name, "PNG", lambda: pictures.to_png(specification(1)), "png", "image/png")
            _download(name, "PNG, large text", lambda: pictures.to_png(specification(1.5)), "large.png", "image/png")
            _download(name, "SVG", lambda: pictures.to_svg(specification(1)), "svg", "image/svg+xml")
        _download(name, "Vega-Lite", lambda: pictures.to_json(specification(1)), "vl.json", "application/json")
    if not pictures.can_draw():  # a download runs outside the page's run, where no message could be shown
        st.caption(plain(pictures.MISSING))


def in_python(name: str, provenance: Mapping[str, object], told: Mapping[str, object]) -> None:
    """Show the code that gives the figure's numbers, or say why there is none."""
    code = same_in_python.snippet(name, provenance, told)
    if code is not None:
        st.caption("The same in Python")
        st.code(signs(code), language=None)  # the colours of Python's words have too little contrast
    elif why := without_python.why_not(name):
        st.caption(plain(f"No code in Python: {why}."))


def _download(name: str, label: str, make: Callable[[], bytes], ending: str, mime: str | None = None) -> None:
    st.download_button(label, make, f"{name}.{ending}", mime, key=f"{ending}-{name}", on_click="ignore")
