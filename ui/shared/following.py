"""How figures follow the selection: tables and charts show members only, or charts grey the others.

A figure knows which of its columns hold features of the open dictionary, as for their names (see ui.shared.naming).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ui.shared import selected
from ui.shared.chart_parts import drawn_units, field_of_kind, mark_of, part_of
from ui.shared.naming import holders

BRUSH = "brush"
"""The name of the selection of all points in a rectangle."""
_IN, _OUT = 0.9, 0.1
"""Opacities of members and of others."""
_POINTS = ("circle", "point", "square")


def own_columns(provenance: Mapping[str, Any], whose: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the columns of a figure that hold features of the open dictionary."""
    here = selected.ground()
    if here is None:
        return ()
    return tuple(column for column, sha256 in holders(provenance, whose).items() if sha256 == here.sha256)


def column_of(table: Any, own: Sequence[str]) -> str | None:
    """Return the first of these columns that a table has; None if it has none or is no table."""
    return next((name for name in own if name in table), None) if isinstance(table, pd.DataFrame) else None


def member_rows(table: pd.DataFrame, own: Sequence[str]) -> np.ndarray | None:
    """Return the places of the rows to show, if only members shall be seen; None where all are shown."""
    here, column = selected.ground(), column_of(table, own)
    if here is None or here.members is None or not here.only or column is None:
        return None
    return np.flatnonzero(_are_members(table[column], here.members))


def followed(chart: alt.TopLevelMixin, own: Sequence[str]) -> tuple[alt.TopLevelMixin, str]:
    """Let a chart follow the selection; return it, and what its caption must say. The chart is changed.

    A chart that holds no member stays as it is, and says so.
    """
    here = selected.ground()
    if here is None or here.members is None or not own:
        return chart, ""
    units = [(*unit, column) for unit in drawn_units(chart) if (column := column_of(unit[1].data, own))]
    if not units:
        return chart, ""
    inside = {id(holder): _are_members(holder.data[column], here.members) for _, holder, column in units}
    if not any(mask.any() for mask in inside.values()):
        return chart, "no feature of the selection is in this chart"
    if here.only:
        _leave_members(units, inside)
        return chart, "only members of the selection are drawn"
    return chart, _grey_others(units, inside)


def _are_members(features: pd.Series, members: np.ndarray) -> np.ndarray:
    numbers = pd.to_numeric(features, errors="coerce").to_numpy(dtype=float)
    known = (numbers >= 0) & (numbers < len(members))
    return known & members[np.where(known, numbers, 0).astype(int)]


def _leave_members(units: list[tuple[Any, Any, str]], inside: Mapping[int, np.ndarray]) -> None:
    for holder in {id(holder): holder for _, holder, _ in units}.values():  # the units of a layer may share a table
        holder.data = holder.data[inside[id(holder)]]
    for unit, holder, column in units:
        left = set(holder.data[column].astype(str))
        for channel in ("x", "y", "color"):
            _narrow(part_of(part_of(unit, "encoding"), channel), column, left)


def _narrow(channel: Any, column: str, left: set[str]) -> None:
    """Take others out of the order and the domain of an axis or legend that names features."""
    if not isinstance(channel, alt.SchemaBase) or str(part_of(channel, "shorthand")) != f"{column}:N":
        return
    if isinstance(order := part_of(channel, "sort"), list):
        channel["sort"] = [name for name in order if str(name) in left]
    scale = part_of(channel, "scale")
    if isinstance(domain := part_of(scale, "domain"), list):
        scale["domain"] = [name for name in domain if str(name) in left]


def _grey_others(units: list[tuple[Any, Any, str]], inside: Mapping[int, np.ndarray]) -> str:
    said = ""
    for unit, holder, _ in units:
        encoding, mask = part_of(unit, "encoding"), inside[id(holder)]
        if mark_of(unit) not in _POINTS or encoding is None or part_of(encoding, "opacity") is not None:
            continue
        if "in_selection" not in holder.data:
            marked = holder.data.assign(in_selection=mask)
            holder.data = marked.sort_values("in_selection", kind="stable")  # members are drawn over the others
        encoding["opacity"] = alt.condition("datum.in_selection", alt.value(_IN), alt.value(_OUT))
        said = f"{int(mask.sum()):,} members of the selection stand out"
    return said


def brushed(chart: alt.TopLevelMixin, own: Sequence[str], names: Sequence[str]) -> "Brush | None":
    """Let a rectangle be drawn in a chart of points; return what it selects. None for other charts.

    `names` are the selections that the chart has already. The chart is changed.
    """
    for unit, holder in drawn_units(chart):
        encoding = part_of(unit, "encoding")
        fields = [field_of_kind(part_of(encoding, channel), "Q") for channel in ("x", "y")]
        column = column_of(holder.data, own)
        if mark_of(unit) in _POINTS and column and all(field in holder.data for field in fields):
            if BRUSH not in names:
                interval = alt.selection_interval(name=BRUSH, encodings=["x", "y"])
                unit["params"] = [*(part_of(unit, "params") or ()), interval.param]
            return Brush(holder.data, column, *map(str, fields))
    return None


class Brush:
    """The points of a chart that a rectangle may hold."""

    def __init__(self, table: pd.DataFrame, column: str, x: str, y: str):
        self.table, self.column, self.fields = table, column, (x, y)

    def features(self, event: Any) -> list[int]:
        """Return the features inside the rectangle of a chart's event; empty without one."""
        ranges = ((event or {}).get("selection") or {}).get(BRUSH) or {}
        inside = np.ones(len(self.table), dtype=bool)
        ends = [ranges.get(field) for field in self.fields]
        if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in ends):
            return []
        for field, (low, high) in zip(self.fields, ends, strict=True):
            inside &= self.table[field].between(min(low, high), max(low, high)).to_numpy()
        numbers = pd.to_numeric(self.table[self.column][inside], errors="coerce").dropna()
        return sorted(set(numbers.astype(int).tolist()))
