"""Pairing the ends of a sparse graph: against dense solvers, definitions, and all permutations of small ones."""

from itertools import permutations

import numpy as np
import pytest

from core.maths.assignment import UNIT, Edges, greedy, mutual, one_to_one, prices, whole


def planted_edges(n_a: int, n_b: int, seed: int, *, share: float = 0.5, levels: int | None = None) -> Edges:
    """Random edges; with `levels` the scores are a few round ones, so that many are equal."""
    rng = np.random.default_rng(seed)
    scores = rng.random((n_a, n_b)).astype(np.float32) ** 4  # a few large, as of dictionaries that share features
    scores = np.ceil(scores * levels).astype(np.float32) / levels if levels else scores
    a, b = np.nonzero(rng.random((n_a, n_b)) < share)
    return Edges(a.astype(np.int32), b.astype(np.int32), scores[a, b], n_a, n_b)


def dense(edges: Edges) -> np.ndarray:
    scores = np.zeros((edges.n_a, edges.n_b))
    scores[edges.a, edges.b] = edges.score
    return scores


def total(edges: Edges, chosen: np.ndarray) -> float:
    return float(edges.score[chosen].sum(dtype=float))


@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize(("n_a", "n_b", "share"), [(9, 9, 1), (40, 40, 0.2), (40, 13, 0.3), (12, 50, 0.1), (1, 30, 1)])
def test_the_total_of_one_to_one_equals_a_dense_solvers_and_no_end_is_used_twice(n_a, n_b, share, levels):
    from scipy.optimize import linear_sum_assignment

    for seed in range(5):
        edges = planted_edges(n_a, n_b, seed, share=share, levels=levels)
        chosen = one_to_one(edges)
        best = dense(edges)[linear_sum_assignment(dense(edges), maximize=True)].sum()
        assert total(edges, chosen) == pytest.approx(best, abs=1e-9)
        for ends in (edges.a[chosen], edges.b[chosen]):
            assert len(set(ends.tolist())) == len(ends)


def test_no_permutation_of_a_small_graph_is_better_than_one_to_one():
    for seed in range(20):
        edges = planted_edges(5, 5, seed, share=0.6, levels=4)
        best = max(sum(dense(edges)[i, j] for i, j in enumerate(order)) for order in permutations(range(5)))
        assert total(edges, one_to_one(edges)) == pytest.approx(best)


def test_a_pair_worth_less_than_two_others_is_given_up_and_one_worth_as_much_may_stay():
    # The best edge 0-0 (.9) shuts out 0-1 and 1-0: worth it at .4 each, not at .6 each.
    ends = np.array([0, 0, 1], np.int32), np.array([0, 1, 0], np.int32)
    kept = one_to_one(Edges(*ends, np.array([0.9, 0.4, 0.4], np.float32), 2, 2))
    given_up = one_to_one(Edges(*ends, np.array([0.9, 0.6, 0.6], np.float32), 2, 2))
    assert (kept.tolist(), given_up.tolist()) == ([0], [1, 2])


@pytest.mark.parametrize("levels", [None, 2])
def test_greedy_takes_the_best_edge_left_again_and_again(levels):
    for seed in range(5):
        edges = planted_edges(15, 11, seed, levels=levels)
        found, free_a, free_b = [], set(range(15)), set(range(11))
        for e in sorted(range(len(edges.a)), key=lambda e: (-edges.score[e], e)):
            if edges.a[e] in free_a and edges.b[e] in free_b:
                found.append(e)
                free_a.remove(edges.a[e])
                free_b.remove(edges.b[e])
        assert greedy(edges).tolist() == sorted(found)
        assert total(edges, one_to_one(edges)) >= total(edges, greedy(edges)) - 1e-9


@pytest.mark.parametrize("levels", [None, 2])
def test_mutual_edges_are_the_first_best_ones_at_both_ends(levels):
    for seed in range(5):
        edges = planted_edges(15, 11, seed, levels=levels)
        numbers = np.arange(len(edges.a))

        def first_best(ends, end, edges=edges, numbers=numbers):
            mine = numbers[ends == end]
            return min(mine, key=lambda e: (-edges.score[e], e)) if len(mine) else -1

        best = [first_best(edges.a, i) for i in range(15)], [first_best(edges.b, j) for j in range(11)]
        assert [found.tolist() for found in edges.best()] == [list(map(int, found)) for found in best]
        assert mutual(edges).tolist() == sorted(set(best[0]) & set(best[1]) - {-1})


def test_a_graph_without_edges_has_no_pairs():
    none = np.zeros(0, np.int32)
    edges = Edges(none, none, np.zeros(0, np.float32), 3, 2)
    for method in (one_to_one, greedy, mutual):
        assert method(edges).tolist() == []
    assert [found.tolist() for found in edges.best()] == [[-1] * 3, [-1] * 2]


@pytest.mark.parametrize(("n_a", "n_b", "share"), [(9, 9, 1), (40, 40, 0.2), (40, 13, 0.3), (12, 50, 0.1), (1, 30, 1)])
def test_prices_pay_for_every_edge_and_cost_together_what_the_best_total_is(n_a, n_b, share):
    for seed in range(5):
        edges = planted_edges(n_a, n_b, seed, share=share, levels=2**20)
        chosen = one_to_one(edges)
        u, v = prices(edges, chosen)
        assert min(u.min(), v.min()) >= 0
        assert (u[edges.a] + v[edges.b] >= whole(edges.score)).all()
        assert u.sum() + v.sum() == whole(edges.score)[chosen].sum()
        assert (u.sum() + v.sum()) * UNIT == total(edges, chosen)


def test_edges_that_are_not_the_best_have_no_prices():
    edges = Edges(*np.array([[0, 0, 1], [0, 1, 0]], np.int32), np.array([0.75, 0.5, 0.5], np.float32), 2, 2)
    with pytest.raises(AssertionError, match=r"not the best|more alone"):
        prices(edges, np.array([0]))


def test_edges_put_together_stay_in_order_and_count_once():
    one = Edges(*np.array([[0, 1], [1, 0]], np.int32), np.array([0.5, 0.25], np.float32), 2, 2)
    more = Edges(*np.array([[0, 0], [0, 1]], np.int32), np.array([0.75, 0.5], np.float32), 2, 2)
    found = one.among(more)
    assert list(zip(found.a.tolist(), found.b.tolist(), found.score.tolist(), strict=True)) == [
        (0, 0, 0.75),
        (0, 1, 0.5),
        (1, 0, 0.25),
    ]
