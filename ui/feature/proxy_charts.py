"""Charts of one feature beside a proxy; each takes a table of core.proxies.tables."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from core import catalogue
from ui.shared.charts import ACCENT, MUTED

TWO = [ACCENT, "#a8adb5"]
MANY = ["#9a3412", "#ea580c", "#fdba74", "#93c5fd", "#3b82f6", "#8a8f98"]
"""Colours from the largest log-likelihood ratio to none."""
TOKENS, LOG, SHARE = "Tokens", "Tokens, log", "Share"
BLUE = "#4c78a8"
HEIGHT = 280


def by_class(table: pd.DataFrame, classes: Sequence[str], measure: str) -> alt.Chart:
    """The activation histogram by class: stacked counts, shares of each bin, or (log) one line for each class.

    On a log axis stacked heights have no meaning, so classes are drawn over each other there.
    """
    if measure == LOG:
        return _lines(table, classes)
    share = measure == SHARE
    y = alt.Y("proxy_class_share:Q" if share else "proxy_class_tokens:Q").stack("zero")
    return _stacked(table, classes, y.title("Share of active tokens" if share else "Active tokens"), percent=share)


def expected_value(table: pd.DataFrame, classes: Sequence[str]) -> alt.Chart:
    """Draw summed activation by activation, stacked by class."""
    return _stacked(table, classes, alt.Y("proxy_class_activation:Q").stack("zero").title("Summed activation"))


def _stacked(table: pd.DataFrame, classes: Sequence[str], y: alt.Y, *, percent: bool = False) -> alt.Chart:
    places = {name: place for place, name in enumerate(classes)}
    drawn = table[table["proxy_class_tokens"] > 0]
    return (
        alt.Chart(drawn.assign(place=drawn["proxy_class"].map(places)))
        .mark_bar(binSpacing=0)
        .encode(
            alt.X("proxy_bin_low:Q").bin("binned").title("Activation"),
            alt.X2("proxy_bin_high:Q"),
            y.axis(format="%") if percent else y.axis(format="~s"),
            _colour(classes),
            order=alt.Order("place:Q"),
            tooltip=_class_tooltip(),
        )
        .properties(height=HEIGHT)
    )


def _lines(table: pd.DataFrame, classes: Sequence[str]) -> alt.Chart:
    table = table[table.groupby("proxy_class")["proxy_class_tokens"].transform("sum") > 0]
    return (
        alt.Chart(table.assign(at=(table["proxy_bin_low"] + table["proxy_bin_high"]) / 2))
        .mark_line(interpolate="step", strokeWidth=1.8)
        .encode(
            alt.X("at:Q").title("Activation").scale(nice=False),
            alt.Y("proxy_class_tokens:Q")
            .title("Active tokens (log)")
            .scale(type="symlog", constant=1)
            .axis(values=[0, *(10**n for n in range(9))], format="~s"),
            _colour(classes),
            tooltip=_class_tooltip(),
        )
        .properties(height=HEIGHT)
    )


def specificity(table: pd.DataFrame, base: float) -> alt.LayerChart:
    """Draw the share of hits by activation with its interval. The dashed line is the share in the whole text."""
    return _share_by(
        table, "proxy_bin", "proxy_specificity", "active_tokens", "Activation", ("all tokens of the text", "y", base)
    )


def by_ratio(table: pd.DataFrame, threshold: float) -> alt.LayerChart:
    """Draw the share of tokens with an active feature, by log-likelihood ratio. The dashed line is the threshold."""
    x_title = f"{catalogue.statistic('proxy_value').title} (nats)"
    mark = ("threshold", "x", threshold)
    return _share_by(table, "proxy_value", "proxy_active_share", "proxy_value_tokens", x_title, mark)


def _share_by(
    table: pd.DataFrame, bins: str, value: str, n: str, x_title: str, mark: tuple[str, str, float]
) -> alt.LayerChart:
    low, high = f"{bins}_low", f"{bins}_high"
    data = table.dropna(subset=[value])
    data = data.assign(at=(data[low] + data[high]) / 2)
    title = catalogue.statistic(value).title
    base = alt.Chart(data).encode(alt.X("at:Q").title(x_title).scale(zero=False))
    y = alt.Y(f"{value}:Q").title(title).scale(domain=[0, 1]).axis(format="%")
    names = [low, high, n, value, f"{value}_low", f"{value}_high"]
    tooltip = [
        alt.Tooltip(f"{name}:Q", title=catalogue.statistic(name).title, format=".1%" if value in name else ".4~g")
        for name in names
    ]
    text, axis, at = mark
    rule = alt.Chart(pd.DataFrame({"mark": [at], "text": [text]}))
    place = {axis: alt.X("mark:Q") if axis == "x" else alt.Y("mark:Q")}
    other = {"y": alt.value(4)} if axis == "x" else {"x": alt.value(4)}
    layers = [
        base.mark_rule(color=ACCENT, opacity=0.45, strokeWidth=2).encode(
            alt.Y(f"{value}_low:Q").title(title), alt.Y2(f"{value}_high:Q")
        ),
        base.mark_line(color=ACCENT, strokeWidth=1.4, point={"size": 26, "color": ACCENT}).encode(y, tooltip=tooltip),
        rule.mark_rule(strokeDash=[5, 4], color=MUTED).encode(**place),
        rule.mark_text(align="left", baseline="bottom" if axis == "y" else "top", dx=4, dy=-2, color=MUTED).encode(
            alt.Text("text:N"), **place, **other
        ),
    ]
    return alt.layer(*layers).properties(height=HEIGHT)


def cutoffs(table: pd.DataFrame) -> alt.Chart:
    """Draw specificity and sensitivity if only activations from x on count as active."""
    names = {name: catalogue.statistic(name).title for name in ("proxy_specificity", "proxy_sensitivity")}
    data = table.melt(["proxy_cutoff", "active_tokens"], list(names), "series", "share").replace({"series": names})
    scale = alt.Scale(domain=list(names.values()), range=[ACCENT, BLUE])
    return (
        alt.Chart(data)
        .mark_line(interpolate="step-before", strokeWidth=1.8)
        .encode(
            alt.X("proxy_cutoff:Q").title(catalogue.statistic("proxy_cutoff").title),
            alt.Y("share:Q").title("Share").scale(domain=[0, 1]).axis(format="%"),
            alt.Color("series:N").title(None).scale(scale).legend(orient="top"),
            tooltip=[
                alt.Tooltip("series:N", title="Series"),
                alt.Tooltip("proxy_cutoff:Q", title="Activation at least", format=".4~g"),
                alt.Tooltip("active_tokens:Q", title="Tokens", format=","),
                alt.Tooltip("share:Q", title="Share", format=".1%"),
            ],
        )
        .properties(height=HEIGHT)
    )


def _colour(classes: Sequence[str]) -> alt.Color:
    colours = TWO if len(classes) == len(TWO) else MANY
    scale = alt.Scale(domain=list(classes), range=colours[: len(classes)])
    return alt.Color("proxy_class:N").title(None).scale(scale).legend(orient="top", columns=6)


def _class_tooltip() -> list[alt.Tooltip]:
    formats = {"proxy_class_tokens": ",", "proxy_class_share": ".1%", "proxy_class_activation": ".4~g"}
    names = [f"{name}:Q" for name in ("proxy_bin_low", "proxy_bin_high")]
    ends = [alt.Tooltip(name, title=catalogue.statistic(name[:-2]).title, format=".3~g") for name in names]
    numbers = [
        alt.Tooltip(f"{name}:Q", title=catalogue.statistic(name).title, format=form) for name, form in formats.items()
    ]
    return [alt.Tooltip("proxy_class:N", title=catalogue.statistic("proxy_class").title), *ends, *numbers]
