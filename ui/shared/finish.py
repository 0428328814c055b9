"""What every Altair chart gets before it is drawn: signs for odd letters, ticks, titles that fit, contrast, dashes.

Charts say what they show; how axes are labelled is decided here, once for all pages.
"""

import math
import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.feature.names import FeatureNames, cut
from ui.shared.chart_parts import axis_of, groups, mark_of, part_of
from ui.shared.escape import as_expression, signs, signs_in_table
from ui.shared.naming import Names
from ui.shared.series import tell_apart
from ui.shared.tooltips import field_of, title_tooltip

_HEIGHT = 300
"""Pixels of a chart that names no height, as Streamlit draws it."""
_LETTER = 5.9
"""Pixels of a letter of an axis title, about."""
_BELOW = 70
"""Pixels of a chart's height that its x axis takes."""
_MOST_TICKS = 7
_MOST_NAMED, _LONGEST_LABEL = 100, 24
"""Features on an axis or in a legend that have their names there, and the letters of number and name together."""
_TEXT_ON_LIGHT = "#5b616b"
"""Grey with a contrast of 6.2 to 1 on white; Streamlit's own has 3.7, and WCAG AA asks for 4.5."""
MOST_HEARD = 1_000
"""Marks of a layer that each have a text of their own for those who hear the page."""
_ONE_MARK = ("line", "area", "trail")
_LABEL = "datum.value >= 10000 ? format(datum.value, '~s') : format(datum.value, ',~r')"


def finished(chart: alt.TopLevelMixin, *, dark: bool, names: Names = MappingProxyType({})) -> alt.TopLevelMixin:
    """Return the chart with what all charts share. Its axes, and the data of features that have names, are changed."""
    _put_signs(chart)
    for group in groups(chart):
        for unit, data, _ in group:
            _name_features(unit, data, names.get("feature"))
        for channel in ("x", "y"):
            _label_log_axis([(axis, data) for unit, data, _ in group if (axis := axis_of(unit, channel)) is not None])
        for unit, data, height in group:
            title_tooltip(unit)
            _fit_title(unit, height)
            _hide_if_unheard(unit, data)
        tell_apart(group)
    look = {} if dark else {"labelColor": _TEXT_ON_LIGHT, "titleColor": _TEXT_ON_LIGHT}
    # Streamlit moves an axis' outermost labels inwards. Names of rows then overlap.
    named = chart.configure_axis(**look).configure_axisDiscrete(labelFlush=False)
    return named.configure_legend(titleLimit=400, labelLimit=300, **look)


def _put_signs(node: Any) -> Any:
    """Put signs for characters that are not seen or that turn others in all texts and tables of a chart.

    Titles, domains and the orders of labels name values of the tables, so that all of them change alike.
    """
    if isinstance(node, pd.DataFrame):
        return signs_in_table(node)
    if isinstance(node, str):
        return signs(node)
    if isinstance(node, alt.SchemaBase):
        held = node._kwds
        held.update({name: _put_signs(inner) for name, inner in held.items()})
        return node
    if type(node) is dict:
        return {name: _put_signs(inner) for name, inner in node.items()}
    return type(node)(map(_put_signs, node)) if type(node) in (list, tuple) else node


def _hide_if_unheard(unit: Any, data: Any) -> None:
    """Hide a layer without marks, or with so many that nobody hears them one by one, from those who hear the page.

    Vega draws a picture without a name for an empty one, such as the ring of a feature that is not drawn. For thousands
    of marks it writes as many sentences; the chart's own text has its finding.
    """
    kind = mark_of(unit)
    if isinstance(data, pd.DataFrame) and kind and (data.empty or (len(data) > MOST_HEARD and kind not in _ONE_MARK)):
        if isinstance(unit.mark, str):
            unit.mark = alt.MarkDef(type=kind)
        unit.mark.aria = False


def _name_features(unit: Any, data: Any, names: FeatureNames | None) -> None:
    """Add the names of features to a unit's tooltip, axes and legend."""
    encoding = part_of(unit, "encoding")
    if not names or encoding is None or not isinstance(data, pd.DataFrame) or "feature" not in data:
        return
    called = {feature: names.of(int(feature)) for feature in data["feature"].dropna().unique().tolist()}
    tooltip = part_of(encoding, "tooltip")
    shown = [field_of(one) for one in tooltip] if isinstance(tooltip, list) else []
    place = shown.index("feature") if "feature" in shown else None
    if place is not None and any(called.values()):
        unit.data = signs_in_table(data.assign(feature_name=data["feature"].map(called)))
        tooltip.insert(place + 1, alt.Tooltip("feature_name:N", title="Name"))
    if len(called) <= _MOST_NAMED:
        for channel, guide, made in (("x", "axis", alt.Axis), ("y", "axis", alt.Axis), ("color", "legend", alt.Legend)):
            _name_guide(part_of(encoding, channel), guide, made, called)


def _name_guide(channel: Any, guide: str, made: type, called: Mapping[Any, str]) -> None:
    """Put the names of features behind their numbers on an axis or in a legend, where it has a label for each."""
    if not isinstance(channel, alt.SchemaBase) or channel._get("shorthand", "") != "feature:N":
        return
    own = channel._get(guide)
    if own is None:  # hidden
        return
    own = made() if own is alt.Undefined else own
    if part_of(own, "labelExpr") is None and any(called.values()):
        labels = {str(i): cut(f"{i} {name}".strip(), _LONGEST_LABEL) for i, name in called.items()}
        own["labelExpr"] = f"{as_expression(labels)}[datum.value] || datum.value"
        channel[guide] = own


def log_ticks(low: float, high: float) -> list[float]:
    """Return the values to label from `low` to `high`: powers of ten, or round numbers where these are under three.

    Empty where fewer than three lie between them, and for ends of 0 and below: then the chart's own ticks are better.
    """
    if not 0 < low <= high < math.inf:
        return []
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    powers = [tick for n in decades if low <= (tick := _times_ten(1, n)) <= high]
    if len(powers) >= 3:
        return powers[:: -(-len(powers) // _MOST_TICKS)]
    steps = (1, 2, 5) if high / low > 20 else (1, 2, 3, 5, 7)
    ticks = [tick for n in decades for step in steps if low <= (tick := _times_ten(step, n)) <= high]
    return ticks if len(ticks) >= 3 else []


def _times_ten(step: int, n: int) -> float:
    """Return step * 10^n as the nearest float, which multiplying by 10.0 ** n is not always."""
    return float(f"{step}e{n}")


def _label_log_axis(shared: list[tuple]) -> None:
    """Label a log axis, given by the encodings that share it with their data, unless the chart chose its ticks."""
    logs = [axis for axis, _ in shared if part_of(part_of(axis, "scale"), "type") == "log"]
    domains = [domain for axis in logs if isinstance(domain := part_of(part_of(axis, "scale"), "domain"), list)]
    ends = domains[0] if domains else [end for axis, data in shared if logs for end in _ends(axis, data)]
    ticks = log_ticks(min(ends), max(ends)) if ends else []
    for axis in logs if ticks else ():
        own = axis._get("axis")
        if own is None or part_of(own, "values"):  # None hides the axis
            continue
        own = alt.Axis() if own is alt.Undefined else own
        written = part_of(own, "format")
        own["values"] = ticks
        own["labelExpr"] = _LABEL if written is None else f"format(datum.value, {written!r})"
        axis["axis"] = own


def _ends(axis: Any, data: Any) -> list[float]:
    """Return the least and the largest value above 0 of an encoding's column; empty if that is not known."""
    field = str(part_of(axis, "shorthand")).rpartition(":")[0]
    if not isinstance(data, pd.DataFrame) or field not in data:
        return []
    values = pd.to_numeric(data[field], errors="coerce").to_numpy(dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    return [float(values.min()), float(values.max())] if len(values) else []


def _fit_title(unit: Any, height: Any) -> None:
    """Break a title that stands along the y axis into lines where it is longer than the axis."""
    axis = axis_of(unit, "y")
    title = part_of(axis, "title")
    room = max(12, int(((height if isinstance(height, int) else _HEIGHT) - _BELOW) / _LETTER))
    if isinstance(title, str) and len(title) > room:
        axis["title"] = textwrap.wrap(title, room)
