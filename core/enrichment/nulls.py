"""p-values of enrichment scores under the null that a set is drawn at random from the vocabulary.

All p-values are log10, as a set of 20,000 tokens can give a p-value of 1e-3000.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from core.work.threads import run_all

SMALL = 30
"""With fewer tokens than this in the set, or outside it, p-values come from draws; otherwise they are asymptotic."""
DRAWS = 100_000
_CHUNK = 2**20
"""Number of tokens that are drawn at a time."""


class EnrichmentNull:
    """The null distribution of the absolute enrichment score for some set sizes.

    Sets of SMALL tokens or more get Kolmogorov-Smirnov's asymptotic p for two samples, with n_e = k(V - k)/V. Smaller
    sets get (1 + draws with at least this score) / (1 + draws), from seeded draws that all sets of one size share;
    p cannot fall below 1 / (1 + draws). A score beyond all draws gets the asymptotic p if that is smaller still. The
    asymptotic p of a small set is too large, which is the safe side.
    """

    def __init__(self, sizes: Int[np.ndarray, " n_sets"], n_tokens: int, *, seed: int, draws: int):
        self._sizes, self._n_tokens, self.seed, self.draws = sizes.astype(np.int64), n_tokens, seed, draws
        # A set and its complement have the same null.
        smaller = np.minimum(self._sizes, n_tokens - self._sizes)
        small = {i: k for i, k in enumerate(smaller.tolist()) if k < SMALL}
        sizes_drawn = sorted(set(small.values()))
        extremes = run_all(lambda k: null_extremes(k, n_tokens, seed=seed, draws=draws), sizes_drawn)
        drawn = dict(zip(sizes_drawn, extremes, strict=True))
        self._drawn = {i: drawn[k] for i, k in small.items()}

    def log10_p(self, extremes: Int[np.ndarray, "feature n_sets"]) -> Float[np.ndarray, "feature n_sets"]:
        """Return log10 p of scores, which are given as the whole numbers |ES| k (V - k)."""
        outside = self._n_tokens - self._sizes
        score = extremes / (self._sizes * outside)
        result = log10_kolmogorov(score * np.sqrt(self._sizes * outside / self._n_tokens))
        for i, drawn in self._drawn.items():
            reached = len(drawn) - np.searchsorted(drawn, extremes[:, i], side="left")
            permuted = np.log10((1 + reached) / (1 + self.draws))
            result[:, i] = np.where(reached > 0, permuted, np.minimum(permuted, result[:, i]))
        return result


@lru_cache(maxsize=SMALL)
def null_extremes(k: int, n_tokens: int, *, seed: int, draws: int) -> Int[np.ndarray, " draw"]:
    """Draw sets of k of the V tokens and return |ES| k (V - k) of each, ascending.

    The draws depend only on seed, k and V, not on other sets. The results for the last SMALL arguments stay in memory,
    with 8 bytes for each draw.
    """
    from core.enrichment.kernels import draw_extremes

    rng = np.random.default_rng([seed, n_tokens, k])
    left = n_tokens - np.arange(k)
    largest = np.empty(draws, np.int64)
    step = max(1, _CHUNK // k)
    for start in range(0, draws, step):
        part = largest[start : start + step]
        picks = (rng.random((len(part), k)) * left).astype(np.int64)
        draw_extremes(picks, n_tokens, part)
    largest.sort()
    largest.flags.writeable = False
    return largest


def log10_kolmogorov(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return log10 of Kolmogorov's Q(x) = 2 sum over m >= 1 of (-1)^(m - 1) exp(-2 m^2 x^2), without underflow."""
    from scipy.special import kolmogorov

    # Beyond x = 10 the second term is under 1e-260 of the first, and Q itself would underflow at 1e-308.
    near = np.log10(kolmogorov(np.minimum(x, 10.0)))
    return np.where(x < 10, near, (np.log(2) - 2 * x**2) / np.log(10))
