"""Charts of first-order effects: DataFrame in, Altair chart out."""

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, MUTED

CONTROL = "random direction"
RING = "#2563eb"


def atlas_scatter(
    table: pd.DataFrame, *, x_title: str, y_title: str, middles: tuple[float, float], picked: pd.DataFrame
) -> alt.LayerChart:
    """Draw a point for each feature on log axes, a dash for its chance, and a ring around the picked one.

    Needs columns feature, density, atlas_per_firing, atlas_chance, atlas_over_chance, atlas_effect, atlas_quadrant.
    `middles` are the medians that part the quadrants. A click selects "point".
    """
    x = alt.X("density:Q").title(x_title).scale(type="log").axis(format="~g")
    y = alt.Y("atlas_per_firing:Q").title(y_title).scale(type="log").axis(format="~g")
    tooltip = [alt.Tooltip("feature:Q", format="d"), alt.Tooltip("atlas_quadrant:N")]
    tooltip += [
        alt.Tooltip(f"{name}:Q", format=".3~g")
        for name in ("density", "atlas_per_firing", "atlas_chance", "atlas_over_chance", "atlas_effect")
    ]
    chance = table.loc[table["atlas_chance"] > 0, ["density", "atlas_chance"]]
    grey = alt.Chart(chance).mark_tick(orient="horizontal", size=5, opacity=0.6, color=MUTED)
    dots = alt.Chart(table).mark_circle(size=24, opacity=0.6, color=ACCENT).encode(x, y, tooltip=tooltip)
    dots = dots.add_params(alt.selection_point(name="point", fields=["feature"]))
    ring = alt.Chart(picked).mark_point(size=150, strokeWidth=3, color=RING).encode(x, y, tooltip=tooltip)
    dash = {"strokeDash": [5, 4], "color": MUTED}
    lines = [
        alt.Chart(pd.DataFrame({"density": [middles[0]]})).mark_rule(**dash).encode(x),
        alt.Chart(pd.DataFrame({"atlas_per_firing": [middles[1]]})).mark_rule(**dash).encode(y),
    ]
    return alt.layer(grey.encode(x, alt.Y("atlas_chance:Q")), *lines, dots, ring).properties(height=420)


def guess_scatter(table: pd.DataFrame, *, x_title: str, y_title: str, picked: int) -> alt.LayerChart:
    """Draw the effect of ablation against the linear guess, with the line on which both agree. A click selects "point".

    Needs columns attribution_series, feature, attribution, ablation_effect, linear_error.
    """
    data = table.dropna(subset=["attribution", "ablation_effect"])
    order = list(dict.fromkeys(data["attribution_series"]))
    colours = {CONTROL: MUTED, "strongest": ACCENT}
    colour = (
        alt.Color("attribution_series:N")
        .title(None)
        .sort(order)
        .scale(domain=order, range=[colours.get(name, "#4c78a8") for name in order])
        .legend(orient="top")
    )
    x = alt.X("attribution:Q").title(x_title).scale(zero=False)
    y = alt.Y("ablation_effect:Q").title(y_title).scale(zero=False)
    tooltip = ["attribution_series:N", alt.Tooltip("feature:Q", format="d")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("attribution", "ablation_effect", "linear_error")]
    dots = alt.Chart(data).mark_circle(size=44, opacity=0.75).encode(x, y, color=colour, tooltip=tooltip)
    dots = dots.add_params(alt.selection_point(name="point", fields=["feature"]))
    ends = [float(data["attribution"].min()), float(data["attribution"].max())] if len(data) else []
    line = pd.DataFrame({"attribution": ends, "ablation_effect": ends})
    agree = alt.Chart(line).mark_line(strokeDash=[5, 4], color=MUTED, clip=True).encode(x, y)
    mine = data[(data["feature"] == picked) & (data["attribution_series"] != CONTROL)]
    ring = alt.Chart(mine).mark_point(size=170, strokeWidth=3, color=RING).encode(x, y, tooltip=tooltip)
    return alt.layer(dots, agree, ring).properties(height=360)
