"""Charts of logit weights: scatters and histograms of shapes, weights of one feature, series of layers."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from core.logit_weights.classes import CLASSES
from core.logit_weights.series import PERCENTILES
from ui.shared.charts import ACCENT, COLOURS, MUTED, ORDERED

CLASS_COLOURS = [*COLOURS[:3], MUTED, COLOURS[3]]
"""In the order of CLASSES."""
AXIS_WIDTH = 56
"""Width of y axes in charts that stand above each other, so that their x axes line up."""


def shape_scatter(
    table: pd.DataFrame,
    *,
    y: str,
    y_title: str,
    colour: str,
    colour_title: str,
    log: bool = False,
    borders: Mapping[str, Sequence[float]],
    picked: int | None = None,
    domains: Mapping[str, Sequence[float]] | None = None,
    brush: bool = True,
) -> alt.LayerChart:
    """Draw skewness against `y` (kurtosis or excess_kurtosis); needs `feature`, both, and `colour`.

    `borders` are dashed lines at values of skewness and `y`; `domains` fixes the axes. A click selects
    "point"; with `brush`, a drag selects "brush".
    """
    domains = domains or {}
    x_axis = alt.X("skewness:Q").title("Skewness").scale(zero=False, **_domain(domains, "skewness"))
    y_scale = {"type": "symlog", "zero": False} if y == "excess_kurtosis" else {"type": "log", "nice": False}
    y_axis = alt.Y(f"{y}:Q").title(f"{y_title} ({y_scale['type']})").scale(**y_scale, **_domain(domains, y))
    names = ["feature", "logit_class", "skewness", y, "logit_std", "top_token", "bottom_token", colour]
    points = (
        alt.Chart(table[list(dict.fromkeys(names))])
        .mark_circle(size=22, opacity=0.65)
        .encode(
            x_axis,
            y_axis,
            _colour(table, colour, colour_title, log),
            tooltip=[
                alt.Tooltip("feature:Q", title="Feature"),
                alt.Tooltip("logit_class:N", title="Class"),
                alt.Tooltip("skewness:Q", title="Skewness", format=".3f"),
                alt.Tooltip(f"{y}:Q", title=y_title, format=".3f"),
                alt.Tooltip("logit_std:Q", title="Standard deviation", format=".3g"),
                alt.Tooltip("top_token:N", title="Most promoted"),
                alt.Tooltip("bottom_token:N", title="Most suppressed"),
            ],
        )
    )
    points = points.add_params(alt.selection_point(name="point", fields=["feature"]))
    if brush:
        points = points.add_params(alt.selection_interval(name="brush", encodings=["x", "y"]))
    layers = [points, *_rules(borders)]
    ring = table[table["feature"] == picked]
    if len(ring):
        marker = alt.Chart(ring[["skewness", y]]).mark_point(size=160, strokeWidth=2, color=ACCENT, filled=False)
        layers.append(marker.encode(x_axis, y_axis))
    return alt.layer(*layers).properties(height=460)


def _domain(domains: Mapping[str, Sequence[float]], name: str) -> dict:
    return {"domain": list(domains[name])} if name in domains else {}


def _colour(table: pd.DataFrame, name: str, title: str, log: bool) -> alt.Color:
    if name == "logit_class":
        present = set(table[name])
        kinds = [(kind, colour) for kind, colour in zip(CLASSES, CLASS_COLOURS, strict=True) if kind in present]
        domain, colours = [kind for kind, _ in kinds], [colour for _, colour in kinds]
        return alt.Color(f"{name}:N").title(title).scale(domain=domain, range=colours).legend(orient="top")
    if not pd.api.types.is_numeric_dtype(table[name]):
        return alt.Color(f"{name}:N").title(title).legend(orient="top", symbolLimit=20)
    scale = alt.Scale(range=ORDERED, interpolate="rgb", **({"type": "log", "nice": False} if log else {"zero": False}))
    return alt.Color(f"{name}:Q").scale(scale).title(title).legend(orient="top", gradientLength=220, format=".3~g")


def _rules(borders: Mapping[str, Sequence[float]]) -> list[alt.Chart]:
    layers = []
    for name, values in borders.items():
        rule = alt.Chart(pd.DataFrame({name: list(values)})).mark_rule(strokeDash=[5, 4], color=MUTED)
        layers.append(rule.encode(alt.X("skewness:Q")) if name == "skewness" else rule.encode(alt.Y(f"{name}:Q")))
    return layers


def binned(series: Mapping[str, np.ndarray], bins: int) -> pd.DataFrame:
    """Count several sets of values in the same bins: columns series, low, high, count. NaN is left out."""
    finite = {name: values[np.isfinite(values)].astype(float) for name, values in series.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(finite.values())), bins=bins)
    parts = [
        pd.DataFrame({"series": name, "low": edges[:-1], "high": edges[1:], "count": np.histogram(values, edges)[0]})
        for name, values in finite.items()
    ]
    return pd.concat(parts, ignore_index=True)


def overlaid(
    bins: pd.DataFrame,
    *,
    title: str,
    y_title: str = "Features",
    log: bool = True,
    axis_width: int | None = None,
    height: int = 230,
    legend: str = "top",
    domain: Sequence[float] | None = None,
) -> alt.Chart:
    """Draw histograms over each other, half transparent; needs the columns of `binned`."""
    order = list(dict.fromkeys(bins["series"]))
    colours = COLOURS[: len(order)]
    key = alt.Legend(orient=legend, labelLimit=320) if len(order) > 1 else None
    colour = alt.Color("series:N").title(None).scale(domain=order, range=colours).legend(key)
    data = bins[bins["count"] > 0]
    width = {"minExtent": axis_width, "maxExtent": axis_width} if axis_width else {}
    # Vega would stack bars of different colours.
    ticks = {"values": [0, *(10**i for i in range(7))]} if log else {}
    y = alt.Y("count:Q").stack(None).title(y_title).scale(type="symlog" if log else "linear").axis(**ticks, **width)
    base = alt.Chart(data).encode(
        alt.X("low:Q").bin("binned").title(title).scale(**({"domain": list(domain), "nice": False} if domain else {})),
        alt.X2("high:Q"),
        y,
        colour,
        tooltip=[
            alt.Tooltip("series:N", title="Of"),
            alt.Tooltip("low:Q", title="From", format=".4~g"),
            alt.Tooltip("high:Q", title="To", format=".4~g"),
            alt.Tooltip("count:Q", title=y_title),
        ],
    )
    return base.mark_bar(binSpacing=0, opacity=0.6).properties(height=height)


def marginal_boxes(boxes: pd.DataFrame, *, domain: Sequence[float], axis_width: int) -> alt.LayerChart:
    """Draw a horizontal box for each of `series`; needs series, low, q1, median, q3, high, n, n_outside."""
    order = list(boxes["series"])
    base = alt.Chart(boxes).encode(
        # A blank title takes the room of the title beside the histogram below: the two x axes begin at one place.
        alt.Y("series:N")
        .title("\u00a0")
        .sort(order)
        .axis(labels=False, ticks=False, domain=False, minExtent=axis_width, maxExtent=axis_width),
        alt.Color("series:N").scale(domain=order, range=COLOURS[: len(order)]).legend(None),
        tooltip=[
            alt.Tooltip("series:N", title="Of"),
            *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("low", "q1", "median", "q3", "high")),
            alt.Tooltip("n:Q", title="Tokens"),
            alt.Tooltip("n_outside:Q", title="Beyond the whiskers"),
        ],
    )
    x = alt.X("low:Q").title(None).scale(domain=list(domain), nice=False).axis(labels=False, ticks=False)
    whiskers = base.mark_rule().encode(x, alt.X2("high:Q"))
    boxed = base.mark_bar(size=9, opacity=0.8).encode(alt.X("q1:Q").title(None), alt.X2("q3:Q"))
    middle = base.mark_tick(thickness=2, size=13, color="#ffffff").encode(
        alt.X("median:Q").title(None), color=alt.value("#ffffff")
    )
    return alt.layer(whiskers, boxed, middle).properties(height=26 + 20 * len(order))


def percentile_areas(table: pd.DataFrame, *, title: str, log: bool) -> alt.LayerChart:
    """Draw bands of percentiles by layer, and the median as a line; needs the columns of percentile_table."""
    wide = table.pivot_table(index="layer", columns="percentile", values="value", sort=False)
    wide.columns = [f"p{percentile}" for percentile in wide.columns]
    order, data = list(wide.index), wide.reset_index()
    x = alt.X("layer:N").title("Layer").sort(order).axis(labelAngle=0).scale(type="point", padding=0.3)
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False)
    base = alt.Chart(data).encode(x)
    tooltip = ["layer:N", *(alt.Tooltip(f"p{p}:Q", title=f"{p}%", format=".3~f") for p in PERCENTILES)]
    middle = len(PERCENTILES) // 2
    bands = [
        base.mark_area(opacity=0.16, color=ACCENT).encode(
            alt.Y(f"p{low}:Q").scale(scale).title(f"{title}{' (log)' if log else ''}"), alt.Y2(f"p{high}:Q")
        )
        for low, high in zip(PERCENTILES[:middle], PERCENTILES[:middle:-1], strict=True)
    ]
    line = base.mark_line(color=ACCENT, point={"color": ACCENT, "size": 40}).encode(
        alt.Y(f"p{PERCENTILES[middle]}:Q"), tooltip=tooltip
    )
    return alt.layer(*bands, line).properties(height=280)
