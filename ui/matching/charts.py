"""Charts of the matching page; each takes the tables of core.matching.tables."""

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, COLOURS, MUTED

CHANCE = {"random": "#5f6670", "shuffled": "#a4a9b1"}
CONTROL = COLOURS[6:8]
"""Dashed series: chance by name, then the controls in the order in which they come."""


def histograms(real: pd.DataFrame, chance: pd.DataFrame, threshold: float | None) -> alt.LayerChart:
    """Draw shares in bins as steps: matches filled, chance and control dashed, and a line at the threshold.

    Needs match_series, bin_low, bin_high, features_in_bin, share_in_bin.
    """
    real, chance = (table.assign(at=(table["bin_low"] + table["bin_high"]) / 2) for table in (real, chance))
    x = alt.X("at:Q").title("Cosine").scale(nice=False, zero=False)
    y = alt.Y("share_in_bin:Q").title("Share").axis(format=".3~%", tickCount=5)
    tooltip = [
        alt.Tooltip("match_series:N", title="Series"),
        alt.Tooltip("bin_low:Q", title="From", format=".3f"),
        alt.Tooltip("bin_high:Q", title="To", format=".3f"),
        alt.Tooltip("share_in_bin:Q", title="Share", format=".2%"),
    ]
    colour = _colour(real, chance)
    steps = {"interpolate": "step", "size": 1.6}
    layers = [
        alt.Chart(real).mark_area(interpolate="step", opacity=0.16, line=False).encode(x, y.stack(None), colour),
        alt.Chart(real).mark_line(**steps).encode(x, y, colour, tooltip=tooltip),
        alt.Chart(chance).mark_line(**steps, strokeDash=[5, 3]).encode(x, y, colour, tooltip=tooltip),
    ]
    return alt.layer(*layers, *(_line("at", threshold) if threshold is not None else [])).properties(height=280)


def ratios(real: pd.DataFrame, chance: pd.DataFrame, threshold: float) -> alt.LayerChart:
    """Draw the share of features over each threshold, chance and control dashed; needs the columns of ratio_table."""
    x = alt.X("match_threshold:Q").title("Threshold").scale(domain=[0, 1], nice=False)
    y = alt.Y("matching_ratio:Q").title("Matching ratio").scale(domain=[0, 1]).axis(format="%")
    tooltip = [
        alt.Tooltip("match_series:N", title="Series"),
        alt.Tooltip("match_threshold:Q", title="Threshold", format=".2f"),
        alt.Tooltip("matching_ratio:Q", title="Matching ratio", format=".1%"),
    ]
    colour = _colour(real, chance)
    lines = [
        alt.Chart(table).mark_line(size=2, strokeDash=dash).encode(x, y, colour, tooltip=tooltip)
        for table, dash in ((real, [1, 0]), (chance, [5, 3]))
    ]
    return alt.layer(*lines, *_line("match_threshold", threshold)).properties(height=360)


def by_decile(table: pd.DataFrame, threshold: float) -> alt.Chart:
    """Draw bars of the matching ratio by decile of density; needs the columns of decile_table."""
    return (
        alt.Chart(table)
        .mark_bar(color=ACCENT)
        .encode(
            alt.X("density_decile:O").title("Decile of density, the rarest first").axis(labelAngle=0),
            alt.Y("matching_ratio:Q").title(f"Share over {threshold:.2f}").scale(domain=[0, 1]).axis(format="%"),
            tooltip=[
                alt.Tooltip("density_decile:O", title="Decile"),
                alt.Tooltip("features_in_bin:Q", title="Features"),
                alt.Tooltip("density:Q", title="Density up to", format=".3~g"),
                alt.Tooltip("mmcs:Q", title="Mean best similarity", format=".3f"),
                alt.Tooltip("matching_ratio:Q", title="Matching ratio", format=".1%"),
            ],
        )
        .properties(height=380)
    )


def _colour(real: pd.DataFrame, chance: pd.DataFrame) -> alt.Color:
    solid, dashed = (list(dict.fromkeys(table["match_series"])) for table in (real, chance))
    control = [name for name in dashed if name not in CHANCE]
    colours = dict(zip(solid, COLOURS, strict=False)) | CHANCE | dict(zip(control, CONTROL, strict=False))
    scale = alt.Scale(domain=[*solid, *dashed], range=[colours[name] for name in (*solid, *dashed)])
    legend = alt.Legend(
        orient="top", labelLimit=420, columns=4, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1
    )
    return alt.Color("match_series:N").title(None).scale(scale).legend(legend)


def _line(axis: str, threshold: float) -> list[alt.Chart]:
    """Draw a vertical line at the threshold, with its value."""
    base = alt.Chart(pd.DataFrame({axis: [threshold], "text": [f"{threshold:.2f}"]})).encode(alt.X(f"{axis}:Q"))
    label = base.mark_text(align="left", baseline="top", dx=4, color=MUTED, fontSize=11)
    rule = base.mark_rule(strokeDash=[2, 3], color=MUTED, size=1.3)
    return [rule, label.encode(alt.Text("text:N"), y=alt.value(3))]
