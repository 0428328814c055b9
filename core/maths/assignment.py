"""Pairing the two sides of a sparse bipartite graph: optimally one to one, greedily, or where the wish is mutual.

An edge has a positive score; leaving an end alone scores 0. All functions return numbers of edges, ascending.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_WORTH = 50
"""Settling goes on as long as a round settles one in so many of the ends left."""


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

    First, edges that some best answer must hold are settled: an edge best at both its ends whose score is no less
    than the next at the one plus the next at the other, as exchanging it for those two gains nothing. In the rest,
    each end of the smaller side gets a dummy partner of score 0, so that a complete assignment exists, and
    scipy's sparse solver (Jonker & Volgenant 1987) does it. Where several answers are best it is always the same.
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
