"""Pairs the two sides of a sparse bipartite graph: optimally one to one, greedily, or by mutual best edges.

An edge has a positive score; leaving an end alone scores 0. Functions that choose return numbers of edges, ascending.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

UNIT = 2.0**-40
"""Prices are whole multiples of this. A float32 of at least 2^-17 is one too."""
_WORTH = 50
"""Settling continues while a round settles at least one in this many of the remaining ends."""


@dataclass(frozen=True)
class Edges:
    """Edges between ends 0 … n_a - 1 and 0 … n_b - 1, each once, by a and then b; scores positive and finite."""

    a: Int[np.ndarray, " edge"]
    b: Int[np.ndarray, " edge"]
    score: Float[np.ndarray, " edge"]
    n_a: int
    n_b: int

    def best(self) -> tuple[Int[np.ndarray, " n_a"], Int[np.ndarray, " n_b"]]:
        """Return the edge with the largest score at each end, -1 without one; ties: first listed."""
        state = _State(self)
        state.look(np.arange(len(self.a)))
        return state.best_a, state.best_b

    def among(self, more: "Edges") -> "Edges":
        """Return these edges and more, between the same ends; an edge in both counts once."""
        ends = [np.concatenate([getattr(edges, end) for edges in (self, more)]) for end in ("a", "b")]
        score = np.concatenate([self.score, more.score])
        _, kept = np.unique(ends[0] * np.int64(self.n_b) + ends[1], return_index=True)
        return Edges(ends[0][kept], ends[1][kept], score[kept], self.n_a, self.n_b)


def mutual(edges: Edges) -> Int[np.ndarray, " chosen"]:
    """Return the edges that are the best at both their ends (mutual nearest neighbours)."""
    state = _State(edges)
    state.look(np.arange(len(edges.a)))
    state.take(certain=False)
    return np.flatnonzero(state.chosen)


def greedy(edges: Edges) -> Int[np.ndarray, " chosen"]:
    """Return the edges that are chosen by taking the best one left, again and again; ties: first listed."""
    from core.maths.assignment_kernels import take_greedily

    state = _State(edges)
    order = np.argsort(-edges.score, kind="stable")
    take_greedily(edges.a, edges.b, order, state.used_a, state.used_b, state.chosen)
    return np.flatnonzero(state.chosen)


def one_to_one(edges: Edges) -> Int[np.ndarray, " chosen"]:
    """Return edges that share no end and have the largest total score (linear assignment; Kuhn 1955), exactly.

    First, certain edges are settled: an edge that is best at both its ends, and whose score is at least the sum of the
    second-best scores at these ends. Exchanging it for two other edges gains nothing. For the remaining edges, each end
    of the smaller side gets a dummy partner of score 0, so that a complete assignment exists, and scipy's sparse
    solver (Jonker & Volgenant 1987) finds the best one. If several answers are best, the result is always the same.
    """
    state = _State(edges)
    left = np.arange(len(edges.a))
    state.look(left)
    while len(left):
        ends_left = np.count_nonzero(state.best_a >= 0)
        settled = state.take(certain=True)
        left = left[~(state.used_a[edges.a[left]] | state.used_b[edges.b[left]])]
        state.look(left)
        if settled * _WORTH < ends_left or not settled:
            break
    return np.sort(np.concatenate([np.flatnonzero(state.chosen), left[_assign(edges, left)]]))


def prices(edges: Edges, chosen: Int[np.ndarray, " chosen"]) -> tuple[Int[np.ndarray, " n_a"], Int[np.ndarray, " n_b"]]:
    """Return prices of the ends that prove the chosen edges to have the largest total, in UNITs.

    The two prices at an edge add up to at least its score, and to exactly its score if the edge is chosen. An end
    without a chosen edge has price 0. So no one-to-one choice scores more than the sum of all prices, and the chosen
    edges score exactly this sum (duality of linear programs). Scores must be whole multiples of UNIT: then nothing is
    rounded. The prices of b are the smallest possible, found by raising them until every edge is covered (longest
    paths, after Bellman 1958).
    """
    order = np.argsort(edges.b, kind="stable")
    score, a = whole(edges.score), edges.a[order]
    ends, starts = np.unique(edges.b[order], return_index=True)
    own, partner, matched = np.zeros(edges.n_a, np.int64), np.zeros(edges.n_a, np.int64), np.zeros(edges.n_a, bool)
    own[edges.a[chosen]], partner[edges.a[chosen]], matched[edges.a[chosen]] = score[chosen], edges.b[chosen], True
    score, v = score[order], np.zeros(edges.n_b, np.int64)
    for _ in range(edges.n_b + 1):
        u = np.where(matched, own - v[partner], 0)
        asked = np.maximum(v[ends], np.maximum.reduceat(score - u[a], starts)) if len(a) else v[ends]
        if np.array_equal(asked, v[ends]):
            break
        v[ends] = asked
    assert (u >= 0).all(), "an end is worth more alone than chosen"
    assert u.sum() + v.sum() == own.sum(), "the chosen edges are not the best"
    return u, v


def whole(scores: Float[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    """Return scores in UNITs, rounded to whole ones."""
    return np.rint(scores.astype(float) / UNIT).astype(np.int64)


def _assign(edges: Edges, left: Int[np.ndarray, " left"]) -> Int[np.ndarray, " chosen"]:
    """Solve for some of the edges; return which of them are chosen."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(left):
        return left
    ends = [np.unique(end[left], return_inverse=True) for end in (edges.a, edges.b)]
    (rows, row), (columns, column) = sorted(ends, key=lambda side: len(side[0]))  # stable: a first if equal
    n, m = len(rows), len(columns)
    dummies = np.arange(n)
    # One more everywhere: a weight of 0 would be no edge, and every complete assignment has n of them.
    weight = np.concatenate([edges.score[left].astype(float), np.zeros(n)]) + 1
    where = np.concatenate([row, dummies]), np.concatenate([column, m + dummies])
    graph = csr_matrix((weight, where), shape=(n, m + n))
    picked_row, picked = min_weight_full_bipartite_matching(graph, maximize=True)
    partner = np.full(n, -1)
    partner[picked_row] = picked
    return np.flatnonzero(partner[row] == column)


class _State:
    """What is best at every end, which ends are used, and which edges chosen."""

    def __init__(self, edges: Edges):
        self.edges = edges
        self.best_a, self.best_b = (np.full(n, -1) for n in (edges.n_a, edges.n_b))
        self.first_a, self.second_a = np.zeros((2, edges.n_a))
        self.first_b, self.second_b = np.zeros((2, edges.n_b))
        self.used_a, self.used_b = (np.zeros(n, bool) for n in (edges.n_a, edges.n_b))
        self.chosen = np.zeros(len(edges.a), bool)

    def look(self, left: Int[np.ndarray, " left"]) -> None:
        """Find the best of some edges at every end."""
        from core.maths.assignment_kernels import best_two

        best_two(self.edges.a, self.edges.score, left, self.best_a, self.first_a, self.second_a)
        best_two(self.edges.b, self.edges.score, left, self.best_b, self.first_b, self.second_b)

    def take(self, *, certain: bool) -> int:
        """Choose the mutual edges, all or those that a best answer must hold; return how many."""
        from core.maths.assignment_kernels import take_mutual

        a, b = self.edges.a, self.edges.b
        best = self.best_a, self.best_b, self.first_a, self.second_a, self.second_b
        return take_mutual(a, b, *best, certain, self.used_a, self.used_b, self.chosen)
