"""Charts of the automata page: the graph around a feature, and self-excitation of all features."""

import altair as alt
import numpy as np
import pandas as pd

from ui.shared.charts import ACCENT, MUTED

STEPS = {-2: "two tokens before", -1: "the token before", 0: "picked", 1: "the next token", 2: "two tokens on"}
_COLOURS = {-2: "#9ab8d6", -1: "#4c78a8", 0: ACCENT, 1: "#54a24b", 2: "#a3d39c"}
_BEND, _POINTS = 0.1, 12
"""How far an edge bends away from the straight line, as a share of its length; points that it is drawn through."""
_ARROW_AT = 0.6
_MARGIN = 0.12
_TEXT = {False: ("#31333f", "#ffffff"), True: ("#fafafa", "#0e1117")}
"""Colours of labels and of what lies behind them, on a light and on a dark page."""


def automaton(nodes: pd.DataFrame, edges: pd.DataFrame, *, dark: bool) -> alt.LayerChart:
    """Draw a graph: thicker lines have a larger lift, arrows point to what fires next, a ring is a step to itself.

    `nodes` have feature, step, x, y, label; `edges` have feature, next_feature, step_lift and columns for the tooltip.
    """
    x = alt.X("x:Q").scale(domain=[-_MARGIN, 1 + _MARGIN], nice=False).axis(None)
    y = alt.Y("y:Q").scale(domain=[-_MARGIN, 1 + _MARGIN], nice=False).axis(None)
    itself = edges["feature"] == edges["next_feature"]
    lines, arrows = _curves(nodes, edges[~itself])
    low = float(max(1, edges["step_lift"].min())) if len(edges) else 1.0
    high = float(max(low * 1.01, edges["step_lift"].max())) if len(edges) else 2.0
    width = alt.StrokeWidth("step_lift:Q").scale(type="log", domain=[low, high], range=[1, 5]).legend(None)
    tooltip = _tooltip(edges)
    drawn = (
        alt.Chart(lines)
        .mark_line(color=MUTED, opacity=0.45, strokeCap="round")
        .encode(x, y, width, alt.Detail("edge:N"), alt.Order("point:Q"), tooltip=tooltip)
    )
    angle = {"expr": "atan2(datum.dx * width, datum.dy * height) * 180 / PI"}
    heads = (
        alt.Chart(arrows)
        .mark_point(shape="triangle", filled=True, size=70, color=MUTED, opacity=0.95, angle=angle)
        .encode(x, y, tooltip=tooltip)
    )
    rings = (
        alt.Chart(edges[itself].merge(nodes[["feature", "x", "y"]], on="feature"))
        .mark_point(shape="circle", filled=False, size=260, color=MUTED, opacity=0.8, yOffset=10)
        .encode(x, y, width, tooltip=tooltip)
    )
    present = sorted(set(nodes["step"]))
    colour = (
        alt.Color("when:N")
        .title(None)
        .scale(domain=[STEPS[step] for step in present], range=[_COLOURS[step] for step in present])
        .legend(orient="top", columns=5)
    )
    base = alt.Chart(nodes.assign(when=nodes["step"].map(STEPS))).encode(x, y)
    dots = (
        base.mark_circle(size=190, opacity=1, stroke="white", strokeWidth=1)
        .encode(colour, tooltip=[alt.Tooltip("feature:Q", title="Feature", format="d")])
        .add_params(alt.selection_point(name="point", fields=["feature"]))
    )
    letters, behind = _TEXT[dark]
    look = {"dy": -15, "fontSize": 11.5, "limit": 170}
    # Lines run behind the labels: a border in the colour of the page keeps letters apart from them.
    border = base.mark_text(**look, color=behind, stroke=behind, strokeWidth=4).encode(alt.Text("label:N"))
    texts = base.mark_text(**look, color=letters).encode(alt.Text("label:N"))
    return alt.layer(rings, drawn, heads, border, texts, dots).properties(height=560)


def _tooltip(edges: pd.DataFrame) -> list[alt.Tooltip]:
    shown = [
        ("from:N", "From", ""),
        ("to:N", "To", ""),
        ("step_lift:Q", "Lift", ".3~g"),
        ("shuffled_lift:Q", "Lift in shuffled text", ".3~g"),
        ("step_q:Q", "q", ".2~g"),
        ("step_count:Q", "Times", ",d"),
        ("step_share:Q", "Share of next tokens", ".1%"),
        ("logit_edge:Q", "Logit edge", ".3~g"),
        ("chance_logit_edge:Q", "Logit edge, any feature", ".3~g"),
        ("example_1:N", "Example", ""),
        ("example_2:N", "Example 2", ""),
        ("example_3:N", "Example 3", ""),
    ]
    there = [part for part in shown if part[0].partition(":")[0] in edges]
    return [alt.Tooltip(name, title=title, **({"format": form} if form else {})) for name, title, form in there]


def _curves(nodes: pd.DataFrame, edges: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return points of a bent line for each edge, and where and in what direction its arrow lies."""
    place = nodes.set_index("feature")[["x", "y"]]
    start, end = (place.loc[edges[name]].to_numpy() for name in ("feature", "next_feature"))
    along = end - start
    middle = (start + end) / 2 + _BEND * np.stack([-along[:, 1], along[:, 0]], axis=1)

    def at(t: float) -> np.ndarray:
        return (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end

    edges = edges.reset_index(drop=True).assign(edge=range(len(edges)))
    parts = []
    for point, t in enumerate(np.linspace(0, 1, _POINTS)):
        xy = at(float(t))
        parts.append(edges.assign(x=xy[:, 0], y=xy[:, 1], point=point))
    direction = 2 * (1 - _ARROW_AT) * (middle - start) + 2 * _ARROW_AT * (end - middle)
    xy = at(_ARROW_AT)
    arrows = edges.assign(x=xy[:, 0], y=xy[:, 1], dx=direction[:, 0], dy=direction[:, 1])
    return pd.concat(parts, ignore_index=True), arrows
