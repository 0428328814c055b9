"""Read an Altair chart of points as a cloud: what the browser needs to draw every point by WebGL.

A chart stays described once, by Altair. Small tables are drawn by Altair itself. For a whole dictionary this reads
the same chart: its points, and the lines, rings and texts between them. A chart with other marks is no cloud.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ui.shared.chart_parts import PARTS, drawn_units, field_of_kind, mark_of, part_of
from ui.shared.charts import ACCENT
from ui.shared.tooltips import field_of

_FEW = 100
"""Rows of a table that is no cloud itself: a ring, labels, borders."""
_KINDS = ("linear", "log", "symlog")
_AIR = 0.03
"""The share of an axis that stays empty at each end whose place the chart leaves open."""


@dataclass(frozen=True)
class Axis:
    """One axis: the column it shows, and the values at its ends."""

    field: str
    title: str
    kind: str
    """'linear', 'log' (base 10) or 'symlog': sign(v) ln(1 + |v|)."""
    low: float
    high: float

    def units(self, values: Any) -> np.ndarray:
        """Return places along the axis, 0 at `low` and 1 at `high`; NaN where a log axis has no place."""
        low, high = (_bent(self.kind, np.array([end]))[0] for end in (self.low, self.high))
        return (_bent(self.kind, np.asarray(values, np.float64)) - low) / (high - low)

    def value(self, unit: float) -> float:
        """Return the value at a place."""
        low, high = (_bent(self.kind, np.array([end]))[0] for end in (self.low, self.high))
        return float(_back(self.kind, low + unit * (high - low)))


@dataclass(frozen=True)
class Colours:
    """Which colour each point has: 0 to 254 along a ramp, or its group."""

    palette: tuple[str, ...] | None
    """None for the theme's own."""
    index: np.ndarray
    title: str = ""
    groups: tuple[str, ...] = ()
    ends: tuple[str, str] = ("", "")
    log: bool = False


@dataclass(frozen=True)
class Tip:
    """A line of the tooltip."""

    column: str
    title: str


@dataclass(frozen=True)
class Cloud:
    """A chart of points with axes."""

    table: pd.DataFrame
    x: Axis
    y: Axis
    colours: Colours
    tips: tuple[Tip, ...]
    bright: np.ndarray | None
    """bool, a value for each row: the members of the selection; None if nothing is greyed."""
    click: tuple[str, ...]
    """The name of the selection of a point, and the columns that it tells; empty where a click does nothing."""
    drag: str
    """The name of the selection of a rectangle; empty where no rectangle can be drawn."""
    rules: tuple[tuple[str, float], ...] = ()
    """Lines across: 'x' or 'y', and the value where they lie."""
    rings: tuple[tuple[float, float], ...] = ()
    texts: tuple[tuple[float, float, str, float], ...] = ()
    """Texts at x and y, moved down by so many pixels."""
    height: int = 400


def read(chart: Any) -> Cloud | None:
    """Return what an Altair chart shows as a cloud; None for one that has other marks or axes."""
    if any(part_of(chart, name) for name in PARTS if name != "layer"):
        return None
    units = list(drawn_units(chart))
    large = [(unit, holder.data) for unit, holder in units if len(holder.data) > _FEW]
    if len(large) != 1 or mark_of(large[0][0]) not in ("circle", "point"):
        return None
    points, table = large[0]
    small = [(unit, holder.data) for unit, holder in units if unit is not points]
    if not all(mark_of(unit) in ("rule", "point", "text") for unit, _ in small):
        return None
    shared = [(points, table), *small]
    x, y = (_axis(channel, shared) for channel in ("x", "y"))
    if x is None or y is None:
        return None
    encoding = points.encoding
    with np.errstate(all="ignore"):
        table = table[np.isfinite(x.units(table[x.field])) & np.isfinite(y.units(table[y.field]))]
    colours = _colours(encoding, part_of(points, "mark"), table)
    bright = _bright(encoding, table)
    if colours is None or (bright is None and part_of(encoding, "opacity") is not None):
        return None
    return Cloud(
        table,
        x,
        y,
        colours,
        tuple(_tips(encoding, table)),
        bright,
        *_selections(chart, points),
        tuple(rule for unit, data in small if mark_of(unit) == "rule" for rule in _rules(unit, data, x, y)),
        tuple(ring for unit, data in small if mark_of(unit) == "point" for ring in _places(data, x, y)),
        tuple(text for unit, data in small if mark_of(unit) == "text" for text in _texts(unit, data, x, y)),
        part_of(chart, "height") or part_of(points, "height") or 400,
    )


def _bent(kind: str, values: np.ndarray) -> np.ndarray:
    if kind == "linear":
        return values
    with np.errstate(all="ignore"):
        return np.log10(values) if kind == "log" else np.sign(values) * np.log1p(np.abs(values))


def _back(kind: str, bent: float) -> float:
    if kind == "linear":
        return bent
    return 10.0**bent if kind == "log" else np.sign(bent) * np.expm1(abs(bent))


def _title(channel: Any, name: str) -> str:
    title = part_of(channel, "title")
    return " ".join(title) if isinstance(title, list) else str(title) if title else name


def _axis(channel: str, units: Sequence[tuple[Any, pd.DataFrame]]) -> Axis | None:
    """Return the axis that the first unit, the points, shares with the others."""
    encoded = part_of(units[0][0].encoding, channel)
    name, scale = field_of_kind(encoded, "Q"), part_of(encoded, "scale")
    kind = str(part_of(scale, "type") or "linear")
    if name is None or name not in units[0][1] or kind not in _KINDS or part_of(scale, "reverse"):
        return None
    domain = part_of(scale, "domain")
    if isinstance(domain, list) and len(domain) == 2:
        low, high = map(float, domain)
    else:
        values = np.concatenate([_values(unit, data, channel) for unit, data in units])
        values = values[np.isfinite(_bent(kind, values))]
        if not len(values):
            return None
        low, high = float(values.min()), float(values.max())
        if kind == "linear" and part_of(scale, "zero") is not False:
            low, high = min(low, 0.0), max(high, 0.0)
        low, high = _aired(kind, low, high)
    return Axis(name, _title(encoded, name), kind, low, high) if low < high else None


def _values(unit: Any, data: pd.DataFrame, channel: str) -> np.ndarray:
    name = field_of_kind(part_of(part_of(unit, "encoding"), channel), "Q")
    if name is None or name not in data:
        return np.zeros(0)
    return pd.to_numeric(data[name], errors="coerce").to_numpy(np.float64)


def _aired(kind: str, low: float, high: float) -> tuple[float, float]:
    """Leave some room beside the first and the last point."""
    ends = _bent(kind, np.array([low, high]))
    air = _AIR * (ends[1] - ends[0]) or 0.5
    return float(_back(kind, ends[0] - air)), float(_back(kind, ends[1] + air))


def _colours(encoding: Any, mark: Any, table: pd.DataFrame) -> Colours | None:
    colour = part_of(encoding, "color")
    if colour is None or part_of(colour, "value") is not None:
        one = part_of(colour, "value") or part_of(mark, "color") or ACCENT
        return Colours((str(one),), np.zeros(len(table), np.uint8))
    title = part_of(colour, "title")
    title = " ".join(title) if isinstance(title, list) else str(title or "")
    if name := field_of_kind(colour, "NO"):
        return _groups(colour, name, title, table)
    if (name := field_of_kind(colour, "Q")) and isinstance(stops := part_of(part_of(colour, "scale"), "range"), list):
        return _ramp(table[name], stops, title, log=part_of(part_of(colour, "scale"), "type") == "log")
    return None


def _groups(colour: Any, name: str, title: str, table: pd.DataFrame) -> Colours | None:
    scale, order = part_of(colour, "scale"), part_of(colour, "sort")
    names = part_of(scale, "domain") or order
    names = list(map(str, names if isinstance(names, list) else sorted(set(table[name].astype(str)))))
    palette = part_of(scale, "range")
    codes = pd.Categorical(table[name].astype(str), categories=names).codes
    if len(names) > 254:
        return None
    colours = tuple(palette[i % len(palette)] for i in range(len(names))) if isinstance(palette, list) else None
    index = np.where(codes < 0, 255, codes).astype(np.uint8)
    return Colours(colours, index, title, tuple(names) or ("none",))


def _ramp(column: pd.Series, stops: list[str], title: str, *, log: bool) -> Colours:
    values = column.to_numpy(np.float64)
    bent = _bent("log" if log else "linear", values)
    known = np.isfinite(bent)
    if not known.any():
        return Colours(tuple(stops), np.full(len(values), 255, np.uint8), title, ends=("no value", "no value"))
    low, high = bent[known].min(), bent[known].max()
    index = np.full(len(values), 255, np.uint8)
    index[known] = np.minimum((bent[known] - low) / max(high - low, 1e-300) * 255, 254).astype(np.uint8)
    ends = f"{values[known].min():.3g}", f"{values[known].max():.3g}"
    return Colours(tuple(stops), index, title, ends=ends, log=log)


def _bright(encoding: Any, table: pd.DataFrame) -> np.ndarray | None:
    marked = "in_selection" in table and part_of(encoding, "opacity") is not None
    return table["in_selection"].to_numpy(bool) if marked else None


def _tips(encoding: Any, table: pd.DataFrame) -> Iterator[Tip]:
    for tip in part_of(encoding, "tooltip") or ():
        name = tip.partition(":")[0] if isinstance(tip, str) else field_of(tip)
        if name in table:
            yield Tip(name, _title(tip, name))


def _selections(chart: Any, points: Any) -> tuple[tuple[str, ...], str]:
    """Return the selection of a point with its fields, and that of a rectangle. A layered chart holds them itself."""
    click, drag = (), ""
    for param in [*(part_of(chart, "params") or ()), *(part_of(points, "params") or ())]:
        select, name = part_of(param, "select"), str(part_of(param, "name"))
        if part_of(select, "type") == "point":
            click = (name, *map(str, part_of(select, "fields") or ()))
        elif part_of(select, "type") == "interval":
            drag = name
    return click, drag


def _rules(unit: Any, data: pd.DataFrame, x: Axis, y: Axis) -> Iterator[tuple[str, float]]:
    for channel, axis in (("x", x), ("y", y)):
        for at in _values(unit, data, channel).tolist():
            if np.isfinite(axis.units([at])[0]):
                yield channel, at


def _places(data: pd.DataFrame, x: Axis, y: Axis) -> list[tuple[float, float]]:
    if x.field not in data or y.field not in data:
        return []
    places = np.stack([x.units(data[x.field]), y.units(data[y.field])], axis=1)
    return [tuple(place) for place in places[np.isfinite(places).all(axis=1)].tolist()]


def _texts(unit: Any, data: pd.DataFrame, x: Axis, y: Axis) -> Iterator[tuple[float, float, str, float]]:
    name = field_of(part_of(unit.encoding, "text"))
    if name not in data or x.field not in data or y.field not in data:
        return
    down = float(part_of(part_of(unit, "mark"), "dy") or 0)
    for across, up, text in zip(data[x.field], data[y.field], data[name], strict=True):
        yield float(across), float(up), str(text), down
