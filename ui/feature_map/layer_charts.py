"""Charts of a series of layers; each takes the table it draws."""

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, MUTED


def small_map(table: pd.DataFrame, title: str) -> alt.Chart:
    """Draw one layer's map; needs `feature`, `map_x`, `map_y`, `next_match`, `next_cosine` (NaN in the last layer)."""
    tooltip = [alt.Tooltip("feature:Q", title="Feature")]
    colour = alt.value(MUTED)
    if table["next_cosine"].notna().any():
        scale = alt.Scale(range=[MUTED, ACCENT], domain=[0, 1], clamp=True, interpolate="rgb")
        colour = alt.Color("next_cosine:Q").scale(scale).legend(None)
        tooltip.append(alt.Tooltip("next_match:Q", title="Best match in the next layer"))
        tooltip.append(alt.Tooltip("next_cosine:Q", title="Cosine", format=".3f"))
    return (
        alt.Chart(table.dropna(subset=["map_x", "map_y"]), title=alt.TitleParams(title, anchor="start", fontSize=12))
        .mark_circle(size=9, opacity=0.8)
        .encode(
            alt.X("map_x:Q").scale(zero=False, nice=False, padding=4).axis(None),
            alt.Y("map_y:Q").scale(zero=False, nice=False, padding=4).axis(None),
            color=colour,
            tooltip=tooltip,
        )
        .properties(height=230)
    )
