"""The map for browsers without WebGL: a chart of at most 5,000 points with a box and a click."""

from collections.abc import Callable, Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from ui.feature_map.component.colours import GROUP_COLOURS, MISSING, MapColours
from ui.feature_map.component.points import MapPoints
from ui.shared.charts import ACCENT, MUTED
from ui.shared.figure import altair
from ui.shared.webgl import try_webgl_again

MOST_POINTS = 5_000
_STATES = ["greyed", "shown", "picked"]


def draw(
    points: MapPoints,
    colours: MapColours,
    *,
    key: str,
    highlighted: np.ndarray | None,
    picked: Sequence[int],
    on_pick: Callable[[int], None] | None,
) -> dict:
    """Draw the chart; return `row` (clicked, or None) and `polygon` (the box as four corners, or None)."""
    rows = points.shown
    if points.steps:
        titles = [step.title for step in points.steps]
        step = points.steps[titles.index(st.select_slider("Step", titles, key=f"{key}-step"))]
        rows = rows[(rows >= step.start) & (rows < step.stop)]
    chosen = sample(rows, highlighted, picked)
    name = f"{key}-chart"

    def clicked() -> int | None:
        row = (st.session_state[name]["selection"].get("point") or [{}])[0].get("row")
        return int(row) if row is not None and 0 <= int(row) < len(points.x) else None

    def callback() -> None:
        row = clicked()
        if row is not None and on_pick is not None:
            on_pick(row)

    chart = scatter(table(points, colours, chosen, highlighted, picked), colours)
    event = altair(chart, name, on_select=callback, selection=["point", "box"])()
    left_out = len(rows) - len(chosen)
    st.caption(
        "This browser has no WebGL, so the map is a simpler chart. Drag for a box, click for a feature."
        + (f" {left_out:,} of {len(rows):,} points are left out at random (seed 0)." if left_out else "")
    )
    st.button("Try WebGL again", key=f"{key}-again", type="tertiary", on_click=lambda: try_webgl_again(key))
    return {"row": clicked(), "polygon": corners(event["selection"].get("box"))}


def sample(rows: np.ndarray, highlighted: np.ndarray | None, picked: Sequence[int]) -> np.ndarray:
    """Choose rows to draw: first picked, then highlighted rows, then others at random (seed 0). Returns them sorted."""
    if len(rows) <= MOST_POINTS:
        return rows
    rank = np.random.default_rng(0).random(len(rows))
    if highlighted is not None:
        rank -= highlighted[rows]
    rank -= 2 * np.isin(rows, picked)
    return np.sort(rows[np.argsort(rank, kind="stable")[:MOST_POINTS]])


def table(
    points: MapPoints, colours: MapColours, rows: np.ndarray, highlighted: np.ndarray | None, picked: Sequence[int]
) -> pd.DataFrame:
    """Return columns row, x, y, feature, label, colour (a group's name, or the ramp's step), value, state."""
    index = colours.index[rows]
    if colours.groups:
        values = colours.values[rows]
        names = ["none" if np.isnan(value) else colours.groups[int(value)] for value in values]
        colour, value = names, names
    else:
        colour = np.where(index == MISSING, np.nan, index.astype(float))
        value = colours.values[rows] if colours.values is not None else np.nan
    state = np.where(highlighted[rows], "shown", "greyed") if highlighted is not None else np.full(len(rows), "shown")
    state = np.where(np.isin(rows, picked), "picked", state)
    label = [points.labels[row] for row in rows] if len(points.labels) else ""
    columns = {"row": rows, "x": points.x[rows], "y": points.y[rows], "feature": points.feature[rows], "label": label}
    return pd.DataFrame(columns | {"colour": colour, "value": value, "state": state})


def scatter(data: pd.DataFrame, colours: MapColours) -> alt.Chart:
    """Draw one circle for each row; selections are `point` (field row) and `box`."""
    if colours.groups:
        few = len(colours.groups) <= GROUP_COLOURS
        colour = alt.Color("colour:N").title(colours.title).legend(alt.Legend(orient="bottom") if few else None)
    else:
        colour = alt.Color("colour:Q").title(colours.title).scale(range=["#fdba74", "#7c2d12"]).legend(None)
    greyed = alt.datum["state"] == "greyed"
    axis = {"title": None, "axis": alt.Axis(labels=False, ticks=False, grid=False, domain=False)}
    return (
        alt.Chart(data)
        .mark_circle(size=22)
        .encode(
            alt.X("x:Q", **axis).scale(zero=False),
            alt.Y("y:Q", **axis).scale(zero=False),
            color=alt.when(greyed).then(alt.value(MUTED)).otherwise(colour),
            opacity=alt.when(greyed).then(alt.value(0.15)).otherwise(alt.value(0.75)),
            stroke=alt.when(alt.datum["state"] == "picked").then(alt.value(ACCENT)).otherwise(alt.value("transparent")),
            strokeWidth=alt.value(3),
            tooltip=[alt.Tooltip("feature:Q", format="d"), "label:N", alt.Tooltip("value").title(colours.title)],
        )
        .add_params(alt.selection_point(name="point", fields=["row"], on="click"), alt.selection_interval(name="box"))
        .properties(height=520)
    )


def corners(box: dict | None) -> list | None:
    """Return the four corners of a box selection, or None if nothing is selected."""
    if not box or len(box.get("x", [])) != 2 or len(box.get("y", [])) != 2:
        return None
    (left, right), (low, high) = sorted(box["x"]), sorted(box["y"])
    return [[left, low], [right, low], [right, high], [left, high]]
