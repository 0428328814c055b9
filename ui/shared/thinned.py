"""The most marks that a chart sends. A chart with more draws a seeded sample of them, and says so.

Charts of points are drawn whole by WebGL (ui.shared.cloud). This is for what no cloud can show, and for browsers
without WebGL; other charts of features choose what they leave out (`core.maths.samples`).
"""

from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.maths.samples import drawn_places
from ui.shared.chart_parts import drawn_units, mark_of

MOST_MARKS = 5_000
"""The most marks that a browser draws anew without a pause."""
_SMALL = 100
"""Rows of a table that is drawn whole: a ring, labels, borders."""
LINES = ("line", "area", "trail")
"""One such mark joins many rows, which are not left out."""


def thinned(chart: alt.TopLevelMixin) -> tuple[alt.TopLevelMixin, str]:
    """Return the chart with at most MOST_MARKS marks, and what its caption must say; empty if it had no more.

    Each large table keeps the same share of its rows, a random sample (seed 0) in their order. The chart is changed.
    """
    tables, n = _tables(chart), marks(chart)
    if n <= MOST_MARKS:
        return chart, ""
    large = [table for table in tables.values() if len(table.data) > _SMALL]
    room = MOST_MARKS - sum(table.marks for table in tables.values() if table not in large)
    share = room / sum(table.marks for table in large)
    for table in large:
        whole = np.arange(len(table.data))
        table.node.data = table.data = table.data.iloc[drawn_places(whole, whole=0, most=int(share * len(whole)))]
    kept = sum(table.marks for table in tables.values())
    return chart, f"{kept:,} of {n:,} marks drawn, a random sample (seed 0)"


def marks(chart: alt.TopLevelMixin) -> int:
    """Return how many marks a chart would send."""
    return sum(table.marks for table in _tables(chart).values())


def _tables(chart: alt.TopLevelMixin) -> dict[int, "_Table"]:
    tables: dict[int, _Table] = {}
    for unit, holder in drawn_units(chart):
        if mark_of(unit) not in LINES:
            tables.setdefault(id(holder), _Table(holder, holder.data)).times += 1
    return tables


@dataclass(eq=False)
class _Table:
    """A table of a chart, and how many units draw each of its rows."""

    node: Any
    """The part of the chart that holds it."""
    data: pd.DataFrame
    times: int = 0

    @property
    def marks(self) -> int:
        return self.times * len(self.data)
