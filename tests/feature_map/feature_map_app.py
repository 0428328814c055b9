"""A page with nothing but a feature map, for the browser tests and the benchmark.

`streamlit run tests/feature_map/feature_map_app.py`; in the URL: n (points), show (without it, a button shows the map),
highlight, animate, altair (the same points in a plain chart, to compare with).
"""

import sys
from pathlib import Path

import numpy as np
import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ui.feature_map.component import MapPoints, by_group, by_value, feature_map
from ui.shared import errors

CENTRES = 12


@st.cache_resource
def points(n: int) -> MapPoints:
    """Clusters of points with one feature in ten outside the map."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CENTRES, 2)) * 6
    x, y = (centres[np.arange(n) % CENTRES] + rng.normal(size=(n, 2))).T
    x[::20], y[10::20] = np.nan, np.nan
    return MapPoints(x, y, np.arange(n), labels=[f"token {i} <b>&" for i in range(n)])


@st.cache_resource
def animation(n: int) -> MapPoints:
    """Three layers; every third point has no match in the next."""
    x, y = points(n).x, points(n).y
    aims = np.where(np.arange(n) % 3, x + 4, np.nan)
    layers = range(3)
    return MapPoints.series([f"Layer {i}" for i in layers], [x] * 3, [y] * 3, [aims] * 3, [y] * 3)


def colours(n: int, how: str):
    if how == "Density":
        return by_value(np.random.default_rng(1).lognormal(-6, 2, n), "Density")
    return by_group(np.arange(n) % CENTRES, [f"group {i}" for i in range(CENTRES)], "Group")


def plain_chart(shown: MapPoints, groups) -> None:
    """The same points and colours by Altair, without any selection."""
    import altair as alt
    import pandas as pd

    rows = shown.shown
    data = pd.DataFrame({"x": shown.x[rows], "y": shown.y[rows], "feature": rows, "group": groups.values[rows]})
    marks = alt.Chart(data.assign(label=[shown.labels[row] for row in rows])).mark_circle()
    st.altair_chart(marks.encode(x="x", y="y", color="group:N", tooltip=["feature", "label"]).properties(height=560))


def pick(row: int) -> None:
    st.session_state["feature"] = row


def main() -> None:
    st.title("Map")
    n = int(st.query_params.get("n", "600"))
    highlighted = np.arange(n) < 30 if "highlight" in st.query_params else None
    how = st.segmented_control("Colour by", ["Group", "Density"], default="Group", key="how")
    st.number_input("Feature", 0, n - 1, key="feature")
    if "animate" in st.query_params:
        shown = animation(n)
        feature_map(shown, by_value(np.tile(np.arange(n), 3), "Number"), key="map", label="Animation", on_pick=pick)
        return
    shown = points(n)  # kept before the button is clicked, as a stored layout is
    st.button("Show", on_click=lambda: st.session_state.update(shown=True))
    if "altair" in st.query_params and "shown" in st.session_state:
        plain_chart(shown, colours(n, how))
    elif "show" in st.query_params or "shown" in st.session_state:
        with errors.shown(stop=True):
            event = feature_map(
                shown,
                colours(n, how),
                key="map",
                label="Planted map",
                highlighted=highlighted,
                picked=[st.session_state["feature"]],
                on_pick=pick,
            )
        rows = np.arange(n) if event.selected is None else np.flatnonzero(event.selected)
        st.text(f"{len(rows)} rows, sum {rows.sum()}")
        st.text(f"clicked {event.row}")
        st.dataframe({"row": rows[:200]}, key="table")


if __name__ == "__main__":
    main()
