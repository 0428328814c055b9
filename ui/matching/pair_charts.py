"""Charts of two features side by side: DataFrame in, Altair chart out."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, MUTED

OTHERS = "#4c78a8"


def pair_scatter(
    table: pd.DataFrame, x: str, y: str, *, titles: Sequence[str], groups: Sequence[str] = (), text: str
) -> alt.LayerChart:
    """Draw one point for each token, ticks on both axes, and lines at 0; needs `x`, `y` and the column `text`.

    `groups` are the values of a column `group` that colour the points; the first has the accent colour.
    """
    colour = alt.value(ACCENT)
    if groups:
        order = list(groups)
        colour = alt.Color("group:N").title(None).scale(domain=order, range=[ACCENT, OTHERS][: len(order)])
        colour = colour.legend(alt.Legend(orient="top", labelLimit=320))
    tooltip = [alt.Tooltip(f"{text}:N", title="Token")]
    tooltip += [
        alt.Tooltip(f"{name}:Q", title=title, format=".4~g") for name, title in zip((x, y), titles, strict=True)
    ]
    across, up = (
        channel(f"{name}:Q").title(title) for channel, name, title in zip((alt.X, alt.Y), (x, y), titles, strict=True)
    )
    base = alt.Chart(table[[x, y, text, *(["group"] if groups else [])]])
    points = base.mark_circle(size=24, opacity=0.55).encode(across, up, color=colour, tooltip=tooltip)
    ticks = [
        base.mark_tick(opacity=0.25, thickness=1, size=7, orient="vertical").encode(
            across, y=alt.value(3), color=colour
        ),
        base.mark_tick(opacity=0.25, thickness=1, size=7, orient="horizontal").encode(up, x=alt.value(3), color=colour),
    ]
    zero = alt.Chart(pd.DataFrame({x: [0.0], y: [0.0]}))
    lines = [zero.mark_rule(color=MUTED, opacity=0.6).encode(channel) for channel in (alt.X(f"{x}:Q"), alt.Y(f"{y}:Q"))]
    return alt.layer(*lines, points, *ticks).properties(height=420)
