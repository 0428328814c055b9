"""Pairs that are the best of all pairs of features, found among a few candidates of each and proven over all.

Candidates are matched, and every end gets a price. A pair that is worth more than its two prices is missing: it is
added, and all begins anew (column generation). Where no pair is missing, candidates were enough. A float32 product of
all rows with all columns finds the pairs that may be missing, their similarities from float64 decide.
"""

from collections.abc import Callable
from itertools import count
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.spaces import DictionarySide
from core.matching.comparison import Comparison, PairCosines, geometric_mean
from core.maths.assignment import UNIT, Edges, greedy, mutual, one_to_one, prices, whole
from core.maths.unit_rows import unit_rows
from core.work.jobs import SILENT, Progress
from core.work.threads import run_blocks

Method = Literal["one-to-one", "greedy", "mutual"]
METHODS = {"one-to-one": one_to_one, "greedy": greedy, "mutual": mutual}
CERTAIN = 4096**2
"""Of so many pairs all are settled, however many rounds that takes."""
ROUNDS = 30
"""Of more pairs a one-to-one matching is given up to be proven after so many."""
MOST = 8
"""Missing pairs that one feature of A adds in a round. All would be many: a cluster of features prices itself up."""
_ROWS = 256


class Missing(NamedTuple):
    """Pairs that are worth more than their prices, and by how much the total may grow at most by such pairs."""

    edges: Edges
    gap: float


Prices = tuple[Int[np.ndarray, " n_a"], Int[np.ndarray, " n_b"], Callable]
"""Of the features of A, of those of B, in UNITs, and how the two make the price of a pair: added, or the larger."""


def proven(
    comparison: Comparison,
    edges: Edges,
    sides: tuple[DictionarySide, ...],
    method: Method,
    *,
    progress: Progress = SILENT,
) -> tuple[Edges, Int[np.ndarray, " chosen"], float]:
    """Match the features of two dictionaries; return the edges looked at, which of them are chosen, and the gap.

    `edges` must hold all pairs in the lists of nearest by these sides. The gap is 0 where the chosen edges are those
    that the method takes of all pairs; else the largest total of one-to-one pairs is at most so much larger.
    """
    score = (whole(edges.score) * UNIT).astype(np.float32)  # changes those below 2^-17 alone, by 2^-41 at most
    every, edges = _EveryPair(comparison, sides), Edges(edges.a, edges.b, score, edges.n_a, edges.n_b)
    endless = method != "one-to-one" or edges.n_a * edges.n_b <= CERTAIN
    for turn in count(1):
        chosen = METHODS[method](edges)
        missing = [every.missing(priced, progress=progress) for priced in _prices(edges, chosen, method)]
        gap = sum(part.gap for part in missing)
        if gap == 0 or (turn >= ROUNDS and not endless):
            return edges, chosen, gap
        for part in missing:
            edges = edges.among(part.edges)
    raise AssertionError("rounds end by returning")


def _prices(edges: Edges, chosen: Int[np.ndarray, " chosen"], method: Method) -> list[Prices]:
    """Return prices under which any pair worth more than its price would change what the method chooses.

    One to one: see `assignment.prices`. Greedy: a pair is taken if it is better than what both its ends have got.
    Mutual: a feature has another nearest if a pair is better than its best, whatever the other end has.
    """
    if method == "one-to-one":
        return [(*prices(edges, chosen), np.add)]
    ends = (chosen, chosen) if method == "greedy" else edges.best()
    u, v = np.zeros(edges.n_a, np.int64), np.zeros(edges.n_b, np.int64)
    for price, end, edge in zip((u, v), (edges.a, edges.b), ends, strict=True):
        edge = edge[edge >= 0]
        price[end[edge]] = whole(edges.score[edge])
    return [(u, v, np.maximum)] if method == "greedy" else [(u, 0 * v, np.add), (0 * u, v, np.add)]


class _EveryPair:
    """All pairs of features of A and B, of which those that are worth more than a price can be asked for."""

    def __init__(self, comparison: Comparison, sides: tuple[DictionarySide, ...]):
        self.cosines = [PairCosines(comparison, side) for side in sides]
        self.units = [[unit_rows(weights.side(side)) for weights in (comparison.a, comparison.b)] for side in sides]
        lists = [comparison.between(side) for side in sides]
        self.reach_a = _reach([between.a_in_b_cos[:, -1] for between in lists])
        self.reach_b = _reach([between.b_in_a_cos[:, -1] for between in lists])

    def missing(self, prices: Prices, *, progress: Progress = SILENT) -> Missing:
        """Find pairs (i, j) worth more than price(u_i, v_j), at most MOST of each i, the worst.

        A pair in no list of nearest is worth no more than the last of its row's list and of its column's (`reach`).
        So only rows and columns priced under that can hold one, and of the product only where such meet is needed.
        """
        u, v, price = prices
        room = self.reach_a - u
        rows = np.flatnonzero(room > 0)
        rows = rows[np.argsort(-room[rows], kind="stable")]  # those with alike room meet the same columns
        progress.note(f"checking all pairs: {len(rows):,} features to look at")

        def look(part: slice) -> _Found:
            i = rows[part]
            hopeful = (v < self.reach_b) & (price(u[i].min(), v) < self.reach_a[i].max())
            a, b = self._suspects(i, np.flatnonzero(hopeful), prices)
            score = whole(self._similarities(a, b))
            return _worst(a, b, score, score - price(u[a], v[b]), len(v))

        parts = run_blocks(look, len(rows), _ROWS, progress=progress)
        a, b, score = (np.concatenate([part[i] for part in parts]) if parts else rows for i in range(3))
        order = np.lexsort((b, a))
        a, b, score = a[order].astype(np.int32), b[order].astype(np.int32), (score[order] * UNIT).astype(np.float32)
        return Missing(Edges(a, b, score, len(u), len(v)), sum(part.gap for part in parts) * UNIT)

    def _suspects(
        self, i: Int[np.ndarray, " row"], j: Int[np.ndarray, " column"], prices: Prices
    ) -> tuple[Int[np.ndarray, " suspect"], Int[np.ndarray, " suspect"]]:
        """Return all pairs of some rows and columns that may be worth more than their price, by float32 products."""
        products = [a[i] @ b[j].T for a, b in self.units]
        # A cosine of unit rows, themselves rounded, is off by less, and the price with it.
        error = [np.float32((a.shape[1] + 16) * 2.0**-24) for a, _ in self.units]
        u, v, price = prices
        limit = price((u[i] * UNIT).astype(np.float32)[:, None], (v[j] * UNIT).astype(np.float32))
        if len(products) == 1:
            limit -= error[0]
            over = products[0] > np.maximum(limit, 0, out=limit)
        else:
            one, other = (np.maximum(cos + e, 0, out=cos) for cos, e in zip(products, error, strict=True))
            over = np.sqrt(np.multiply(one, other, out=one), out=one) > limit - error[0]
        row, column = np.nonzero(over)
        return i[row], j[column]

    def _similarities(self, a: Int[np.ndarray, " pair"], b: Int[np.ndarray, " pair"]) -> Float[np.ndarray, " pair"]:
        each = [np.maximum(cosines.of(a, b), 0) for cosines in self.cosines]
        return each[0] if len(each) == 1 else geometric_mean(*each)


class _Found(NamedTuple):
    """Missing pairs of some rows, their similarities and the sum of the largest excess of each row, in UNITs."""

    a: Int[np.ndarray, " pair"]
    b: Int[np.ndarray, " pair"]
    score: Int[np.ndarray, " pair"]
    gap: int


def _worst(
    a: Int[np.ndarray, " pair"],
    b: Int[np.ndarray, " pair"],
    score: Int[np.ndarray, " pair"],
    excess: Int[np.ndarray, " pair"],
    n_b: int,
) -> _Found:
    """Keep the MOST pairs of each row with the largest excess over 0."""
    over = np.flatnonzero(excess > 0)
    a, b, score, excess = a[over], b[over], score[over], excess[over]
    # Among equals every row begins at another column: equal features must not all ask for the same ones.
    order = np.lexsort(((b - a) % n_b, -excess, a))
    a, b, score, excess = a[order], b[order], score[order], excess[order]
    first = np.flatnonzero(np.diff(a, prepend=-1))
    place = np.arange(len(a)) - np.repeat(first, np.diff(first, append=len(a)))
    kept = place < MOST
    return _Found(a[kept], b[kept], score[kept], int(excess[first].sum()))


def _reach(last: list[Float[np.ndarray, " n"]]) -> Int[np.ndarray, " n"]:
    """Return the most that a pair in no list is worth, in UNITs, from the last cosines of each list."""
    cosines = [np.maximum(np.nan_to_num(values), 0) for values in last]  # of a feature left out: 0
    return whole(cosines[0] if len(cosines) == 1 else geometric_mean(*cosines))
