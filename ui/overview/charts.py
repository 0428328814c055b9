"""Charts of the overview page: densities, and what distinguishes groups of features."""

import altair as alt
import numpy as np
import pandas as pd

from ui.shared.charts import ACCENT, MUTED, position_axis

LOW_TO_HIGH = ["#4c78a8", "#b8bcc2", ACCENT]
_STEP = 0.1


def density_histogram(table: pd.DataFrame, lines: dict[str, float], *, x_title: str, log: bool) -> alt.LayerChart:
    """Count features by log10 density in tenths of a decade, without dead ones. `lines` are named densities."""
    densities = table["log_density"].dropna().to_numpy(dtype=float)
    named = {text: np.log10(at) for text, at in lines.items()}
    low = np.floor(min([*densities, *named.values()], default=-1) / _STEP) * _STEP
    counts, edges = np.histogram(densities, bins=np.arange(low, _STEP, _STEP))
    data = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts})
    room = max(counts.max(initial=0), 1) * (2.5 if log else 1.25)  # room above the bars for the names of the lines
    scale = alt.Scale(type="symlog" if log else "linear", domain=[0, float(room)], nice=False)
    bars = (
        alt.Chart(data[data["count"] > 0])
        .mark_bar(binSpacing=0, color=ACCENT)
        .encode(
            alt.X("low:Q").bin("binned").title(x_title).scale(domain=[low, 0], nice=False),
            alt.X2("high:Q"),
            alt.Y("count:Q").title("Features (log)" if log else "Features").scale(scale),
            tooltip=[
                alt.Tooltip("low:Q", title="From", format=".1f"),
                alt.Tooltip("high:Q", title="To", format=".1f"),
                alt.Tooltip("count:Q", title="Features"),
            ],
        )
    )
    layers = [bars]
    for place, (text, at) in enumerate(named.items()):
        base = alt.Chart(pd.DataFrame({"low": [at], "text": [text]})).encode(alt.X("low:Q"))
        label = base.mark_text(align="left", baseline="top", dx=4, color=MUTED, fontSize=11)
        layers.append(base.mark_rule(strokeDash=[4, 3], color=MUTED, size=1.4))
        layers.append(label.encode(alt.Text("text:N"), y=alt.value(3 + 14 * place)))
    return alt.layer(*layers).properties(height=300)


def separation(
    table: pd.DataFrame, x: str, y: str, colour: str | None, *, titles: dict[str, str], picked: int
) -> alt.LayerChart:
    """Draw one point for each feature, coloured by a third number, and a ring around the picked feature."""
    names = ["feature", x, y, *([colour] if colour else [])]
    data = table[names].dropna(subset=[x, y])
    places = {
        "x": alt.X(f"{x}:Q").title(titles[x]).scale(zero=False),
        "y": alt.Y(f"{y}:Q").title(titles[y]).scale(zero=False),
    }
    shade = alt.value(ACCENT)
    if colour:
        scale = alt.Scale(range=LOW_TO_HIGH, interpolate="rgb")
        legend = alt.Legend(orient="top", gradientLength=220, titleLimit=320)
        shade = alt.Color(f"{colour}:Q").title(titles[colour]).scale(scale).legend(legend)
    tooltip = [alt.Tooltip(f"{name}:Q", title=titles.get(name, "Feature"), format=".4~g") for name in names]
    points = alt.Chart(data).mark_circle(size=26, opacity=0.7).encode(**places, color=shade, tooltip=tooltip)
    points = points.add_params(alt.selection_point(name="point", fields=["feature"]))
    ring = alt.Chart(data[data["feature"] == picked]).mark_point(size=160, color=MUTED, strokeWidth=2)
    return alt.layer(points, ring.encode(**places)).properties(height=420)


def halves(table: pd.DataFrame, names: dict[str, str], *, y_title: str) -> alt.Chart:
    """Draw a line by position for each of some columns, under the names that a legend has."""
    long = table.rename(columns=names).melt("position", list(names.values()), "half", "value").dropna()
    colours = [LOW_TO_HIGH[0], ACCENT]
    return (
        alt.Chart(long)
        .mark_line(size=1.8)
        .encode(
            position_axis(len(table)),
            alt.Y("value:Q").title(y_title),
            alt.Color("half:N").title(None).scale(domain=list(names.values()), range=colours).legend(orient="top"),
            tooltip=["half:N", "position:Q", alt.Tooltip("value:Q", format=".4~g")],
        )
        .properties(height=260)
    )
