"""One figure as every page shows it: title, formula on hover, chart, note and downloads."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Literal

import pandas as pd
import streamlit as st

from core import catalogue, tables
from ui.shared.escape import plain
from ui.shared.finish import finished
from ui.shared.selection import columns

Table = pd.DataFrame | Callable[[], pd.DataFrame]
_said: ContextVar[str | None] = ContextVar("said", default=None)
"""What stands around the chart that is being drawn: its figure's title and note."""


def help_markdown(names: Sequence[str]) -> str:
    """Formula, unit and source of the statistics a figure shows, from the catalogue."""
    lines = []
    for name in names:
        item = catalogue.statistic(name)
        unit = f", {item.unit}" if item.unit else ""
        lines.append(
            f"**{plain(item.title)}**{plain(unit)}: {plain(item.formula)}  \n{plain(item.meaning)} "
            f"({plain(item.source)})"
        )
    return "\n\n".join(lines)


def figure(
    title: str,
    draw: Callable[[], object],
    table: Table,
    *,
    explains: Sequence[str],
    note: str,
    name: str,
    provenance: dict,
) -> object:
    """Draw a bordered figure and return what `draw` returns (a selection event, for charts).

    `explains` are names in the catalogue; `note` says n, filters and settings; `name` is the stem of the downloaded
    files. If `table` is a function, it is called only for a download.
    """
    make = table if callable(table) else lambda: table
    with st.container(border=True):
        head = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
        head.markdown(f"**{plain(title)}**", help=help_markdown(explains))
        with head.popover("Data", icon=":material/download:", type="tertiary"):
            st.download_button(
                "CSV", lambda: tables.to_csv(make()), f"{name}.csv", "text/csv", key=f"csv-{name}", on_click="ignore"
            )
            st.download_button(
                "Parquet",
                lambda: tables.to_parquet(make(), provenance),
                f"{name}.parquet",
                key=f"parquet-{name}",
                on_click="ignore",
            )
        token = _said.set(f"{title}. {note}")
        try:
            event = draw()
        finally:
            _said.reset(token)
        st.caption(plain(note))
    return event


def is_dark() -> bool:
    """Whether the page is dark, as far as the browser tells."""
    return st.context.theme.type == "dark"


def altair(
    chart,
    key: str,
    *,
    on_select: Callable | None = None,
    selection: str | Sequence[str] = (),
    width: Literal["stretch", "content"] = "stretch",
) -> Callable:
    """Return a `draw` for an Altair chart in the page's theme. All charts are drawn here (see ui.shared.finish).

    A screen reader hears the title and the note of the figure around it.
    """
    names = [selection] if isinstance(selection, str) else list(selection)

    def draw():
        done = finished(chart, dark=is_dark())
        if on_select is None:
            return st.altair_chart(done, key=key, width=width, alt=_said.get())
        return st.altair_chart(done, key=key, width=width, alt=_said.get(), on_select=on_select, selection_mode=names)

    return draw


def listing(
    table: pd.DataFrame,
    key: str,
    *,
    picks: str | Callable[[int], None] | None = None,
    height: int | Literal["auto"] = "auto",
    order: Sequence[str] | None = None,
    config: dict | None = None,
) -> Callable:
    """Return a `draw` for a table. Titles, help and formats of its columns come from the catalogue.

    A click on a row picks the feature in the column `picks`, in the sidebar and in the URL. If `picks` is a function,
    the click calls it with the number of the row. `order` names the columns shown; `config` replaces the catalogue's
    settings for some columns.
    """

    def take() -> None:
        clicked = st.session_state[key]["selection"].get("rows") or []
        # The table may have become shorter since it was drawn.
        if clicked and 0 <= clicked[0] < len(table):
            if callable(picks):
                picks(clicked[0])
            else:
                st.session_state["feature"] = int(table[picks].iloc[clicked[0]])

    def draw():
        return st.dataframe(
            table,
            hide_index=True,
            column_config=columns(table) | (config or {}),
            column_order=order,
            height=height,
            key=key,
            on_select=take if picks else "ignore",
            selection_mode="single-row",
        )

    return draw
