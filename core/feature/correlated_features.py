"""Correlate one feature with all others over the tokens of a pass, in one reading of its store.

The statistics of the pass hold the sums of each feature's activations and of their squares. The sums of products are
added up here, over the tokens where the one feature is active.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationBlock, ActivationStore, FeatureActivations
from core.work.progress import SILENT, Progress

TOP = 20
LEAST = 10
"""Tokens on which a feature must be active to be listed. Two that fire once, on the same token, correlate at 1."""
CONSTANT = 1e-12
"""Values are constant if their squared deviations add up to less than this share of their squares: it is rounding."""


@dataclass(frozen=True, eq=False)
class CorrelatedFeatures:
    """One feature's activations against those of all features of a dictionary over `n_tokens` tokens, with zeros."""

    correlation: Float[np.ndarray, " d_sae"]
    """Pearson's; NaN for the feature itself, and if either is constant."""
    together: Int[np.ndarray, " d_sae"]
    """Tokens on which both are active."""
    count: Int[np.ndarray, " d_sae"]
    """Tokens on which each feature is active."""
    own_count: int
    """Tokens on which the one feature is active."""
    n_tokens: int

    def table(self, *, top: int = TOP, least: int = LEAST, lowest: bool = False) -> pd.DataFrame:
        """Return the features with the largest (or lowest) correlations; ties: lower feature first.

        Columns: correlated_feature, feature_correlation, together_tokens, together_share, together_lift, density.
        Features active on fewer than `least` tokens are left out. The lowest correlations are only those below 0.
        """
        listed = np.isfinite(self.correlation) & (self.count >= max(1, least))
        if lowest:
            listed &= self.correlation < 0
        chosen = np.flatnonzero(listed)
        sign = 1 if lowest else -1
        chosen = chosen[np.argsort(sign * self.correlation[chosen], kind="stable")][:top]
        together, count = self.together[chosen], self.count[chosen]
        own, n = max(1, self.own_count), self.n_tokens
        return pd.DataFrame(
            {
                "correlated_feature": chosen,
                "feature_correlation": self.correlation[chosen],
                "together_tokens": together,
                "together_share": together / own,
                "together_lift": together * (n / own) / count,
                "density": count / n,
            }
        )

    def beside(self, cosines: Float[np.ndarray, " d_sae"], *, least: int = LEAST) -> pd.DataFrame:
        """Put decoder cosines beside correlations: feature, neighbor_cosine, feature_correlation.

        Features that lack either, or are active on fewer than `least` tokens, are left out.
        """
        both = {"neighbor_cosine": cosines, "feature_correlation": self.correlation}
        table = pd.DataFrame({"feature": np.arange(len(cosines))} | both)
        return table[self.count >= least].dropna(ignore_index=True)


def correlated_features(
    acts: FeatureActivations,
    store: ActivationStore,
    statistics: ActivationStatistics,
    *,
    itself: int | None = None,
    progress: Progress = SILENT,
) -> CorrelatedFeatures:
    """Correlate one feature's activations with all features of a store, over all counted tokens, in float64.

    The feature may be one of that store, or of another dictionary on the same rows. If it is one of the store,
    `itself` is its number, and its own correlation becomes NaN. `statistics` belong to the store. `progress` counts
    blocks. Raises MissingActivationsError.
    """
    n_pos, d_sae = store.rows.shape[1], statistics.count.shape[1]
    tokens, values = acts.row * n_pos + acts.position, acts.act.astype(np.float64)
    product, together = np.zeros(d_sae), np.zeros(d_sae, np.int64)
    for part, block in zip(store.parts, store.blocks(progress), strict=True):
        first, last = np.searchsorted(tokens, [part.start * n_pos, part.stop * n_pos])
        if first < last:
            entries, weights = _entries(block, tokens[first:last] - part.start * n_pos, values[first:last])
            features = block.features[entries]
            product += np.bincount(features, weights * block.acts[entries], minlength=d_sae)
            together += np.bincount(features, minlength=d_sae)
    count, total, square = (getattr(statistics, name).sum(axis=0) for name in ("count", "total", "square"))
    n = statistics.n_tokens()
    corr = correlations(product, (values.sum(), values @ values), (total, square), n)
    if itself is not None:
        corr[itself] = np.nan
    return CorrelatedFeatures(corr, together, count, len(values), n)


def correlations(
    product: Float[np.ndarray, "*shape"],
    one: tuple[float | np.ndarray, float | np.ndarray],
    other: tuple[float | np.ndarray, float | np.ndarray],
    n: int,
) -> Float[np.ndarray, "*shape"]:
    """Return Pearson's correlations from sums over n tokens.

    `product` is the sum of products; `one` and `other` are, for each side, the sum of values and the sum of squares.
    NaN if a side is constant.
    """
    scale = [_scale(total, square, n) for total, square in (one, other)]
    # Multiply by one scale after the other: the product of both may overflow.
    return np.clip((product - one[0] * other[0] / max(n, 1)) * scale[0] * scale[1], -1, 1)


def _scale(total, square, n: int) -> Float[np.ndarray, "*shape"]:
    """Return 1 / root of the sum of squared deviations; NaN if that sum is only rounding."""
    total, square = np.asarray(total, float), np.asarray(square, float)
    spread = square - total**2 / max(n, 1)
    varies = spread > CONSTANT * square
    return np.divide(1, np.sqrt(np.where(varies, spread, 1)), out=np.full(spread.shape, np.nan), where=varies)


def _entries(
    block: ActivationBlock, tokens: Int[np.ndarray, " token"], values: Float[np.ndarray, " token"]
) -> tuple[Int[np.ndarray, " entry"], Float[np.ndarray, " entry"]]:
    """Return the indices of all entries of some tokens of a block, and for each entry the value of its token."""
    stop = block.ends[tokens]
    start = np.where(tokens > 0, block.ends[tokens - 1], 0)
    size = stop - start
    places = np.arange(size.sum()) + np.repeat(start - (size.cumsum() - size), size)
    return places, np.repeat(values, size)
