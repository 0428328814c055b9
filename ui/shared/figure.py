"""One figure as every page shows it: title, formula on hover, chart, note and downloads."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, partial
from types import MappingProxyType
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from ui.shared import audit, escape, following, pictures, report, save_menu, selected
from ui.shared.escape import plain, signs, signs_in_table
from ui.shared.finish import finished
from ui.shared.naming import COLUMNS, Names, names_for, with_names
from ui.shared.picked_feature import pick_feature
from ui.shared.selection import columns
from ui.shared.spoken import alternative_text
from ui.shared.thinned import MOST_MARKS, marks, thinned

SCROLLS = "scrolls_"
"""How the key of a container begins whose content scrolls where it is wider (see ui.shell.style)."""
Table = pd.DataFrame | Callable[[], pd.DataFrame]


@dataclass
class _Frame:
    """The figure that is being drawn."""

    title: str
    finding: str
    note: str
    name: str
    provenance: dict
    names: Names
    own: tuple[str, ...]
    """The columns that hold features of the open dictionary."""
    table: Table
    makes: list[Callable[[], alt.TopLevelMixin]] = field(default_factory=list)
    """They make the charts drawn in it so far, as pictures show them."""
    offers: list[tuple[str, Callable[[], Iterable[int]], str]] = field(default_factory=list)
    """Sets of features that a person may select: what the button says, the features, and where they are from."""

    @property
    def charts(self) -> list[alt.TopLevelMixin]:
        return [make() for make in self.makes]

    @property
    def said(self) -> dict:
        return {"title": self.title, "note": self.note, "provenance": self.provenance}


_frame: ContextVar[_Frame | None] = ContextVar("frame", default=None)


def help_markdown(names: Sequence[str]) -> str:
    """Formula, unit and source of the statistics a figure shows, from the catalogue."""
    parts = (map(plain, catalogue.definition(name)) for name in names)
    return "\n\n".join(f"**{title}**{rule}  \n{meaning}" for title, rule, meaning in parts)


def figure(
    title: str,
    draw: Callable[[], object],
    table: Table,
    *,
    explains: Sequence[str],
    note: str,
    name: str,
    provenance: dict,
    finding: str = "",
    whose: Mapping[str, str] | None = None,
    told: Mapping[str, object] = MappingProxyType({}),
) -> object:
    """Draw a bordered figure and return what `draw` returns (a selection event, for charts).

    `explains` are names in the catalogue; `note` says n, filters and settings; `name` is the stem of the downloaded
    files. `finding` says in a sentence what the figure shows; it is for those who hear the page. If `table` is a
    function, it is called only for a download. `whose` says for columns that hold features the hash of their
    dictionary, where `provenance` names several (see ui.shared.naming); their names stand beside them. `told` is what
    the same in Python needs beside the provenance (see ui.shared.same_in_python).
    """
    with st.container(border=True):
        head = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
        head.markdown(f"**{plain(title)}**", help=help_markdown(explains))
        own, provenance = following.own_columns(provenance, whose), escape.without_folders(provenance)
        frame = _Frame(title, finding, note, name, provenance, names_for(provenance, whose), own, table)
        token = _frame.set(frame)
        try:
            event = draw()
        finally:
            _frame.reset(token)
        report.note_figure(lambda: _entry(frame, table, explains))
        checked = audit.is_offered()
        several = frame.offers or checked
        buttons = head.container(horizontal=True, width="content", gap="medium") if several else head
        with buttons:
            for number, (label, features, origin) in enumerate(frame.offers):
                selected.select_these(features, origin, label=label, key=f"select-{number}-{name}")
        if checked:
            with buttons.popover("Check", icon=audit.ICON, type="tertiary"):
                audit.draw(table, name, provenance, explains)
        with buttons.popover("Save", icon=":material/download:", type="tertiary"):
            _save_menu(frame, table, told)
        st.caption(plain(frame.note))
    return event


def _entry(frame: _Frame, table: Table, explains: Sequence[str]) -> report.Entry:
    """Return the figure as a report holds it."""
    return report.Entry(
        frame.title, frame.note, frame.name, explains, frame.provenance, _made(frame, table), frame.charts
    )


def _made(frame: _Frame, table: Table) -> pd.DataFrame:
    return with_names(table() if callable(table) else table, frame.names)


def _save_menu(frame: _Frame, table: Table, told: Mapping[str, object]) -> None:
    dark = is_dark()  # a download runs outside the page's run
    save_menu.table_buttons(frame.name, lambda: _made(frame, table), frame.said)
    if frame.makes:
        save_menu.picture_buttons(
            frame.name,
            lambda scale: pictures.specification(frame.charts, **frame.said, dark=dark, text_scale=scale),
        )
    save_menu.in_python(frame.name, frame.provenance, told)


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

    A chart of very many points is drawn by WebGL (see ui.shared.cloud), another one of very many marks draws a sample
    of them (see ui.shared.thinned). A screen reader hears what `ui.shared.spoken` makes of the figure around it.
    """
    names = [selection] if isinstance(selection, str) else list(selection)

    def draw():
        frame = _frame.get()
        own, called = (frame.own, frame.names) if frame else ((), {})
        brush = following.brushed(chart, own, names) if on_select else None
        chosen, said_of_selection = following.followed(chart, own)
        cloud = _as_cloud(chosen, key)
        drawn, left_out = (chosen, "") if cloud else thinned(chosen)
        if frame:
            frame.note = " · ".join(filter(None, (frame.note, said_of_selection, left_out)))
        make = cache(partial(finished, drawn, dark=is_dark(), names=called))
        shown = drawn if cloud else make()
        said = signs(alternative_text(shown, *((frame.title, frame.finding, frame.note) if frame else ())))
        if frame:
            frame.makes.append(make)
        if cloud:
            from ui.shared import cloud as clouds

            event = clouds.draw(cloud, key, said, called, on_select)
        else:
            event = _vega(shown, key, width, said, on_select, names, brush)
        if frame and brush and (found := brush.features(event)):
            frame.offers.append((f"Select {len(found):,}", lambda: found, f"a rectangle in {frame.title}"))
        return event

    return draw


def _as_cloud(chart: alt.TopLevelMixin, key: str):
    """Return the chart as WebGL draws it, if it has too many marks for Vega and is one of points; else None."""
    if marks(chart) <= MOST_MARKS:
        return None
    from ui.shared import cloud as clouds

    return clouds.read(chart) if clouds.can_draw(key) else None


def _vega(
    chart: alt.TopLevelMixin,
    key: str,
    width: Literal["stretch", "content"],
    said: str,
    on_select: Callable | None,
    names: Sequence[str],
    brush: following.Brush | None,
):
    """Draw a chart by Vega; one of its own width scrolls where the page is narrower (see ui.shell.style)."""
    place = st.container(key=f"{SCROLLS}{key}") if width == "content" else st
    if on_select is None:
        return place.altair_chart(chart, key=key, width=width, alt=said)
    modes = [*names, *([following.BRUSH] if brush and following.BRUSH not in names else [])]
    return place.altair_chart(chart, key=key, width=width, alt=said, on_select=on_select, selection_mode=modes)


def offer(features: Sequence[int], origin: str) -> None:
    """Offer to select features, in the head of the figure that is being drawn. They are of the open dictionary."""
    frame = _frame.get()
    assert frame is not None
    frame.offers.append((f"Select {len(features):,}", lambda: features, origin))


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
    settings for some columns. Features of the open dictionary can be selected, all of them or the rows that are
    ticked, and a person may see those of the selection alone.
    """
    places: list[np.ndarray] = []  # of the rows shown, if not all are

    def take() -> None:
        before = st.session_state.get(f"_ticked {key}", ())
        clicked = [row for row in ticked_rows(key) if row not in before]
        rows = places[0] if places else range(len(table))
        # The table may have become shorter since it was drawn.
        if clicked and 0 <= clicked[0] < len(rows):
            row = int(rows[clicked[0]])
            if callable(picks):
                picks(row)
            else:
                pick_feature(table[picks].iloc[row])

    def draw():
        frame = _frame.get()
        column = following.column_of(table, frame.own) if frame else None
        members = following.member_rows(table, frame.own) if frame else None
        mine = table
        if frame and members is not None:
            places.append(members)
            mine = table.iloc[members]
            if len(members) < len(table):
                frame.note += f" · shown: the {len(members):,} rows of {len(table):,} that the selection has"
        if frame and column:
            frame.offers.append((*_offer(mine, frame.table, column, ticked_rows(key)), frame.title))
        st.session_state[f"_ticked {key}"] = ticked_rows(key)
        shown = with_names(mine, frame.names if frame else {})
        return st.dataframe(
            signs_in_table(shown),
            hide_index=True,
            column_config=columns(shown) | (config or {}),
            column_order=order and [part for name in order for part in (name, COLUMNS.get(name)) if part in shown],
            height=height,
            key=key,
            on_select=take if picks else "ignore",
            selection_mode="multi-row" if column else "single-row",
        )

    return draw


def ticked_rows(key: str) -> list[int]:
    """Return the rows of a table that a person has ticked."""
    event = st.session_state.get(key) or {}
    return list((event.get("selection") or {}).get("rows") or [])


def _offer(mine: pd.DataFrame, whole: Table, column: str, ticked: list[int]) -> tuple[str, Callable[[], Iterable[int]]]:
    """Offer to select the ticked rows, if there are two or more, else all rows, those that are not shown as well."""
    ticked = [row for row in ticked if row < len(mine)]
    rows = mine.iloc[ticked] if len(ticked) > 1 else mine
    if rows is mine and isinstance(whole, pd.DataFrame) and column in whole:
        within = following.member_rows(whole, (column,))
        rows = whole if within is None else whole.iloc[within]
    features = rows[column].dropna().unique()
    label = f"Select {len(features):,}" if len(ticked) > 1 else f"Select all {len(features):,}"
    return label, features.tolist
