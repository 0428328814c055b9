"""The feature map: up to a few hundred thousand points to pan, zoom, hover, click and lasso.

This is a Streamlit component of our own that draws with WebGL, because an Altair chart of this size takes seconds to
appear and to zoom. Without WebGL, the same function draws a smaller Altair chart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from core.maths.polygon import inside
from ui.feature_map.component import fallback
from ui.feature_map.component.colours import MapColours, by_group, by_value
from ui.feature_map.component.points import MapPoints, Step
from ui.shared.webgl import PART, PLANE, note_webgl, without_webgl
from ui.shared.webgl.payload import pack

__all__ = ["MapColours", "MapEvent", "MapPoints", "Step", "by_group", "by_value", "feature_map"]


@dataclass(frozen=True)
class MapEvent:
    """What a person did on a map. Rows are rows of MapPoints."""

    row: int | None = None
    """The row that was clicked; None on every run except the one after the click."""
    feature: int | None = None
    """Its feature number."""
    polygon: list | None = None
    """The lasso in the map's own units. It stays until it is removed."""
    selected: np.ndarray | None = None
    """bool [n]: inside the lasso and highlighted; None if there is neither a lasso nor a highlight."""


def feature_map(
    points: MapPoints,
    colours: MapColours,
    *,
    key: str,
    label: str,
    highlighted: np.ndarray | None = None,
    picked: Sequence[int] = (),
    on_pick: Callable[[int], None] | None = None,
    linked: Callable[[np.ndarray], np.ndarray] | None = None,
    until_lasso: bool = False,
    height: int = 560,
) -> MapEvent:
    """Draw a map and return what a person did on it.

    Points in `highlighted` (bool [n]) keep their colour. All others are grey, and so are points outside the lasso.
    With `until_lasso`, a lasso chooses among all points, and they are highlighted only until one is drawn.
    `picked` rows get a ring. A click on a point calls `on_pick(row)` before the next run, so it may set the state of
    other widgets. `linked` turns the selected points (bool [n]) into the points that keep their colour; without WebGL
    all points keep it. A screen reader says `label`. An animation has no lasso. Raises BadPolygonError for a lasso that
    our own code cannot have sent.
    """
    assert len(colours.index) == len(points.x), "colours and points differ in length"
    if without_webgl(key):
        drawn = fallback.draw(points, colours, key=key, highlighted=highlighted, picked=picked, on_pick=on_pick)
        return _event(points, drawn["row"], drawn["polygon"], highlighted, until_lasso)
    with st.container(gap=None):
        result = PLANE(
            key=key,
            data=_points_payload(points, key, label, height),
            on_point_change=lambda: _pick(points, key, on_pick),
            on_lasso_change=_nothing,
            on_webgl_change=lambda: note_webgl(key),
        )
        row, polygon = _row(points, result.get("point")), _polygon(points, result.get("lasso"))
        event = _event(points, row, polygon, highlighted, until_lasso)
        PART(key=f"{key}-colours", data=_colours_payload(points, colours, key))
        bright = event.selected if linked is None or event.selected is None else linked(event.selected)
        PART(key=f"{key}-marks", data=_marks_payload(points, replace(event, selected=bright), key, picked))
    return event


def _nothing() -> None:
    """Streamlit keeps a component's state only under keys that have a callback."""


def _pick(points: MapPoints, key: str, on_pick: Callable[[int], None] | None) -> None:
    row = _row(points, st.session_state[key].get("point"))
    if row is not None and on_pick is not None:
        on_pick(row)


def _row(points: MapPoints, click: object) -> int | None:
    """Return the row of a click, or None if there was no click or it was on another layout."""
    if not isinstance(click, dict) or click.get("digest") != points.digest:
        return None
    point = click.get("point")
    if not isinstance(point, int) or not 0 <= point < len(points.shown):
        return None
    return int(points.shown[point])


def _polygon(points: MapPoints, lasso: object) -> list | None:
    return lasso.get("polygon") if isinstance(lasso, dict) and lasso.get("digest") == points.digest else None


def _event(
    points: MapPoints, row: int | None, polygon: list | None, highlighted: np.ndarray | None, until_lasso: bool
) -> MapEvent:
    selected = highlighted
    if polygon is not None:
        within = inside(points.x, points.y, polygon)
        selected = within if highlighted is None or until_lasso else within & highlighted
    return MapEvent(row, None if row is None else int(points.feature[row]), polygon, selected)


# Three messages, so that a click or a new colour does not send all points again: Streamlit sends a message only if its
# bytes have changed. The browser joins the three under the map's name.


def _points_payload(points: MapPoints, key: str, label: str, height: int) -> bytes:
    header = {"kind": "points", "map": key, "n": len(points.shown), "order": points.order, "digest": points.digest}
    return pack(header | {"label": label, "height": height, "steps": points.sent_steps()}, points.arrays)


def _colours_payload(points: MapPoints, colours: MapColours, key: str) -> bytes:
    rows = points.shown
    header = {
        "kind": "colours",
        "map": key,
        "n": len(rows),
        "order": points.order,
        "title": colours.title,
        "log": colours.log,
        "ramp": colours.ramp,
        "groups": colours.groups,
        "missing": int(colours.missing),
    }
    arrays = {"colour": colours.index[rows]}
    if colours.values is not None:
        arrays["value"] = colours.values[rows]
    return pack(header, arrays)


def _marks_payload(points: MapPoints, event: MapEvent, key: str, picked: Sequence[int]) -> bytes:
    numbers = points.sent[np.asarray(picked, dtype=int)]
    header = {"kind": "marks", "map": key, "n": len(points.shown), "order": points.order, "digest": points.digest}
    header |= {"picked": numbers[numbers >= 0].tolist(), "polygon": event.polygon}
    arrays = {} if event.selected is None else {"bright": np.packbits(event.selected[points.shown])}
    return pack(header, arrays)
