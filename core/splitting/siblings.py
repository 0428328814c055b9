"""Differences between siblings, which are features of a wider dictionary with one parent, in their logit weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

K = 5


@dataclass(frozen=True)
class Siblings:
    """Logit weights of two or more features with one parent."""

    feature: Int[np.ndarray, " sibling"]
    weights: Float[np.ndarray, "sibling n_tokens"]
    tokens: Int[np.ndarray, " n_tokens"]
    """Token id of each column."""

    def __post_init__(self):
        assert len(self.feature) > 1, "a feature without siblings differs from none"

    @cached_property
    def difference(self) -> Float[np.ndarray, "sibling n_tokens"]:
        """Each sibling's logit weight minus the mean of the other siblings' logit weights, in float64."""
        weights = self.weights.astype(float)
        # L_i - (sum - L_i) / (n - 1)
        n = len(weights)
        return (n * weights - weights.sum(axis=0)) / (n - 1)

    @cached_property
    def correlation(self) -> Float[np.ndarray, "sibling sibling"]:
        """Pearson correlation of logit weights over tokens; NaN if either feature's logit weights are all equal."""
        centred = self.weights - self.weights.mean(axis=1, keepdims=True, dtype=float)
        length = np.linalg.norm(centred, axis=1)
        scale = np.outer(length, length)
        corr = np.divide(centred @ centred.T, scale, out=np.full(scale.shape, np.nan), where=scale > 0)
        return np.clip(corr, -1, 1)

    def distinctive(self, k: int = K) -> Int[np.ndarray, "sibling k"]:
        """Return the columns with each sibling's largest `difference`, largest first; ties: first column first."""
        return np.argsort(-self.difference, axis=1, kind="stable")[:, :k]


def distinctive_table(siblings: Siblings, texts: Sequence[str], *, k: int = K) -> pd.DataFrame:
    """One row per sibling and distinctive token.

    Columns: sibling, sibling_rank, token, token_text, logit_weight, sibling_difference. `texts` are the texts of all
    tokens by id.
    """
    rows = []
    for place, columns in enumerate(siblings.distinctive(k)):
        for rank, column in enumerate(columns, start=1):
            token = int(siblings.tokens[column])
            values = float(siblings.weights[place, column]), float(siblings.difference[place, column])
            rows.append((int(siblings.feature[place]), rank, token, texts[token], *values))
    names = ["sibling", "sibling_rank", "token", "token_text", "logit_weight", "sibling_difference"]
    return pd.DataFrame(rows, columns=names)


def difference_cells(siblings: Siblings, texts: Sequence[str], *, k: int = K) -> pd.DataFrame:
    """Return one row for each sibling and each token that is distinctive for any sibling.

    Columns: sibling, token, token_text, logit_weight, sibling_difference. Each token comes once, in the order of the
    siblings that it is distinctive for.
    """
    columns = list(dict.fromkeys(siblings.distinctive(k).ravel().tolist()))
    tokens = siblings.tokens[columns]
    n, m = len(siblings.feature), len(columns)
    return pd.DataFrame(
        {
            "sibling": np.repeat(siblings.feature, m),
            "token": np.tile(tokens, n),
            "token_text": np.tile(np.array([texts[token] for token in tokens], dtype=object), n),
            "logit_weight": siblings.weights[:, columns].astype(float).ravel(),
            "sibling_difference": siblings.difference[:, columns].ravel(),
        }
    )


def correlation_table(siblings: Siblings) -> pd.DataFrame:
    """One row per ordered pair, also of a feature with itself: sibling, other_sibling, sibling_correlation."""
    n = len(siblings.feature)
    return pd.DataFrame(
        {
            "sibling": np.repeat(siblings.feature, n),
            "other_sibling": np.tile(siblings.feature, n),
            "sibling_correlation": siblings.correlation.ravel(),
        }
    )
