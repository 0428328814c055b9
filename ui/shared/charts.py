"""Shared chart pieces: DataFrame in, Altair chart out. Knows pandas, Altair and how text is escaped only.

Colours of marks that carry no data come from the theme; the one accent works on light and dark.
"""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from ui.shared.escape import as_expression

ACCENT = "#ea580c"
MUTED = "#8a8f98"
COLOURS = [ACCENT, *["#4c78a8", "#32666a", "#eab31c", "#4e4dca", "#aec1a2", "#bb1719", "#1f93fa", "#9ebcf6"]]
"""Colours of series that stand side by side; the first colour is for the series that the figure is about.

People with protanopia and deuteranopia can tell them and MUTED apart (tests/house/test_colours.py measures it).
"""
ORDERED = ["#4453b5", "#b65a9a", "#ec8048", "#efba42"]
"""Colours of an ordered quantity from low to high, lighter and lighter. All are seen on dark and on light pages."""
# From transparent to full colour: the same ramps read on a light and on a dark page.
RAMP = ["rgba(234,88,12,0.04)", "#ea580c"]
DIVERGING = ["#2563eb", "rgba(128,128,128,0.06)", "#ea580c"]
ALL_LABELLED = 48
"""With more rows than this, a heatmap has no room for a label on every row."""
MAX_CELLS = 4_000
"""The most rectangles that are drawn. With more, a browser without a GPU needs over a second."""


def ramp(n: int) -> list[str]:
    """Return n colours along ORDERED, evenly spaced."""
    stops = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in ORDERED]
    colours = []
    for i in range(n):
        at = i / max(1, n - 1) * (len(stops) - 1)
        low = min(int(at), len(stops) - 2)
        mixed = (round(a + (b - a) * (at - low)) for a, b in zip(stops[low], stops[low + 1], strict=True))
        colours.append("#" + "".join(f"{part:02x}" for part in mixed))
    return colours


def context_marker(context_size: int | None, n_pos: int, *, axis: str = "position") -> list[alt.Chart]:
    """Mark the end of the dictionary's training context with a dashed line, if that position is in view.

    `axis` is the field that the other layers have on x. On a heatmap, whose x is the cells' `left`, the
    line has no text: it would hide cells.
    """
    if context_size is None or context_size >= n_pos:
        return []
    x = alt.X(f"{axis}:Q")
    data = pd.DataFrame({axis: [context_size - 0.5], "text": [f"end of training context ({context_size})"]})
    line = alt.Chart(data).mark_rule(strokeDash=[5, 4], color=MUTED, size=1.5).encode(x)
    if axis == "left":
        return [line]
    text = alt.Chart(data).mark_text(align="left", baseline="top", dx=5, color=MUTED, fontSize=11)
    return [line, text.encode(x, alt.Text("text:N"), y=alt.value(2))]


def position_axis(n_pos: int, title: str = "Position in the sequence") -> alt.X:
    """Return the x axis that all charts by position share: whole positions, the full range."""
    return (
        alt.X("position:Q")
        .title(title)
        .scale(domain=[-0.5, n_pos - 0.5], nice=False, zero=False)
        .axis(tickMinStep=1, grid=False)
    )


def heatmap(
    cells: pd.DataFrame,
    *,
    row: str,
    value: str,
    n_pos: int,
    row_order: Sequence,
    row_title: str,
    value_title: str,
    x_title: str = "Position in the sequence",
    first: int = 0,
    context_size: int | None = None,
    diverging: bool = False,
    tooltip: Sequence[alt.Tooltip] = (),
    select: str | None = None,
    x_labels: Sequence[str] = (),
) -> alt.LayerChart:
    """Rows x positions from `first`; empty cells are not drawn, and every row keeps its place and label.

    Needs columns `position`, `row` and `value`. `select` names a point selection on the rows. `x_labels` stand under
    the positions in place of their numbers.
    """
    order = [str(name) for name in row_order]
    data = cells.assign(**{row: cells[row].astype(str)})
    left, right = alt.X("left:Q"), alt.X2("right:Q")
    data = data.assign(left=data["position"] - 0.5, right=data["position"] + 0.5)
    domain = [first - 0.5, n_pos - 0.5]
    if diverging:
        limit = float(max(abs(data[value]).max(), 1e-9)) if len(data) else 1.0
        scale = alt.Scale(range=DIVERGING, domain=[-limit, 0, limit])
    else:
        top = float(data[value].max()) if len(data) else 1.0
        scale = alt.Scale(range=RAMP, domain=[0, top], type="sqrt")
    marks = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            left.title(x_title).scale(domain=domain, nice=False).axis(_named(x_labels, first)),
            right,
            alt.Y(f"{row}:N")
            .title(row_title)
            .sort(order)
            .scale(domain=order)
            .axis(labelOverlap=len(order) > ALL_LABELLED, labelLimit=140),
            alt.Color(f"{value}:Q").scale(scale).title(value_title).legend(orient="top", gradientLength=220),
            tooltip=list(tooltip),
        )
    )
    if select:
        marks = marks.add_params(alt.selection_point(name=select, fields=[row]))
    layers = [marks, *context_marker(context_size, n_pos, axis="left")]
    return alt.layer(*layers).properties(height=alt.Step(14 if len(order) <= ALL_LABELLED else 6))


def _named(labels: Sequence[str], first: int) -> alt.Axis:
    """Return an axis of whole numbers, or of these labels from the number `first` on."""
    if not labels:
        return alt.Axis(tickMinStep=1, grid=False)
    names = f"{as_expression(labels)}[datum.value - {first}]"
    numbers = list(range(first, first + len(labels)))
    return alt.Axis(values=numbers, labelExpr=names, labelAngle=-60, labelLimit=90, labelOverlap=False, grid=False)


def around(low: float, high: float) -> tuple[float, float]:
    """Return the ends, or, if they are equal but for rounding, numbers around them: an axis needs an extent."""
    return (low, high) if high - low > 1e-5 * max(abs(low), abs(high)) else (low - 0.5, high + 0.5)


def histogram(
    values: pd.DataFrame, column: str, title: str, *, bins: int = 60, log: bool = False, y_title: str = "Features"
) -> alt.Chart:
    """Counts of one column's values, binned here so that the page sends bins only."""
    finite = values[column].dropna().to_numpy(dtype=float)
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    low, high = around(low, high)
    counts, edges = np.histogram(finite, bins=bins, range=(low, high))
    data = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts})
    scale = alt.Scale(type="symlog") if log else alt.Scale()
    return (
        alt.Chart(data)
        .mark_bar(binSpacing=0, color=ACCENT)
        .encode(
            alt.X("low:Q").bin("binned").title(title),
            alt.X2("high:Q"),
            alt.Y("count:Q").title(y_title).scale(scale),
            tooltip=[alt.Tooltip("low:Q", format=".3g"), alt.Tooltip("high:Q", format=".3g"), "count:Q"],
        )
        .properties(height=240)
    )


def bars(table: pd.DataFrame, column: str, *, x_title: str, y_title: str = "Tokens") -> alt.Chart:
    """Draw bins that were counted before: a bar of height `count` at each value of `column`, as wide as the step."""
    at = np.unique(table[column].to_numpy(dtype=float))
    half = float(np.diff(at).min()) / 2 if len(at) > 1 else 0.5
    data = pd.DataFrame({"low": table[column] - half, "high": table[column] + half, "count": table["count"]})
    return (
        alt.Chart(data)
        .mark_bar(binSpacing=0, color=ACCENT)
        .encode(
            alt.X("low:Q").bin("binned").title(x_title),
            alt.X2("high:Q"),
            alt.Y("count:Q").title(y_title).scale(type="symlog"),
            tooltip=[alt.Tooltip("low:Q", format=".3g"), alt.Tooltip("high:Q", format=".3g"), "count:Q"],
        )
        .properties(height=200)
    )


def _scale(values: pd.Series, *, log: bool) -> alt.Scale:
    """Return the scale of points; one that would label rounding errors gets other ends."""
    if log or values.empty:
        return alt.Scale(type="log" if log else "linear", zero=False)
    low, high = float(values.min()), float(values.max())
    ends = around(low, high)
    return alt.Scale(type="linear", zero=False, **({} if ends == (low, high) else {"domain": list(ends)}))


def scatter(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    x_title: str,
    y_title: str,
    group: str | None = None,
    x_log: bool = False,
    y_log: bool = False,
    select: str | None = None,
) -> alt.Chart:
    """Draw one point for each feature; needs a column `feature`. Log axes leave out values of 0 and below.

    `group` is a text column that colours the points; colours follow the order of appearance.
    """
    data = table.dropna(subset=[x, y])
    for column, log in ((x, x_log), (y, y_log)):
        if log:
            data = data[data[column] > 0]
    names = ["feature", x, y]
    colour = alt.value(ACCENT)
    if group:
        order = list(dict.fromkeys(table[group]))
        colour = alt.Color(f"{group}:N").title(None).sort(order).scale(range=COLOURS[:2]).legend(orient="top")
    chart = (
        alt.Chart(data[names + ([group] if group else [])])
        .mark_circle(size=26, opacity=0.6)
        .encode(
            alt.X(f"{x}:Q").title(x_title).scale(_scale(data[x], log=x_log)),
            alt.Y(f"{y}:Q").title(y_title).scale(_scale(data[y], log=y_log)),
            color=colour,
            tooltip=[alt.Tooltip(f"{name}:Q", format=".4~g") for name in names],
        )
        .properties(height=380)
    )
    return chart.add_params(alt.selection_point(name=select, fields=["feature"])) if select else chart


def error_by_position(table: pd.DataFrame, *, n_pos: int, context_size: int, y_title: str, log: bool) -> alt.LayerChart:
    """Lines by `series` ('reconstruction', a baseline); needs `position`, `series`, `value`."""
    data = table[table["value"] > 0] if log else table
    lines = (
        alt.Chart(data)
        .mark_line(size=1.8)
        .encode(
            position_axis(n_pos),
            alt.Y("value:Q").title(y_title).scale(type="log" if log else "linear"),
            alt.Color("series:N")
            .title(None)
            .scale(range=[ACCENT, MUTED, *COLOURS[1:]])
            .sort(list(dict.fromkeys(data["series"])))
            .legend(orient="top", labelLimit=320, columns=3),
            alt.StrokeDash("series:N").legend(None).sort(list(dict.fromkeys(data["series"]))),
            tooltip=["series:N", "position:Q", alt.Tooltip("value:Q", format=".4g")],
        )
    )
    return alt.layer(lines, *context_marker(context_size, n_pos)).properties(height=320)
