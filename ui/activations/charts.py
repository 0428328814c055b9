"""Charts of the activations page; each takes the tables of core.activations.tables."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from core.activations.tables import Distribution
from ui.shared.charts import ACCENT, COLOURS, MUTED, ORDERED, context_marker, position_axis, ramp

_EXTENT = 36
"""Width of y axes in charts that stand above each other, so that their x axes line up."""


def _by_position(legend: bool) -> alt.Color:
    key = alt.Legend(orient="top", gradientLength=180) if legend else None
    return alt.Color("position:Q").title("Position").scale(range=ORDERED).legend(key)


def _axis(name: str, title: str, log: bool) -> alt.Y:
    scale = alt.Scale(type="log", nice=False, padding=6) if log else alt.Scale(zero=False, padding=6)
    return alt.Y(f"{name}:Q").title(f"{title} (log)" if log else title).scale(scale)


def by_position(
    table: pd.DataFrame,
    column: str,
    *,
    n_pos: int,
    title: str,
    log: bool = False,
    smooth: str | None = None,
    context_size: int | None = None,
    height: int = 220,
) -> alt.LayerChart:
    """Draw a dot for each position, coloured by it, and a smoothed line if wanted. Log axes leave out 0 and below."""
    data = table[table[column] > 0] if log else table
    base, y = alt.Chart(data), _axis(column, title, log)
    tooltip = [alt.Tooltip("position:Q", title="Position"), alt.Tooltip(f"{column}:Q", title=title, format=".4~g")]
    x = position_axis(n_pos)
    layers = [
        base.mark_line(size=1, color=MUTED, opacity=0.5).encode(x, y),
        base.mark_circle(size=26, opacity=0.9).encode(x, y, _by_position(False), tooltip=tooltip),
    ]
    if smooth and table[smooth].notna().any():
        layers.append(
            alt.Chart(table.dropna(subset=[smooth])).mark_line(size=2.5, color=ACCENT).encode(x, alt.Y(f"{smooth}:Q"))
        )
    return alt.layer(*layers, *context_marker(context_size, n_pos)).properties(height=height)


def path(table: pd.DataFrame, x: str, y: str, *, x_title: str, y_title: str) -> alt.LayerChart:
    """Draw a line from each position to the next, coloured by position; needs `position`, `x` and `y`."""
    base = alt.Chart(table.dropna(subset=[x, y])).encode(
        alt.X(f"{x}:Q").title(x_title).scale(zero=False, padding=8), _axis(y, y_title, False)
    )
    tooltip = [
        alt.Tooltip("position:Q", title="Position"),
        alt.Tooltip(f"{x}:Q", title=x_title, format=".4~g"),
        alt.Tooltip(f"{y}:Q", title=y_title, format=".4~g"),
    ]
    line = base.mark_line(size=1, color=MUTED, opacity=0.45).encode(alt.Order("position:Q"))
    dots = base.mark_circle(size=34, opacity=0.9).encode(_by_position(True), tooltip=tooltip)
    return alt.layer(line, dots).properties(height=300)


def deciles(marks: pd.DataFrame, *, sorted_by: str, picked: int | None = None) -> alt.LayerChart:
    """Draw a column of ten dots for each feature; needs the columns of `decile_marks`. A click selects "point"."""
    data = marks[marks["activation"] > 0]
    x = alt.X("rank:Q").title(f"Feature, by {sorted_by[:1].lower()}{sorted_by[1:]} (rank)").scale(nice=False, padding=6)
    legend = alt.Legend(orient="top", symbolType="circle", labelExpr="datum.label + ' %'", columns=10)
    dots = (
        alt.Chart(data)
        .mark_circle(size=14, opacity=0.75)
        .encode(
            x,
            alt.Y("activation:Q").title("Activation (log)").scale(type="log", nice=False, padding=6),
            alt.Color("decile:O").title(None).scale(domain=list(range(10, 101, 10)), range=ramp(10)).legend(legend),
            tooltip=[
                alt.Tooltip("feature:Q", title="Feature"),
                alt.Tooltip("decile:Q", title="Quantile, %"),
                alt.Tooltip("activation:Q", title="Activation", format=".4~g"),
            ],
        )
        .add_params(alt.selection_point(name="point", fields=["feature"]))
    )
    mine = data.loc[data["feature"] == picked, ["rank"]].head(1)
    rule = alt.Chart(mine).mark_rule(strokeDash=[5, 4], color=MUTED).encode(alt.X("rank:Q"))
    return alt.layer(dots, rule).properties(height=420)


def feature_scatter(
    table: pd.DataFrame, x: str, y: str, *, x_title: str, y_title: str, picked: pd.DataFrame
) -> alt.LayerChart:
    """Draw one point for each feature on log axes, and a ring around the picked one (a row of the table, or none).

    A click selects "point".
    """
    dots = _points(table, x, y, x_title, y_title).mark_circle(size=24, opacity=0.55, color=ACCENT)
    dots = dots.add_params(alt.selection_point(name="point", fields=["feature"]))
    ring = _points(picked, x, y, x_title, y_title).mark_point(size=150, strokeWidth=3, color="#2563eb")
    return alt.layer(dots, ring).properties(height=340)


def layer_scatter(
    table: pd.DataFrame, x: str, y: str, *, x_title: str, y_title: str, order: Sequence[str]
) -> alt.Chart:
    """Draw one point for each feature on log axes, coloured by `layer`."""
    colour = alt.Color("layer:N").title("Layer").sort(list(order)).legend(orient="top")
    colour = colour.scale(domain=list(order), range=ramp(len(order)))
    dots = _points(table, x, y, x_title, y_title, "layer").mark_circle(size=16, opacity=0.55)
    return dots.encode(colour).properties(height=320)


def _points(table: pd.DataFrame, x: str, y: str, x_title: str, y_title: str, *more: str) -> alt.Chart:
    """Draw features by two of their numbers. Log axes need both above 0."""
    data = table.loc[(table[x] > 0) & (table[y] > 0), ["feature", x, y, *more]]
    scale = alt.Scale(type="log", nice=False, padding=8)
    return alt.Chart(data).encode(
        alt.X(f"{x}:Q").title(x_title).scale(scale),
        alt.Y(f"{y}:Q").title(y_title).scale(scale),
        tooltip=[*(f"{name}:N" for name in more), "feature:Q", *(alt.Tooltip(f"{n}:Q", format=".4~g") for n in (x, y))],
    )


def distribution(counted: Distribution, *, title: str, y_title: str, log: bool, height: int = 300) -> alt.LayerChart:
    """Draw bars and the kernel density over them."""
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(nice=False)
    x = alt.X("low:Q").title(f"{title} (log)" if log else title).scale(scale).axis(grid=False)
    bars = (
        alt.Chart(counted.bars[counted.bars["count"] > 0].assign(zero=0))
        .mark_rect(color=ACCENT, opacity=0.55)
        .encode(
            x,
            alt.X2("high:Q"),
            alt.Y("count:Q").title(y_title).scale(zero=True),
            alt.Y2("zero:Q"),
            tooltip=[
                alt.Tooltip("low:Q", title="From", format=".4~g"),
                alt.Tooltip("high:Q", title="To", format=".4~g"),
                alt.Tooltip("count:Q", title=y_title),
            ],
        )
    )
    curve = alt.Chart(counted.curve).mark_line(size=2, color=ACCENT).encode(alt.X("value:Q"), alt.Y("height:Q"))
    return alt.layer(bars, *([curve] if len(counted.curve) else [])).properties(height=height)


def cumulative(table: pd.DataFrame, titles: dict[str, str]) -> alt.Chart:
    """Draw a line for each of `titles` (columns and their titles); needs `activation_threshold`."""
    long = table.rename(columns=titles).melt(["activation_threshold"], list(titles.values()), "series", "features")
    return lines(
        long,
        "features",
        order=list(titles.values()),
        x=alt.X("activation_threshold:Q").title("Threshold x").scale(nice=False),
        y_title="Features",
        colours=COLOURS[:2],
    ).properties(height=300)


def lines(
    table: pd.DataFrame,
    value: str,
    *,
    order: Sequence[str],
    x: alt.X,
    y_title: str,
    colours: Sequence[str],
    log: bool = False,
    zero: bool = False,
    group: str = "series",
    legend: str = "top",
    legend_title: str | None = None,
) -> alt.Chart:
    """Draw a line for each value of the text column `group`, in this order and these colours."""
    data = table.dropna(subset=[value])
    data = data[data[value] > 0] if log else data
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=zero)
    across = x.to_dict()["field"]
    key = alt.Legend(orient=legend, labelLimit=320, symbolType="stroke")
    return (
        alt.Chart(data)
        .mark_line(size=1.8)
        .encode(
            x,
            alt.Y(f"{value}:Q").title(f"{y_title} (log)" if log else y_title).scale(scale),
            alt.Color(f"{group}:N")
            .title(legend_title)
            .sort(list(order))
            .scale(domain=list(order), range=list(colours))
            .legend(key),
            tooltip=[f"{group}:N", alt.Tooltip(f"{across}:Q", format=".4~g"), alt.Tooltip(f"{value}:Q", format=".4~g")],
        )
    )


def with_context(chart: alt.Chart, context_size: int | None, n_pos: int, *, height: int = 340) -> alt.LayerChart:
    """Mark the end of the training context in a chart by position."""
    return alt.layer(chart, *context_marker(context_size, n_pos)).properties(height=height)


def profile(table: pd.DataFrame, *, n_pos: int, context_size: int | None) -> alt.LayerChart:
    """Draw the mean of one feature's activations by position, and one standard deviation either side.

    Needs the columns of `position_profile`, low and high.
    """
    data = table[table["active_rows"] > 0]
    base, x = alt.Chart(data), position_axis(n_pos)
    tooltip = [
        alt.Tooltip("position:Q", title="Position"),
        alt.Tooltip("mean_active:Q", title="Mean when active", format=".4~g"),
        alt.Tooltip("std_active:Q", title="Standard deviation", format=".4~g"),
        alt.Tooltip("active_rows:Q", title="Active on rows"),
    ]
    y = alt.Y("mean_active:Q").title("Mean when active").axis(minExtent=_EXTENT)
    # Rules, because an area would also cover positions at which the feature is never active.
    band = base.mark_rule(color=ACCENT, opacity=0.35, size=2).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"))
    dots = base.mark_circle(color=ACCENT, size=26, opacity=0.95).encode(x, y, tooltip=tooltip)
    return alt.layer(band, dots, *context_marker(context_size, n_pos)).properties(height=260)


def counts(table: pd.DataFrame, *, n_pos: int) -> alt.Chart:
    """Draw on how many rows one feature is active at each position."""
    data = table[table["active_rows"] > 0].assign(
        left=lambda d: d["position"] - 0.5, right=lambda d: d["position"] + 0.5, zero=0
    )
    x = alt.X("left:Q").title("Position in the sequence").scale(domain=[-0.5, n_pos - 0.5], nice=False)
    return (
        alt.Chart(data)
        .mark_rect(color=ACCENT, opacity=0.8)
        .encode(
            x.axis(tickMinStep=1, grid=False),
            alt.X2("right:Q"),
            alt.Y("active_rows:Q").title("Rows").axis(tickMinStep=1, format="d", minExtent=_EXTENT).scale(zero=True),
            alt.Y2("zero:Q"),
            tooltip=[alt.Tooltip("position:Q", title="Position"), alt.Tooltip("active_rows:Q", title="Active on rows")],
        )
        .properties(height=170)
    )


def panel(table: pd.DataFrame, column: str, *, n_pos: int, title: str, colour: str) -> alt.Chart:
    """Draw a small plot of one layer, with its own axis."""
    return (
        alt.Chart(table.dropna(subset=[column]), title=alt.Title(title, fontSize=12, anchor="start"))
        .mark_line(size=1.4, color=colour)
        .encode(
            position_axis(n_pos, "Position"),
            alt.Y(f"{column}:Q").title(None).scale(zero=False).axis(tickCount=4),
            tooltip=[alt.Tooltip("position:Q", title="Position"), alt.Tooltip(f"{column}:Q", format=".4~g")],
        )
        .properties(height=200)
    )
