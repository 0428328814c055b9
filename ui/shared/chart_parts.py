"""The parts of an Altair chart: which units share axes, and what an encoding holds."""

from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

PARTS = ("layer", "hconcat", "vconcat", "concat")
"""Where a chart holds others."""


def groups(chart: Any, data: Any = None, height: Any = None) -> Iterator[list[tuple]]:
    """Yield groups of unit charts, each with its data and height; a group shares its axes."""
    data = chart.data if isinstance(chart.data, pd.DataFrame) else data
    height = part_of(chart, "height") or height
    parts = next((found for name in ("hconcat", "vconcat", "concat") if (found := part_of(chart, name))), None)
    if parts:
        for part in parts:
            yield from groups(part, data)
    elif layers := part_of(chart, "layer"):
        yield [unit for part in layers for group in groups(part, data, height) for unit in group]
    elif not part_of(chart, "spec"):  # the parts of a facet have no size of their own
        yield [(chart, data, height)]


def drawn_units(chart: Any, holder: Any = None) -> Iterator[tuple[Any, Any]]:
    """Yield each unit chart that has a table, with the part that holds this."""
    holder = chart if isinstance(getattr(chart, "data", None), pd.DataFrame) else holder
    parts = [part for name in PARTS for part in part_of(chart, name) or ()]
    inner = part_of(chart, "spec")
    for part in [*parts, *([inner] if inner else [])]:
        yield from drawn_units(part, holder)
    if holder is not None and mark_of(chart):
        yield chart, holder


def mark_of(unit: Any) -> str | None:
    """Return the kind of a unit's mark, such as 'line'; None for a chart of several parts."""
    mark = part_of(unit, "mark")
    return mark if isinstance(mark, str) else part_of(mark, "type")


def part_of(node: Any, name: str) -> Any:
    """Return what a part of a chart holds under a name, None if nothing."""
    held = node.get(name) if isinstance(node, dict) else node._get(name) if isinstance(node, alt.SchemaBase) else None
    return None if held is alt.Undefined else held


def field_of_kind(channel: Any, kinds: str) -> str | None:
    """Return the column of an encoding if it is of one of these kinds, such as "Q" or "NO"; else None."""
    field, _, kind = str(part_of(channel, "shorthand") or "").rpartition(":")
    return field if field and kind in kinds else None


def axis_of(unit: Any, channel: str) -> Any:
    """Return the encoding of x or y, None where it has no field."""
    axis = part_of(part_of(unit, "encoding"), channel)
    return axis if isinstance(axis, alt.X | alt.Y) and part_of(axis, "shorthand") else None
