"""Two to four series of a chart differ by more than colour: lines by their dashes, points by their shapes."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from ui.shared.chart_parts import mark_of, part_of

DASHES = [[1, 0], [9, 2, 2, 2], [2, 2], [12, 3]]
"""None of these is the [5, 3] to [5, 4] of baselines and rules."""
SHAPES = ["circle", "triangle-up", "square", "diamond"]
_MOST = len(DASHES)


def tell_apart(group: list[tuple]) -> None:
    """Add dashes or shapes to the units of one group (see `chart_parts.groups`) that colour few series.

    Baselines keep the dashes that their mark has. One legend shows colour and dash.
    """
    for marks, channel, looks in ((("line",), "strokeDash", DASHES), (("circle", "point"), "shape", SHAPES)):
        units = [(unit, data) for unit, data, _ in group if mark_of(unit) in marks and _colour(unit, data) is not None]
        fields = {str(part_of(_colour(*one), "shorthand")) for one in units}
        own = {_series(*one): part_of(part_of(one[0], "mark"), channel) for one in units}
        kinds = _order(units)
        free = [kind for kind in kinds if not any(kind in names for names, look in own.items() if _is_special(look))]
        if len(fields) == 1 and 2 <= len(free) <= _MOST and not any(_has(unit, channel) for unit, _ in units):
            given = {kind: look for names, look in own.items() if _is_special(look) for kind in names}
            given |= dict(zip(free, looks, strict=False))
            _add(units, channel, {kind: given[kind] for kind in kinds})


def _has(unit: Any, channel: str) -> bool:
    return part_of(part_of(unit, "encoding"), channel) is not None


def _colour(unit: Any, data: Any) -> Any:
    """Return the colour of a unit if it names series that the data hold, else None."""
    colour = part_of(part_of(unit, "encoding"), "color")
    field, _, kind = str(part_of(colour, "shorthand") or "").rpartition(":")
    return colour if kind == "N" and isinstance(data, pd.DataFrame) and field in data else None


def _series(unit: Any, data: pd.DataFrame) -> tuple[str, ...]:
    field = str(part_of(_colour(unit, data), "shorthand")).rpartition(":")[0]
    return tuple(map(str, dict.fromkeys(data[field].dropna())))


def _is_special(look: Any) -> bool:
    return look is not None and look != DASHES[0]


def _order(units: list[tuple]) -> list[str]:
    """Return the series in the order of the legend."""
    found = dict.fromkeys(name for one in units for name in _series(*one))
    for unit, data in units:
        colour = _colour(unit, data)
        listed = part_of(part_of(colour, "scale"), "domain") or part_of(colour, "sort")
        if isinstance(listed, list) and set(found) <= set(map(str, listed)):
            return list(map(str, listed))
    return sorted(found)  # as Vega orders colours


def _add(units: list[tuple], channel: str, looks: Mapping[str, Any]) -> None:
    scale = alt.Scale(domain=list(looks), range=list(looks.values()))
    for unit, data in units:
        colour = _colour(unit, data)
        coloured = part_of(colour, "scale") or alt.Scale()
        if part_of(coloured, "domain") is None:  # legends of one domain become one
            coloured["domain"] = list(looks)
            colour["scale"] = coloured
        if channel == "strokeDash" and (legend := part_of(colour, "legend")) is not None:
            legend["symbolSize"] = 450  # long enough for the longest dash
        kept = {name: held for name in ("title", "sort", "legend") if (held := colour._get(name)) is not alt.Undefined}
        made = {"strokeDash": alt.StrokeDash, "shape": alt.Shape}[channel]
        unit.encoding[channel] = made(colour.shorthand, scale=scale, **kept)
        if channel == "shape":
            own = unit.mark.to_dict() if isinstance(unit.mark, alt.SchemaBase) else {}
            unit.mark = alt.MarkDef(**own | {"type": "point", "filled": own.get("filled", True)})
