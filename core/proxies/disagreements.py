"""Where a feature and a proxy disagree: tokens to look at."""

import numpy as np
from jaxtyping import Bool, Float, Int

from core.proxies.tables import FeatureProxy


def active_without(pair: FeatureProxy, *, n: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return row and position of the strongest active tokens that are no hits, one per row, strongest first."""
    places = pair.counted & (pair.act != 0) & ~(pair.value > pair.threshold)
    return _first_of_rows(places, np.abs(pair.act), n, seed=0)


def silent_hits(pair: FeatureProxy, *, n: int, seed: int = 0) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return row and position of the surest hits on which the feature is silent, one per row; ties are drawn."""
    places = pair.counted & (pair.act == 0) & (pair.value > pair.threshold)
    return _first_of_rows(places, pair.value, n, seed=seed)


def _first_of_rows(
    places: Bool[np.ndarray, "row pos"], size: Float[np.ndarray, "row pos"], n: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Largest size first; a seeded draw decides ties, so that it is not always the first rows that are shown."""
    row, position = np.nonzero(places)
    order = np.random.default_rng(seed).permutation(len(row))
    order = order[np.argsort(-size[row, position][order], kind="stable")]
    kept = order[np.sort(np.unique(row[order], return_index=True)[1])][:n]
    return row[kept], position[kept]
