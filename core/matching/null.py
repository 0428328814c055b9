"""How much two dictionaries would share by chance, and how much one shares with itself.

There are two nulls. Random directions are known in closed form. Shuffling the coordinates of B keeps its lengths, the
values in every direction and all cosines among its own features; only the relation to A is lost. The control is
Cho's (2025): each feature against the other features of its own dictionary.
"""

import numpy as np
from jaxtyping import Float

from core.dictionaries.spaces import DictionarySide
from core.geometry.neighbors import nearest_features
from core.matching.comparison import Weights
from core.maths.random_directions import RandomDirections
from core.work.progress import SILENT, Progress

SEED = 0


def random_nearest(n_others: int, d: int) -> RandomDirections:
    """Return the distribution of the r-th largest cosine of a direction with n_others random ones in d dimensions.

    Raises DoesNotFitError for d = 1, where directions are only signs.
    """
    return RandomDirections(n_others + 1, d)


def random_ratio(n_others: int, d: int, thresholds: Float[np.ndarray, " threshold"]) -> Float[np.ndarray, " threshold"]:
    """Return, for each threshold, the chance that any of n_others random directions has a larger cosine."""
    # 1 - (1 - p)^n, written so that it stays accurate for tiny p.
    return -np.expm1(n_others * np.log1p(-np.minimum(random_nearest(n_others, d).above(thresholds), 1 - 1e-16)))


def shuffled(weights: Weights, *, seed: int = SEED) -> Weights:
    """Return the weights with their coordinates in a random order, the same for all features.

    Decoder and encoder get the same order if their widths are equal.
    """
    orders = {d: np.random.default_rng([seed, d]).permutation(d) for d in (weights.d_out, weights.d_in)}
    decoder, encoder = (np.ascontiguousarray(w[:, orders[w.shape[1]]]) for w in (weights.decoder, weights.encoder))
    return Weights(decoder, encoder)


def own_nearest(weights: Weights, side: DictionarySide, *, progress: Progress = SILENT) -> Float[np.ndarray, " d_sae"]:
    """Return each feature's largest cosine with any other feature of its dictionary.

    NaN for a feature that matches leave out too, as it has no direction on one of both sides. Raises what
    `nearest_features` raises, for example for a single feature.
    """
    return nearest_features(weights.side(side), k=1, progress=progress).cos[:, 0]
