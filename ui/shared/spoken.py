"""What a screen reader says of a chart: the title of its figure, what its numbers show, and the note."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ui.shared.chart_parts import axis_of, groups, mark_of, part_of

_POINTS = {"point", "circle", "square"}
_MOST_PARTS = 3
"""Charts side by side of which something is said."""


@dataclass(frozen=True)
class _Channel:
    """One column of a chart's data, as x, y or colour show it."""

    field: str
    quantity: bool
    title: str
    """Empty where the chart gives none."""
    hidden: bool = False
    """Whether the chart shows no axis for it."""
    until: str | None = None
    """The column where each mark ends, if it begins at `field`."""

    def at(self, row: pd.Series) -> Any:
        """Return the value of a row: the middle of a mark that has two ends."""
        return row[self.field] if self.until is None else (row[self.field] + row[self.until]) / 2


def alternative_text(chart: alt.TopLevelMixin, title: str = "", finding: str = "", note: str = "") -> str:
    """Return what is said in place of a chart: title, finding, where its numbers are largest and least, and note."""
    parts = (title, finding, *list(_said(chart))[:_MOST_PARTS], note)
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in map(str.strip, parts) if part)


def _said(chart: Any) -> Iterator[str]:
    """Yield a sentence for each part that has axes of its own, from the first layer that has numbers."""
    for group in groups(chart):
        found = next(filter(None, (_said_of(unit, data) for unit, data, _ in group)), None)
        if found:
            yield found


def _said_of(unit: Any, data: Any) -> str | None:
    x, y = (_channel(axis_of(unit, name), data) for name in ("x", "y"))
    if x is None or y is None:
        return None
    mark, encoding = mark_of(unit), part_of(unit, "encoding")
    colour = _channel(part_of(encoding, "color"), data)
    if (end := _channel(part_of(encoding, "x2"), data)) is not None:
        x = replace(x, until=end.field)
    if mark in _POINTS:
        return f"{len(data):,} points; {_extent(x, data)}; {_extent(y, data)}"
    if mark == "rect" and colour and colour.quantity:
        measured, places = colour, [y, x]
    elif y.quantity:
        measured, places = y, [x]
    else:
        measured, places = x, [y]
    if colour and not colour.quantity and colour not in places:
        places.append(colour)
    return _extremes(measured, places, data) if measured.quantity and measured.title else None


def _channel(encoding: Any, data: Any) -> _Channel | None:
    """Return the column that an encoding shows, None where it shows none or an aggregate."""
    field, _, kind = str(part_of(encoding, "shorthand") or "").rpartition(":")
    if not isinstance(data, pd.DataFrame) or field not in data:
        return None
    title = part_of(encoding, "title") or ""
    quantity = kind == "Q" and pd.api.types.is_numeric_dtype(data[field])
    return _Channel(
        field, quantity, (" ".join(title) if isinstance(title, list) else str(title)).strip(), _is_hidden(encoding)
    )


def _is_hidden(encoding: Any) -> bool:
    return isinstance(encoding, alt.X | alt.Y) and encoding._get("axis", alt.Undefined) is None


def _extremes(measured: _Channel, places: list[_Channel], data: pd.DataFrame) -> str | None:
    values = data[measured.field].to_numpy(dtype=float)
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        return None
    ends = rows[values[rows].argmin()], rows[values[rows].argmax()]
    least, most = (_at(data.iloc[row], measured, places) for row in ends)
    return f"{measured.title}: {most}" if least == most else f"{measured.title}: largest {most}, least {least}"


def _at(row: pd.Series, measured: _Channel, places: list[_Channel]) -> str:
    """Return the number of a row, and where it lies as far as the chart labels that."""
    where = ", ".join(f"{place.title} {_number(place.at(row))}".strip() for place in places if not place.hidden)
    return _number(row[measured.field]) + (f" at {where}" if where else "")


def _extent(channel: _Channel, data: pd.DataFrame) -> str:
    values = data[channel.field].dropna()
    if not channel.quantity or values.empty:
        return f"{channel.title}: {values.nunique():,} kinds"
    return f"{channel.title} from {_number(values.min())} to {_number(values.max())}"


def _number(value: Any) -> str:
    """Return a number with three digits, or a whole one as it is; other values as text."""
    if not isinstance(value, Real) or not math.isfinite(value):
        return str(value)
    return f"{int(value):,}" if float(value).is_integer() else f"{float(value):.3g}"
