"""The figures of docs/experiments.md. Numbers in, Altair chart out."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.matching.null import random_nearest
from demo.experiments.answers import pooled
from demo.experiments.measures import BINS
from ui.shared.charts import ACCENT, COLOURS, MUTED

_RANDOM = "random directions"


def nearest_histogram(by_arm: Mapping[str, Sequence[Mapping[str, Any]]], d_in: int) -> alt.LayerChart:
    """Draw the shares of features by their nearest cosine, a line for each arm, and what random directions give.

    `by_arm` holds, by title, the entries of all seeds at one L0.
    """
    centres = np.round((BINS[:-1] + BINS[1:]) / 2, 2)
    tables = [pd.DataFrame({"arm": title, "cosine": centres, "share": pooled(by_arm[title])}) for title in by_arm]
    n = sum(next(iter(by_arm.values()))[0]["nearest_counts"])
    table = pd.concat([*tables, random_histogram(round(n), d_in)])
    shown = table.groupby("cosine")["share"].transform("max") > 0
    titles = [*by_arm, _RANDOM]
    colours = [*COLOURS[: len(by_arm)], MUTED]
    return alt.layer(
        alt.Chart(table[shown])
        .mark_line(interpolate="monotone", strokeWidth=2)
        .encode(
            alt.X("cosine:Q").title("Cosine with the nearest other feature"),
            alt.Y("share:Q").title("Share of features").axis(format="%"),
            alt.Color("arm:N").title(None).scale(domain=titles, range=colours).legend(orient="top"),
        )
    )


def random_histogram(n: int, d_in: int) -> pd.DataFrame:
    """Return the share in each of BINS of n random directions' nearest cosines: arm, cosine, share. In closed form."""
    below = random_nearest(n - 1, d_in).rth_below(BINS, 1)
    centres = np.round((BINS[:-1] + BINS[1:]) / 2, 2)
    return pd.DataFrame({"arm": _RANDOM, "cosine": centres, "share": np.diff(below)})


def against_l0(table: pd.DataFrame, name: str, title: str, l0: float) -> alt.LayerChart:
    """Draw a number over L0: a dot for each dictionary, a line through the means of each arm, a rule at the L0 shared.

    `table` is that of demo.experiments.answers.curve_table.
    """
    titles = list(dict.fromkeys(table["arm"]))
    means = table.groupby(["arm", "value"], sort=False)[["l0", name]].mean().reset_index()
    x = alt.X("l0:Q").title("Mean number of active features, L0").scale(type="log", nice=False, zero=False)
    y = alt.Y(f"{name}:Q").title(title).scale(zero=False)
    colour = alt.Color("arm:N").title(None).scale(domain=titles, range=COLOURS[: len(titles)]).legend(orient="top")
    rule = alt.Chart(pd.DataFrame({"l0": [l0]})).mark_rule(color=MUTED, strokeDash=[5, 4]).encode(x)
    lines = alt.Chart(means).mark_line(strokeWidth=1.6).encode(x, y, colour)
    dots = alt.Chart(table).mark_circle(size=36, opacity=0.7).encode(x, y, colour)
    return alt.layer(rule, lines, dots)


def change_bars(table: pd.DataFrame) -> alt.LayerChart:
    """Draw a bar for the share that returns after each change, its interval where there is one, ticks for chance.

    `table` is that of demo.experiments.answers.shares_by_change.
    """
    y = alt.Y("group:N").title(None).sort(list(table["group"])).axis(labelLimit=320)
    x = alt.X("share:Q").title("Features that return").scale(domain=[0, 1]).axis(format="%")
    base = alt.Chart(table).encode(y)
    bars = base.mark_bar(color=ACCENT, opacity=0.4).encode(x)
    spans = alt.Chart(table.dropna(subset=["low"])).mark_rule(color=ACCENT, strokeWidth=2)
    ticks = base.mark_tick(color=MUTED, thickness=2).encode(alt.X("chance:Q"))
    return alt.layer(bars, spans.encode(y, alt.X("low:Q"), alt.X2("high:Q")), ticks).properties(height=alt.Step(26))
