"""Compiled loops over the edges of a bipartite graph, and cosines of given pairs. Imports numba: import lazily."""

from typing import no_type_check

from core.work.compiled import compiled


# Scores are compared as they are: no rewriting of sums here.
@compiled(fastmath=False)
@no_type_check
def best_two(ends, scores, edges, best, first, second):
    """Write, for each end, the edge with its largest score (ties: first listed) and the two largest scores.

    ends, scores (edge,); edges: which of them are looked at. best is -1 and the scores 0 without an edge.
    """
    best[:], first[:], second[:] = -1, 0, 0
    for e in edges:
        end, score = ends[e], scores[e]
        if best[end] < 0 or score > first[end]:
            second[end] = first[end]
            best[end], first[end] = e, score
        elif score > second[end]:
            second[end] = score


@compiled(fastmath=False)
@no_type_check
def take_mutual(ends_a, ends_b, best_a, best_b, first_a, second_a, second_b, certain, used_a, used_b, chosen):
    """Choose edges that are best at both ends, mark the ends as used, and return how many.

    With `certain` only those whose score is at least both second scores together.
    """
    taken = 0
    for i in range(len(best_a)):
        e = best_a[i]
        if e < 0 or best_b[ends_b[e]] != e:
            continue
        if not certain or first_a[i] >= second_a[i] + second_b[ends_b[e]]:
            used_a[ends_a[e]], used_b[ends_b[e]], chosen[e] = True, True, True
            taken += 1
    return taken


@compiled(fastmath=False)
@no_type_check
def take_greedily(ends_a, ends_b, order, used_a, used_b, chosen):
    """Go through the edges in order and choose those with both ends free."""
    for e in order:
        if not used_a[ends_a[e]] and not used_b[ends_b[e]]:
            used_a[ends_a[e]], used_b[ends_b[e]], chosen[e] = True, True, True
