"""Charts of the page Stability; each takes a table of core.stability."""

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, MUTED


def histogram(table: pd.DataFrame) -> alt.LayerChart:
    """Draw a bar for each number of dictionaries and a tick for chance; needs the columns of Stability.histogram."""
    base = alt.Chart(table).encode(
        alt.X("return_count:O").title("Other dictionaries in which a feature returns").axis(labelAngle=0),
        tooltip=[
            alt.Tooltip("return_count:Q", title="Returns in"),
            alt.Tooltip("returning_features:Q", title="Features", format=","),
            alt.Tooltip("random_features:Q", title="By chance", format=".3~g"),
        ],
    )
    bars = base.mark_bar(color=ACCENT, opacity=0.8).encode(alt.Y("returning_features:Q").title("Features"))
    chance = base.mark_tick(color=MUTED, thickness=3).encode(alt.Y("random_features:Q"))
    return alt.layer(bars, chance).properties(height=300)


def by_other(table: pd.DataFrame) -> alt.LayerChart:
    """Draw the share that returns in each dictionary, its interval and chance; needs the columns of `by_other`."""
    order = list(table["returned_in"])
    tooltip = [
        alt.Tooltip("returned_in:N", title="Dictionary"),
        alt.Tooltip("returned_share:Q", title="Returning there", format=".1%"),
        alt.Tooltip("returned_low:Q", title="From", format=".1%"),
        alt.Tooltip("returned_high:Q", title="To", format=".1%"),
        alt.Tooltip("random_share:Q", title="By chance", format=".2~%"),
        alt.Tooltip("return_threshold:Q", title="Threshold used", format=".3f"),
    ]
    base = alt.Chart(table).encode(alt.Y("returned_in:N").title(None).sort(order).axis(labelLimit=260), tooltip=tooltip)
    x = alt.X("returned_share:Q").title("Share of the features that return").scale(domain=[0, 1]).axis(format="%")
    bars = base.mark_bar(color=ACCENT, opacity=0.35).encode(x)
    lines = base.mark_rule(color=ACCENT, size=2).encode(alt.X("returned_low:Q"), alt.X2("returned_high:Q"))
    chance = base.mark_tick(color=MUTED, thickness=2).encode(alt.X("random_share:Q"))
    return alt.layer(bars, lines, chance).properties(height=alt.Step(34))
