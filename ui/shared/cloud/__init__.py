"""A chart of a whole dictionary: every point drawn by WebGL, with axes, tooltips, a click and a rectangle.

Vega needs a pause for more than some thousand marks, so `ui.shared.figure.altair` hands larger charts of points over.
What a person does comes back in the shape that Streamlit gives Altair's selections.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from ui.shared.cloud.read import Cloud, Tip, read
from ui.shared.escape import signs
from ui.shared.naming import Names
from ui.shared.selection import telling
from ui.shared.webgl import PART, PLANE, note_webgl, without_webgl
from ui.shared.webgl.payload import pack

__all__ = ["can_draw", "draw", "plane", "read"]


def plane(key: str) -> str:
    """Return the name under which the browser knows a chart's points."""
    return f"{key}-cloud"


def can_draw(key: str) -> bool:
    """Whether the browser draws this chart; it has not said that it cannot."""
    return not without_webgl(plane(key))


def draw(cloud: Cloud, key: str, label: str, names: Names, on_select: Callable[[], None] | None) -> dict:
    """Draw a cloud, and return {"selection": {...}} as Altair's chart of the same name would.

    A screen reader says `label`. `on_select` is called after a click or a rectangle, and `selection_of(key)` tells it
    what was chosen. A click lasts for one run, a rectangle until it is removed.
    """
    name = plane(key)
    if on_select is None:
        cloud = replace(cloud, click=(), drag="")
    points, digest = _points(cloud, name, label, names)
    with st.container(gap=None):
        result = PLANE(
            key=name,
            data=points,
            on_point_change=lambda: _tell(cloud, key, digest, on_select or _nothing, "point"),
            on_lasso_change=lambda: _tell(cloud, key, digest, on_select or _nothing, "lasso"),
            on_webgl_change=lambda: note_webgl(name),
        )
        PART(key=f"{name}-colours", data=_colours(cloud, name, digest))
        lasso = result.get("lasso")
        PART(key=f"{name}-marks", data=_marks(cloud, name, digest, lasso))
    chosen = _clicked(cloud, result.get("point"), digest) | _within(cloud, lasso, digest)
    return {"selection": chosen}


def _nothing() -> None:
    """Streamlit keeps a component's state only under keys that have a callback."""


def _tell(cloud: Cloud, key: str, digest: str, on_select: Callable[[], None], what: str) -> None:
    """Call the page back with what has just been done."""
    state = st.session_state[plane(key)]
    read_one = _clicked if what == "point" else _within
    with telling(key, read_one(cloud, state.get(what), digest)):
        on_select()


def _clicked(cloud: Cloud, click: Any, digest: str) -> dict[str, list]:
    if not cloud.click or not isinstance(click, dict) or click.get("digest") != digest:
        return {}
    point = click.get("point")
    if type(point) is not int or not 0 <= point < len(cloud.table):
        return {}
    row = cloud.table.iloc[point]
    name, *fields = cloud.click
    return {name: [{field: _plain(row[field]) for field in fields if field in row}]}


def _within(cloud: Cloud, lasso: Any, digest: str) -> dict[str, dict]:
    """Return the rectangle's ends in the columns of both axes."""
    if not cloud.drag or not isinstance(lasso, dict) or lasso.get("digest") != digest:
        return {}
    corners = lasso.get("polygon")
    if not isinstance(corners, list) or len(corners) != 4 or not all(map(_is_place, corners)):
        return {}
    ends = {}
    for axis, places in ((cloud.x, [corner[0] for corner in corners]), (cloud.y, [corner[1] for corner in corners])):
        ends[axis.field] = [axis.value(min(places)), axis.value(max(places))]
    return {cloud.drag: ends}


def _is_place(corner: Any) -> bool:
    """Whether it is two numbers near an axis, from where no value overflows."""
    return (
        isinstance(corner, list)
        and len(corner) == 2
        and all(isinstance(part, int | float) and math.isfinite(part) and abs(part) <= 10 for part in corner)
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _points(cloud: Cloud, name: str, label: str, names: Names) -> tuple[bytes, str]:
    """Return the message of places and tooltips, and a hash of what it shows."""
    table = cloud.table
    arrays = {axis: getattr(cloud, axis).units(table[getattr(cloud, axis).field]).astype(np.float32) for axis in "xy"}
    tips = []
    for tip in cloud.tips:
        tips.append(_tip(f"tip{len(tips)}", tip, table[tip.column], arrays))
        if tip.column in names and tip.column == "feature":
            called = pd.Series([names["feature"].of(int(i)) for i in table["feature"]])
            tips.append(_tip(f"tip{len(tips)}", Tip("name", "Name"), called, arrays))
    axes = {axis: _said(getattr(cloud, axis)) for axis in "xy"}
    said = {"axes": axes, "tips": tips, "still": not cloud.drag, "height": cloud.height, "label": label}
    digest = hashlib.sha256(json.dumps([axes, tips, len(table)], sort_keys=True, default=str).encode())
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array).data)
    order = digest.hexdigest()[:16]
    header = {"kind": "points", "map": name, "n": len(table), "order": order, "digest": order, "steps": []}
    return pack(header | said, arrays), order


def _said(axis: Any) -> dict:
    return {"title": axis.title, "kind": axis.kind, "low": axis.low, "high": axis.high}


def _tip(block: str, tip: Tip, values: pd.Series, arrays: dict[str, np.ndarray]) -> dict:
    """Put a column of the tooltip among the arrays, and return how the browser reads it."""
    said = {"title": tip.title, "column": block}
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        codes, texts = pd.factorize(values.astype(str))
        arrays[block] = codes.astype(np.int32)
        text = json.dumps([signs(text) for text in texts], ensure_ascii=False)
        arrays[f"{block}-texts"] = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
        return said | {"kind": "text"}
    if pd.api.types.is_integer_dtype(values):
        arrays[block] = values.to_numpy(np.int32)
        return said | {"kind": "whole"}
    arrays[block] = values.to_numpy(np.float32)
    return said | {"kind": "number"}


def _colours(cloud: Cloud, name: str, digest: str) -> bytes:
    colours = cloud.colours
    header = {
        "kind": "colours",
        "map": name,
        "n": len(cloud.table),
        "order": digest,
        "title": colours.title,
        "log": colours.log,
        "ramp": colours.ends,
        "groups": colours.groups,
        "missing": int((colours.index == 255).sum()),
    }
    if colours.palette is not None:
        header["palette"] = colours.palette
    return pack(header, {"colour": colours.index})


def _marks(cloud: Cloud, name: str, digest: str, lasso: Any) -> bytes:
    polygon = lasso.get("polygon") if _within(cloud, lasso, digest) else None
    header = {"kind": "marks", "map": name, "n": len(cloud.table), "order": digest, "digest": digest}
    header |= {"picked": [], "polygon": polygon, "rings": cloud.rings}
    header["rules"] = [{"along": along, "at": at} for along, at in cloud.rules]
    header["texts"] = [{"x": x, "y": y, "text": text, "dy": dy} for x, y, text, dy in cloud.texts]
    arrays = {} if cloud.bright is None else {"bright": np.packbits(cloud.bright)}
    return pack(header, arrays)
