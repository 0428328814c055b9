"""Charts of the geometry page; each takes the tables of core.geometry.tables."""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, MUTED

COLOURS = [ACCENT, "#4c78a8", "#54a24b", "#b279a2", "#eeca3b", "#9d755d", "#72b7b2", "#e45756"]
"""For dictionaries, in the order they are chosen."""
SHARES = ["#b8bcc2", ACCENT]


def distances(
    dictionaries: pd.DataFrame,
    baselines: pd.DataFrame,
    lines: Mapping[str, float],
    *,
    value: str,
    x_title: str,
    y_title: str,
    log: bool,
) -> alt.LayerChart:
    """Histograms as steps: dictionaries filled, baselines dashed, and vertical lines with a name each.

    Needs the columns of `histograms`; `value` is the one drawn.
    """
    names, random = (list(dict.fromkeys(table["dictionary"])) for table in (dictionaries, baselines))
    x = alt.X("middle:Q").title(x_title).scale(nice=False, zero=False)
    share = value == "share_in_bin"
    # Below its constant a symlog scale is linear: under one feature, or one in ten thousand. It has no good ticks.
    scale = alt.Scale(type="symlog", constant=1e-4 if share else 1) if log else alt.Scale(zero=True)
    axis = {"values": [0, *(10.0**n for n in range(-4 if share else 0, 7))]} if log else {"tickCount": 6}
    y = alt.Y(f"{value}:Q").title(y_title).scale(scale).axis(format=".3~%" if share else "~s", **axis)
    tooltip = [
        alt.Tooltip("dictionary:N", title="Directions"),
        alt.Tooltip("bin_low:Q", title="From", format=".3f"),
        alt.Tooltip("bin_high:Q", title="To", format=".3f"),
        alt.Tooltip("features_in_bin:Q", title="Features", format=".4~g"),
        alt.Tooltip("share_in_bin:Q", title="Share", format=".2%"),
    ]
    colours = alt.Scale(domain=[*names, *random], range=[*COLOURS[: len(names)], *[MUTED] * len(random)])
    legend = alt.Legend(
        orient="top", labelLimit=420, columns=2, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1
    )
    colour = alt.Color("dictionary:N").title(None).scale(colours).legend(legend)
    solid, dashed = (alt.Chart(with_middle(table)) for table in (dictionaries, baselines))
    area = solid.mark_area(interpolate="step", opacity=0.22, line=False).encode(x, y.stack(None), colour)
    steps = solid.mark_line(interpolate="step", size=1.6).encode(x, y, colour, tooltip=tooltip)
    chance = dashed.mark_line(interpolate="step", size=1.8, strokeDash=[5, 3]).encode(x, y, colour, tooltip=tooltip)
    return alt.layer(area, steps, chance, *reference_lines(lines)).properties(height=360)


def with_middle(table: pd.DataFrame) -> pd.DataFrame:
    """Add the middle of each bin, where steps are centred."""
    return table.assign(middle=(table["bin_low"] + table["bin_high"]) / 2)


def reference_lines(lines: Mapping[str, float]) -> list[alt.Chart]:
    """Vertical lines, their names below each other so that close ones can be read."""
    layers = []
    for place, (text, at) in enumerate(lines.items()):
        base = alt.Chart(pd.DataFrame({"middle": [at], "text": [text]})).encode(alt.X("middle:Q"))
        label = base.mark_text(align="left", baseline="top", dx=4, color=MUTED, fontSize=11)
        layers.append(base.mark_rule(strokeDash=[2, 3], color=MUTED, size=1.3))
        layers.append(label.encode(alt.Text("text:N"), y=alt.value(3 + 14 * place)))
    return layers


def shared_neighbors(table: pd.DataFrame) -> alt.Chart:
    """Bars coloured by the share with the commonest neighbour; needs the columns of neighbors_by_bin."""
    return (
        alt.Chart(table)
        .mark_bar(binSpacing=1)
        .encode(
            alt.X("bin_low:Q").bin("binned").title("Nearest cosine").scale(nice=False, zero=False),
            alt.X2("bin_high:Q"),
            alt.Y("features_in_bin:Q").title("Features"),
            alt.Color("same_neighbor_share:Q")
            .title("Share with the commonest neighbour")
            .scale(range=SHARES, domain=[0, 1], interpolate="rgb")
            .legend(orient="top", format="%", gradientLength=220, titleLimit=320),
            tooltip=[
                alt.Tooltip("bin_low:Q", title="From", format=".3f"),
                alt.Tooltip("bin_high:Q", title="To", format=".3f"),
                alt.Tooltip("features_in_bin:Q", title="Features"),
                alt.Tooltip("distinct_neighbors:Q", title="Distinct neighbours"),
                alt.Tooltip("commonest_neighbor:Q", title="Commonest neighbour"),
                alt.Tooltip("same_neighbor_share:Q", title="Share with it", format=".1%"),
            ],
        )
        .properties(height=260)
    )


def by_rank(table: pd.DataFrame) -> alt.LayerChart:
    """One feature's cosines by rank as points, random directions' dashed; the columns of with_random_ranks."""
    x = alt.X("neighbor_rank:Q").title("Place (log)").scale(type="log", nice=False).axis(tickMinStep=1, format="d")
    points = (
        alt.Chart(table)
        .mark_circle(size=34, color=ACCENT, opacity=0.85)
        .encode(
            x,
            alt.Y("neighbor_cosine:Q").title("Cosine").scale(zero=False),
            tooltip=[
                alt.Tooltip("neighbor_rank:Q", title="Place"),
                alt.Tooltip("neighbor:Q", title="Neighbour"),
                alt.Tooltip("neighbor_cosine:Q", title="Cosine", format=".4f"),
                alt.Tooltip("random_rth_cosine:Q", title="Random, median", format=".4f"),
            ],
        )
    )
    chance = alt.Chart(table).mark_line(strokeDash=[5, 3], color=MUTED, size=1.8)
    return alt.layer(points, chance.encode(x, alt.Y("random_rth_cosine:Q"))).properties(height=320)
