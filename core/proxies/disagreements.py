"""Tokens on which a feature and a proxy disagree."""

import numpy as np
from jaxtyping import Bool, Float, Int

from core.proxies.tables import FeatureProxy


def active_without(pair: FeatureProxy, *, n: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return row and position of active tokens that are no hits: the strongest one of each row, strongest first."""
    places = pair.counted & (pair.act != 0) & ~(pair.value > pair.threshold)
    return _first_of_rows(places, np.abs(pair.act), n, seed=0)


def silent_hits(pair: FeatureProxy, *, n: int, seed: int = 0) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return row and position of hits on which the feature is silent: the largest one of each row, largest first.

    A seeded draw decides ties.
    """
    places = pair.counted & (pair.act == 0) & (pair.value > pair.threshold)
    return _first_of_rows(places, pair.value, n, seed=seed)


def _first_of_rows(
    places: Bool[np.ndarray, "row pos"], size: Float[np.ndarray, "row pos"], n: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the place with the largest size of each row, largest first, at most n of them.

    A seeded draw decides ties; otherwise the first rows would always be shown.
    """
    row, position = np.nonzero(places)
    order = np.random.default_rng(seed).permutation(len(row))
    order = order[np.argsort(-size[row, position][order], kind="stable")]
    kept = order[np.sort(np.unique(row[order], return_index=True)[1])][:n]
    return row[kept], position[kept]
