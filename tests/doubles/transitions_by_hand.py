"""Transitions between features counted in plain loops over dense activations, and stretches of text made by hand."""

from collections.abc import Sequence
from itertools import pairwise, permutations
from math import prod

import numpy as np

from core.activations.sparse import SparseActivations
from core.automata.stretches import Stretches


def stretches_of(fires: np.ndarray, lengths: Sequence[int], *, acts: np.ndarray | None = None) -> Stretches:
    """Return stretches with these numbers of tokens, one after another with a place between; fires (token, feature)."""
    acts = fires.astype(np.float32) if acts is None else np.where(fires, acts, 0).astype(np.float32)
    token, feature = np.nonzero(fires)
    ends = np.cumsum(fires.sum(axis=1)).astype(np.int64)
    sparse = SparseActivations(ends, feature.astype(np.int32), acts[token, feature], fires.shape[1])
    starts = np.cumsum([1, *(length + 1 for length in lengths)])[:-1]
    place = np.concatenate([start + np.arange(length) for start, length in zip(starts, lengths, strict=True)])
    return Stretches(sparse, place, int(place.max(initial=0)) + 1)


def parts_of(fires: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    return np.split(fires, np.cumsum(lengths)[:-1])


def counted(fires: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Return how often each feature (row) is followed by each (column)."""
    count = np.zeros((fires.shape[1],) * 2, np.int64)
    for part in parts_of(fires, lengths):
        for one, other in pairwise(part):
            count += np.outer(one, other)
    return count


def mean_of_all_orders(fires: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Return the mean of `counted` over every order of the tokens of each stretch."""
    mean = np.zeros((fires.shape[1],) * 2)
    for part in parts_of(fires, lengths):
        orders = list(permutations(range(len(part))))
        mean += sum(counted(part[list(order)], [len(part)]) for order in orders) / len(orders)
    return mean


def poisson_tail(count: int, mean: float) -> float:
    """Return the probability of at least `count`."""
    return 1 - sum(np.exp(-mean) * mean**k / prod(range(1, k + 1)) for k in range(count))


def q_values(p: np.ndarray) -> np.ndarray:
    """Return for each p the least rate over all thresholds that call it: m times the threshold over what it calls."""
    return np.array([min(len(p) * t / np.count_nonzero(p <= t) for t in p[p >= one]) for one in p])
