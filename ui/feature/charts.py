"""Charts of one feature on text; each takes a table of core.feature.profile."""

import altair as alt
import pandas as pd

from core import catalogue
from ui.shared.charts import ACCENT, context_marker, position_axis


def share_by_position(table: pd.DataFrame, *, context_size: int | None) -> alt.LayerChart:
    """Draw the share of rows in which the feature is active, by position, with its 95 % interval."""
    return _along_positions(table, "fires_share", "share_low", "share_high", context_size)


def mean_by_position(table: pd.DataFrame, *, context_size: int | None) -> alt.LayerChart:
    """Draw the mean when active by position, and one standard deviation either side."""
    mean, std = table["mean_active"], table["std_active"]
    return _along_positions(
        table.assign(mean_low=mean - std, mean_high=mean + std), "mean_active", "mean_low", "mean_high", context_size
    )


def _along_positions(table: pd.DataFrame, value: str, low: str, high: str, context_size: int | None) -> alt.LayerChart:
    title = catalogue.statistic(value).title
    base = alt.Chart(table.dropna(subset=[value])).encode(position_axis(len(table)))
    tooltip = [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("position", "active_rows", value, low, high)]
    line = base.mark_line(color=ACCENT, strokeWidth=1.4, point={"size": 12, "color": ACCENT})
    layers = [
        base.mark_area(color=ACCENT, opacity=0.16).encode(alt.Y(f"{low}:Q").title(title), alt.Y2(high)),
        line.encode(alt.Y(f"{value}:Q").title(title).axis(tickCount=4, format="~g"), tooltip=tooltip),
        *context_marker(context_size, len(table)),
    ]
    return alt.layer(*layers).properties(height=180)
