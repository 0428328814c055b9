"""Two features side by side: the similarity of their directions, activations and attributions.

Definitions after Bricken et al. 2023. The activation similarity of two features is the correlation of their activations
over the same tokens. The attribution of a feature f at token t_j is f(t_j) L(t_j+1), where L are the feature's logit
weights; the attribution similarity is the correlation of attributions.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.activations.store import FeatureActivations
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, check_same_space, directions
from core.matching.pairs import Matching
from core.maths.correlation import pearson
from core.maths.samples import drawn_places

MOST_DRAWN = 4_000
"""Largest number of tokens in a scatter plot."""
Values = Float[np.ndarray, " token"]


def logit_weight_table(a: Float[np.ndarray, " token_a"], b: Float[np.ndarray, " token_b"]) -> pd.DataFrame:
    """Return token, logit_weight_a, logit_weight_b for the tokens of both; one of the two may end with unused ids."""
    n = min(len(a), len(b))
    return pd.DataFrame({"token": np.arange(n), "logit_weight_a": a[:n], "logit_weight_b": b[:n]})


def pair_cosine(a: Dictionary, b: Dictionary, feature_a: int, feature_b: int, side: DictionarySide) -> float | None:
    """Return the cosine of two features' directions, summed in float64; None if either is zero or not finite.

    Raises DoesNotFitError for directions in different spaces.
    """
    check_same_space(a, b, side)
    one, other = (directions(d, side)[i].astype(np.float64) for d, i in ((a, feature_a), (b, feature_b)))
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.clip(one @ other / length, -1, 1)) if 0 < length < np.inf else None


def correlation(x: Values, y: Values, *, n: int | None = None) -> float | None:
    """Return Pearson's correlation (see core.maths.correlation); None if either is constant."""
    value = pearson(x, y, n=n)
    return None if np.isnan(value) else value


@dataclass(frozen=True, eq=False)
class PairActivations:
    """Two features' activations on the same rows of text, at the tokens where at least one is active."""

    rows: Int[np.ndarray, "row pos"]
    row: Int[np.ndarray, " active"]
    position: Int[np.ndarray, " active"]
    a: Float[np.ndarray, " active"]
    b: Float[np.ndarray, " active"]
    """0 where the feature is not active."""

    @property
    def token(self) -> Int[np.ndarray, " active"]:
        return self.rows[self.row, self.position]

    @property
    def correlation(self) -> float | None:
        """Pearson's correlation over all tokens of the rows, zeros included; None if either is constant."""
        return correlation(self.a, self.b, n=self.rows.size)

    @property
    def masked_cosine(self) -> float | None:
        """The larger of two cosines of activations: over the tokens where A's feature is active, and where B's is.

        None if either is never active.
        """
        cosines = [_cosine(self.a[on], self.b[on]) for on in (self.a != 0, self.b != 0)]
        return max(cosines) if self.a.any() and self.b.any() else None

    def attributions(
        self, weights_a: Float[np.ndarray, " d_vocab"], weights_b: Float[np.ndarray, " d_vocab"]
    ) -> tuple[Values, Values]:
        """Return each activation times the feature's logit weight for the next token.

        `weights_a` and `weights_b` are the features' logit weights by token id. The last token of a row has no next
        token and is left out.
        """
        inner = self.position + 1 < self.rows.shape[1]
        following = self.rows[self.row[inner], self.position[inner] + 1]
        return self.a[inner] * weights_a[following], self.b[inner] * weights_b[following]

    def attribution_correlation(
        self, weights_a: Float[np.ndarray, " d_vocab"], weights_b: Float[np.ndarray, " d_vocab"]
    ) -> float | None:
        """Return Pearson's correlation of attributions over all tokens but the last of each row."""
        n = self.rows.shape[0] * (self.rows.shape[1] - 1)
        return correlation(*self.attributions(weights_a, weights_b), n=n)


def pair_activations(rows: Int[np.ndarray, "row pos"], a: FeatureActivations, b: FeatureActivations) -> PairActivations:
    """Put two features' activations on the same rows side by side, in the order of the text."""
    n_pos = rows.shape[1]
    places = [one.row * n_pos + one.position for one in (a, b)]
    where = np.union1d(*places).astype(np.int64)
    acts = []
    for place, one in zip(places, (a, b), strict=True):
        acts.append(np.zeros(len(where)))
        acts[-1][np.searchsorted(where, place)] = one.act
    return PairActivations(rows, *np.divmod(where, n_pos), *acts)


def drawn(table: pd.DataFrame, x: str, y: str, *, most: int = MOST_DRAWN, seed: int = 0) -> pd.DataFrame:
    """Choose at most `most` rows for a scatter plot: half of them farthest out on either axis, the rest at random."""
    if len(table) <= most:
        return table
    values = np.abs(table[[x, y]].to_numpy(dtype=float))
    spread = values.max(axis=0)
    far = (values / np.where(spread > 0, spread, 1)).max(axis=1)
    order = np.argsort(-far, kind="stable")
    return table.iloc[drawn_places(order, whole=most // 2, most=most, seed=seed)]


def partner_rows(matching: Matching, *, least: float) -> Int[np.ndarray, " row"]:
    """Return the row of each feature's partner, -1 without one. A's features are rows from 0, and B's follow.

    Only pairs with a similarity over `least` count.
    """
    partner = np.full(matching.d_sae_a + matching.d_sae_b, -1, np.int64)
    kept = matching.score > least
    a, b = matching.a[kept], matching.b[kept] + matching.d_sae_a
    partner[a], partner[b] = b, a
    return partner


def with_partners(chosen: Bool[np.ndarray, " row"], partner: Int[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
    """Return the chosen rows together with their partners."""
    both = chosen.copy()
    ends = partner[chosen]
    both[ends[ends >= 0]] = True
    return both


def _cosine(x: Values, y: Values) -> float:
    length = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y / length) if length > 0 else 0.0
