"""The most marks that a chart sends. A chart with more draws a seeded sample of them, and says so.

Charts of features choose what they leave out (`core.maths.samples`). This is for all that do not: every chart passes
here before it is drawn. Whole dictionaries are drawn mark by mark by the map alone (ui.feature_map.component).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.maths.samples import drawn_places

MOST_MARKS = 5_000
"""The most marks that a browser draws anew without a pause."""
_SMALL = 100
"""Rows of a table that is drawn whole: a ring, labels, borders."""
LINES = ("line", "area", "trail")
"""One such mark joins many rows, which are not left out."""
_PARTS = ("layer", "hconcat", "vconcat", "concat")


def thinned(chart: alt.TopLevelMixin) -> tuple[alt.TopLevelMixin, str]:
    """Return the chart with at most MOST_MARKS marks, and what its caption must say; empty if it had no more.

    Each large table keeps the same share of its rows, a random sample (seed 0) in their order. The chart is changed.
    """
    tables: dict[int, _Table] = {}
    for node, data in _drawn(chart, None, None):
        tables.setdefault(id(node), _Table(node, data)).times += 1
    n = sum(table.marks for table in tables.values())
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


def _drawn(node: Any, above: Any, data: Any) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield for each unit that draws a mark for each row the node that holds its table, and the table."""
    own = getattr(node, "data", None)
    if isinstance(own, pd.DataFrame):
        above, data = node, own
    for part in [part for name in _PARTS for part in _held(node, name) or ()]:
        yield from _drawn(part, above, data)
    if inner := _held(node, "spec"):
        yield from _drawn(inner, above, data)
    mark = _held(node, "mark")
    kind = mark if isinstance(mark, str) else _held(mark, "type")
    if kind and kind not in LINES and data is not None:
        yield above, data


def _held(node: Any, name: str) -> Any:
    held = node._get(name) if isinstance(node, alt.SchemaBase) else None
    return None if held is alt.Undefined else held
