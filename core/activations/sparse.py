"""Activations of two dictionaries on the same tokens, from their stores: the input of comparisons by activation.

The dictionaries may belong to different models, as long as a token id means the same
text to both (core.models.search.check_same_tokens).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from core.activations.store import ActivationStore
from core.errors import DoesNotFitError
from core.work.progress import SILENT, Progress

_CONSTANT = 1e-12
"""A spread under this share of the sum of squares is rounding: the feature is constant."""


@dataclass(frozen=True, eq=False)
class SparseActivations:
    """All non-zero activations of a dictionary on some tokens, in both orders; about 16 bytes for each.

    Token t has the entries ends[t - 1] (0 for the first) to ends[t] of `features` and `acts`.
    """

    ends: Int[np.ndarray, " token"]
    features: Int[np.ndarray, " nonzero"]
    acts: Float[np.ndarray, " nonzero"]
    d_sae: int

    @property
    def n_tokens(self) -> int:
        return len(self.ends)

    @cached_property
    def count(self) -> Int[np.ndarray, " d_sae"]:
        """Tokens on which each feature is active."""
        return np.bincount(self.features, minlength=self.d_sae)

    @property
    def by_token(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.ends, self.features, self.acts

    @cached_property
    def by_feature(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each feature's entries end, their tokens, ascending, and activations."""
        from core.activations.pair_kernels import by_feature

        feature_ends = self.count.cumsum()
        tokens, values = np.empty(len(self.acts), np.int32), np.empty(len(self.acts), np.float32)
        by_feature(*self.by_token, feature_ends - self.count, tokens, values)
        return feature_ends, tokens, values

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Each feature's mean over all tokens and the sum of squared deviations from it, in float64."""
        from core.activations.pair_kernels import moments

        feature_ends, _, values = self.by_feature
        mean, spread = np.empty(self.d_sae), np.empty(self.d_sae)
        moments(feature_ends, values, self.n_tokens, mean, spread)
        return mean, spread

    @cached_property
    def square(self) -> Float[np.ndarray, " d_sae"]:
        """Sum of squared activations."""
        mean, spread = self.moments
        return spread + self.n_tokens * mean**2

    def kept(self, least: int) -> Bool[np.ndarray, " d_sae"]:
        """Which features are active on at least `least` tokens, and not equally on all."""
        return (self.count >= max(1, least)) & (self.moments[1] > _CONSTANT * self.square)

    def inverse(self, least: int) -> Float[np.ndarray, " d_sae"]:
        """Return 1 / root of the sum of squared deviations, NaN for features that are not kept."""
        kept = self.kept(least)
        return np.divide(1, np.sqrt(self.moments[1]), out=np.full(self.d_sae, np.nan), where=kept)


def check_shared_rows(a: ActivationStore, b: ActivationStore, *, with_first: bool = True) -> None:
    """Raise DoesNotFitError unless two stores hold the same rows of token ids, and some tokens remain of them."""
    if a.rows.shape != b.rows.shape or (a.rows != b.rows).any():
        raise DoesNotFitError(
            f"Activations on rows of shape {a.rows.shape} and {b.rows.shape} are not on the same tokens. Expected a "
            "token pass of both dictionaries on one text; run it again for both."
        )
    if len(a.rows) * (a.rows.shape[1] - (not with_first)) < 2:
        raise DoesNotFitError(
            f"Rows of shape {a.rows.shape} leave fewer than 2 tokens to correlate"
            f"{'' if with_first else ' after position 0'}. Choose a longer text."
        )


def read_activations(
    store: ActivationStore,
    d_sae: int,
    *,
    with_first: bool = True,
    only: Bool[np.ndarray, "row pos"] | None = None,
    progress: Progress = SILENT,
) -> SparseActivations:
    """Read a store's counted tokens, without position 0 of each row if asked; of these the tokens in `only`.

    Raises MissingActivationsError.
    """
    counts, features, acts = [], [], []
    for part, block in zip(store.parts, store.blocks(progress), strict=True):
        count = np.diff(block.ends, prepend=0)
        keep = (with_first | (np.arange(len(count)) % block.n_pos > 0)) & block.counted.ravel()
        if only is not None:
            keep &= only[part].ravel()
        entries = np.repeat(keep, count)
        counts.append(count[keep])
        features.append(block.features[entries])
        acts.append(block.acts[entries])
    ends = np.concatenate(counts).cumsum().astype(np.int64)
    return SparseActivations(
        ends, np.concatenate(features).astype(np.int32), np.concatenate(acts).astype(np.float32), d_sae
    )
