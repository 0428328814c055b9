"""Charts of distributions that several pages draw: densities beside chance, boxes by layer."""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, COLOURS, MUTED


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
    # A symlog scale is linear below its constant (one feature, or one in ten thousand) and has no good ticks there.
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
    """Add the middle of each bin, because steps are centred there."""
    return table.assign(middle=(table["bin_low"] + table["bin_high"]) / 2)


def reference_lines(lines: Mapping[str, float]) -> list[alt.Chart]:
    """Draw vertical lines. Their names stand below each other, so that names of close lines can be read."""
    layers = []
    for place, (text, at) in enumerate(lines.items()):
        base = alt.Chart(pd.DataFrame({"middle": [at], "text": [text]})).encode(alt.X("middle:Q"))
        label = base.mark_text(align="left", baseline="top", dx=4, color=MUTED, fontSize=11)
        layers.append(base.mark_rule(strokeDash=[2, 3], color=MUTED, size=1.3))
        layers.append(label.encode(alt.Text("text:N"), y=alt.value(3 + 14 * place)))
    return layers


def layer_boxes(table: pd.DataFrame, *, title: str, log: bool) -> alt.LayerChart:
    """A standing box for each layer; needs the columns of box_table."""
    order = list(table["layer"])
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False)
    base = alt.Chart(table).encode(
        alt.X("layer:N").title("Layer").sort(order).axis(labelAngle=0),
        tooltip=[
            "layer:N",
            *(alt.Tooltip(f"{name}:Q", format=".3~f") for name in ("low", "q1", "median", "q3", "high")),
            alt.Tooltip("n:Q", title="Features"),
            alt.Tooltip("n_outside:Q", title="Beyond the whiskers"),
        ],
    )
    y = alt.Y("low:Q").scale(scale).title(f"{title}{' (log)' if log else ''}")
    whiskers = base.mark_rule(color=ACCENT).encode(y, alt.Y2("high:Q"))
    boxed = base.mark_bar(size=22, color=ACCENT, opacity=0.7).encode(alt.Y("q1:Q"), alt.Y2("q3:Q"))
    middle = base.mark_tick(thickness=2, size=22, color="#ffffff").encode(alt.Y("median:Q"))
    return alt.layer(whiskers, boxed, middle).properties(height=280)
