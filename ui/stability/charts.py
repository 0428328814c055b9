"""Charts of the page Stability; each takes a table of core.stability."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from core.stability.left_over import FOUND, OTHERS, RANDOM
from ui.shared.charts import ACCENT, COLOURS, MUTED
from ui.splitting.charts import stacked

SPANS = {FOUND: ACCENT, OTHERS: COLOURS[1], RANDOM: MUTED}


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


def angles(table: pd.DataFrame) -> alt.LayerChart:
    """Draw the cosines of principal angles, best first, a line for each series; needs the columns of LeftOver.table."""
    base = alt.Chart(table).encode(
        alt.X("angle_rank:Q").title("Principal angle, smallest first").axis(format="d", tickMinStep=1),
        alt.Color("span_series:N")
        .title(None)
        .scale(domain=list(SPANS), range=list(SPANS.values()))
        .legend(orient="top", labelLimit=300),
    )
    tooltip = [
        alt.Tooltip("span_series:N", title="Left over in A with"),
        alt.Tooltip("angle_rank:Q", title="Principal angle"),
        alt.Tooltip("principal_cosine:Q", title="Cosine", format=".3f"),
    ]
    y = alt.Y("principal_cosine:Q").title("Cosine of principal angle").scale(domain=[0, 1])
    band = base.mark_area(opacity=0.2).encode(
        alt.Y("principal_low:Q").title("Cosine of principal angle"), alt.Y2("principal_high:Q")
    )
    return alt.layer(band, base.mark_line(size=2).encode(y, tooltip=tooltip)).properties(height=320)


def companions(table: pd.DataFrame) -> alt.LayerChart:
    """Draw each statistic's correlation and its interval; needs the columns of core.stability.companions."""
    y = alt.Y("companion:N").title(None).sort(list(table["companion"])).axis(labelLimit=240)
    tooltip = [
        alt.Tooltip("companion:N", title="Statistic"),
        alt.Tooltip("companion_correlation:Q", title="Correlation", format=".3f"),
        alt.Tooltip("companion_low:Q", title="From", format=".3f"),
        alt.Tooltip("companion_high:Q", title="To", format=".3f"),
        alt.Tooltip("companion_q:Q", title="q", format=".2~g"),
    ]
    base = alt.Chart(table).encode(y, tooltip=tooltip)
    x = alt.X("companion_correlation:Q").title("Rank correlation with the return share").scale(domain=[-1, 1])
    lines = base.mark_rule(color=ACCENT, size=2).encode(alt.X("companion_low:Q"), alt.X2("companion_high:Q"))
    dots = base.mark_circle(color=ACCENT, size=70, opacity=1).encode(x)
    zero = alt.Chart(pd.DataFrame({"at": [0.0]})).mark_rule(color=MUTED, strokeDash=[5, 4]).encode(alt.X("at:Q"))
    return alt.layer(zero, lines, dots).properties(height=alt.Step(30))


def fates(table: pd.DataFrame, order: Sequence[str]) -> alt.Chart:
    """Draw a bar for each layer, split by what becomes of its features; needs the columns of Life.table."""
    data = table.assign(name=table["life_layer"])
    colours = [COLOURS[1], ACCENT, COLOURS[2], MUTED]
    return stacked(data, "life_fate", "fate_share", "fate_features", order, colours, "Layer", columns=2)


def steps(table: pd.DataFrame) -> alt.LayerChart:
    """Draw the shares with a successor and with a source, and ticks for chance; needs the columns of step_table."""
    ways = {
        "with a successor": ("succeeded_share", "random_successors"),
        "with a source": ("sourced_share", "random_sources"),
    }
    parts = [
        table[["life_step"]].assign(way=way, share=table[share], chance=table[chance])
        for way, (share, chance) in ways.items()
    ]
    order = list(table["life_step"])
    base = alt.Chart(pd.concat(parts, ignore_index=True)).encode(
        alt.Y("life_step:N").title("Layers").sort(order),
        alt.YOffset("way:N").sort(list(ways)),
        tooltip=[
            alt.Tooltip("life_step:N", title="Layers"),
            alt.Tooltip("way:N", title="Features"),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
            alt.Tooltip("chance:Q", title="By chance", format=".2~%"),
        ],
    )
    colour = (
        alt.Color("way:N")
        .title(None)
        .scale(domain=list(ways), range=[ACCENT, COLOURS[1]])
        .legend(orient="top", labelLimit=200)
    )
    x = alt.X("share:Q").title("Share of the features").scale(domain=[0, 1]).axis(format="%")
    chance = base.mark_tick(color=MUTED, thickness=2).encode(alt.X("chance:Q"))
    return alt.layer(base.mark_bar(opacity=0.75).encode(x, colour), chance).properties(height=alt.Step(18))
