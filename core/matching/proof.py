"""Match features among a few candidates, and prove that no other pair of features would better the matching.

A round matches the candidates and gives every feature a price. A pair that is worth more than the price of its two
features is missing among the candidates; it is added, and a new round begins (column generation). If no pair is
missing, the matching is the best one. Float32 products of all rows with all columns find pairs that may be missing;
similarities in float64 decide.
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
from core.work.progress import SILENT, Progress
from core.work.threads import run_blocks

Method = Literal["one-to-one", "greedy", "mutual"]
METHODS = {"one-to-one": one_to_one, "greedy": greedy, "mutual": mutual}
CERTAIN = 4096**2
"""Up to this number of possible pairs, rounds go on until the matching is proven."""
ROUNDS = 30
"""With more possible pairs, a one-to-one matching stays unproven after this number of rounds."""
MOST = 8
"""Missing pairs that one feature of A adds in a round, at most. In a cluster of similar features nearly all pairs may
be missing at first; a few of them raise the prices enough."""
_ROWS = 256


class Missing(NamedTuple):
    """Pairs that are worth more than their price, and `gap`: by how much, at most, they can raise the total."""

    edges: Edges
    gap: float


Prices = tuple[Int[np.ndarray, " n_a"], Int[np.ndarray, " n_b"], Callable]
"""Prices of A's features and of B's, in UNITs, and the function that makes the price of a pair: sum or maximum."""


def proven(
    comparison: Comparison,
    edges: Edges,
    sides: tuple[DictionarySide, ...],
    method: Method,
    *,
    progress: Progress = SILENT,
) -> tuple[Edges, Int[np.ndarray, " chosen"], float]:
    """Match the features of two dictionaries; return all candidate edges, the indices of the chosen ones, and the gap.

    `edges` must hold all pairs in the lists of nearest by these sides. The gap is 0 if the chosen edges are those that
    the method chooses from all pairs. Otherwise, the largest total of one-to-one pairs is larger by the gap at most.
    """
    score = (whole(edges.score) * UNIT).astype(np.float32)  # changes only scores below 2^-17, by at most 2^-41
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
    """Return prices such that a pair worth more than its price would change the choice of the method.

    One to one: see `assignment.prices`. Greedy: a pair is taken if it is better than the present pairs of both its
    features. Mutual: a pair changes the nearest of a feature if it is better than that feature's best; the other
    feature does not matter, so there is one set of prices for A and one for B.
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
    """All pairs of features of A and B; it finds those that are worth more than a price."""

    def __init__(self, comparison: Comparison, sides: tuple[DictionarySide, ...]):
        self.cosines = [PairCosines(comparison, side) for side in sides]
        self.units = [[unit_rows(weights.side(side)) for weights in (comparison.a, comparison.b)] for side in sides]
        lists = [comparison.between(side) for side in sides]
        self.reach_a = _reach([between.a_in_b_cos[:, -1] for between in lists])
        self.reach_b = _reach([between.b_in_a_cos[:, -1] for between in lists])

    def missing(self, priced: Prices, *, progress: Progress = SILENT) -> Missing:
        """Find pairs (i, j) worth more than price(u_i, v_j): for each i, the MOST with the largest excess.

        A pair in no list of nearest is worth at most `reach`: the last similarity in the list of its row, and in the
        list of its column. So only rows and columns with prices under their reach can hold a missing pair, and only
        their products are computed.
        """
        u, v, price = priced
        room = self.reach_a - u
        rows = np.flatnonzero(room > 0)
        rows = rows[np.argsort(-room[rows], kind="stable")]  # rows with similar room need the same columns
        progress.note(f"checking all pairs: {len(rows):,} features to look at")

        def look(part: slice) -> _Found:
            i = rows[part]
            hopeful = (v < self.reach_b) & (price(u[i].min(), v) < self.reach_a[i].max())
            a, b = self._suspects(i, np.flatnonzero(hopeful), priced)
            score = whole(self._similarities(a, b))
            return _worst(a, b, score, score - price(u[a], v[b]), len(v))

        parts = run_blocks(look, len(rows), _ROWS, progress=progress)
        a, b, score = (np.concatenate([part[i] for part in parts]) if parts else rows for i in range(3))
        a, b, score = a.astype(np.int32), b.astype(np.int32), (score * UNIT).astype(np.float32)
        return Missing(Edges(a, b, score, len(u), len(v)), sum(part.gap for part in parts) * UNIT)

    def _suspects(
        self, i: Int[np.ndarray, " row"], j: Int[np.ndarray, " column"], priced: Prices
    ) -> tuple[Int[np.ndarray, " suspect"], Int[np.ndarray, " suspect"]]:
        """Return the pairs of these rows and columns that may be worth more than their price, by float32 products."""
        products = [a[i] @ b[j].T for a, b in self.units]
        # The float32 cosine of two rounded unit rows, plus the rounding of the price, is wrong by less than this.
        error = [np.float32((a.shape[1] + 16) * 2.0**-24) for a, _ in self.units]
        u, v, price = priced
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
    """Missing pairs of some rows, their similarities, and `gap`: the sum of each row's largest excess; in UNITs."""

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
    # Among ties every row starts at another column, so that equal features do not all add the same columns.
    order = np.lexsort(((b - a) % n_b, -excess, a))
    a, b, score, excess = a[order], b[order], score[order], excess[order]
    first = np.flatnonzero(np.diff(a, prepend=-1))
    place = np.arange(len(a)) - np.repeat(first, np.diff(first, append=len(a)))
    kept = place < MOST
    return _Found(a[kept], b[kept], score[kept], int(excess[first].sum()))


def _reach(last: list[Float[np.ndarray, " n"]]) -> Int[np.ndarray, " n"]:
    """Return, in UNITs, the largest similarity that a pair in no list can have, from the last cosine of each list."""
    cosines = [np.maximum(np.nan_to_num(values), 0) for values in last]  # a feature left out has 0
    return whole(cosines[0] if len(cosines) == 1 else geometric_mean(*cosines))
