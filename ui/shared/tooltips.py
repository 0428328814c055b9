"""What a chart says where the mouse is: titles of the numbers, never the names of columns."""

from typing import Any

from core import catalogue
from core.errors import UnknownNameError
from ui.shared.chart_parts import part_of

_LOG = " (log)"


def title_tooltip(unit: Any) -> None:
    """Give each line of a unit's tooltip that has no title its axis', its statistic's, or its column's words."""
    encoding = part_of(unit, "encoding")
    tooltip = part_of(encoding, "tooltip")
    titles = _titles(encoding)
    for line in tooltip if isinstance(tooltip, list) else ():
        field = field_of(line)
        if field and part_of(line, "title") is None:
            line["title"] = titles.get(field) or _words(field)


def field_of(encoding: Any) -> str:
    """Return the column of an encoding, empty if it has none."""
    return str(part_of(encoding, "shorthand") or "").partition(":")[0]


def _titles(encoding: Any) -> dict[str, str]:
    """Return the titles of a unit's axes and legends by their columns."""
    channels = (part_of(encoding, name) for name in ("x", "y", "color", "size", "shape"))
    found = ((field_of(channel), part_of(channel, "title")) for channel in channels)
    return {field: title.removesuffix(_LOG) for field, title in found if field and isinstance(title, str)}


def _words(column: str) -> str:
    try:
        return catalogue.statistic(column).title
    except UnknownNameError:
        return column.replace("_", " ").capitalize()
