"""Features that are the sum of two others: does d_i + d_j have the direction of d_k?

After the example of composed features in Drori 2024: a dictionary may have features f1 and f2, and a third one for
inputs in which both are active.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from core.dictionaries.spaces import DictionarySide
from core.geometry.neighbors import Neighbors
from core.maths.unit_rows import inverse_lengths
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress
from core.work.threads import run_blocks

MOST_NEIGHBORS = 20
"""Number of nearest neighbours among which the pair is searched, as the parts of a near sum are near themselves."""
_BLOCK = 64
_OPPOSITE = 1e-8
"""A sum of two directions with a squared length below this is only rounding."""
_ROUNDING = 1e-6
"""A sum must be nearer than the nearest feature by more than this, so that an exact copy does not count as a sum."""


@dataclass(frozen=True)
class Composed:
    """For every feature k, the best pair i, j of its nearest neighbours by the cosine of d_k with d_i + d_j.

    All directions are scaled to length 1. If no sum is nearer than the nearest single feature, or the feature is left
    out, the features are -1 and the cosine is NaN.
    """

    first: Int[np.ndarray, " d_sae"]
    """The nearer one of the pair."""
    second: Int[np.ndarray, " d_sae"]
    cosine: Float[np.ndarray, " d_sae"]
    n_neighbors: int
    version: ClassVar[int] = 3

    @classmethod
    def key(cls, weights_sha256: str, side: DictionarySide, n_neighbors: int) -> str:
        return artifact_key("composed", cls.version, weights=weights_sha256, side=side, n_neighbors=n_neighbors)


def composed_features(
    directions: Float[np.ndarray, "d_sae d"],
    neighbors: Neighbors,
    *,
    n_neighbors: int = MOST_NEIGHBORS,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> Composed:
    """Find the best pair among each feature's `n_neighbors` nearest, or among all of `neighbors` if these are fewer.

    With cosines c, cos(d_k, d_i + d_j) = (c_ki + c_kj) / |d_i + d_j|, so that each feature needs one small product.
    Ties: the pair of nearer neighbours. `progress.update` counts features and may raise.
    """
    m, d_sae = min(n_neighbors, neighbors.k), len(directions)
    first, second = np.full(d_sae, -1, np.int32), np.full(d_sae, -1, np.int32)
    cosine, scale = np.full(d_sae, np.nan, np.float32), np.nan_to_num(inverse_lengths(directions))

    def work(features: slice) -> None:
        idx, nearest = neighbors.idx[features, :m], neighbors.cos[features, 0]
        places = np.concatenate([np.arange(d_sae)[features, None], idx], axis=1)
        rows = directions[places]
        rows[scale[places] == 0] = 0  # infinity times 0 would be NaN
        i, j, best = _best_pairs(_cosines(rows, scale[places]), idx >= 0)
        better = best > nearest + _ROUNDING  # False for NaN
        at = np.arange(len(idx))
        first[features] = np.where(better, idx[at, i], -1)
        second[features] = np.where(better, idx[at, j], -1)
        cosine[features] = np.where(better, best, np.nan)

    run_blocks(work, d_sae, _BLOCK, workers=workers, progress=progress)
    return Composed(first, second, cosine, m)


def _cosines(
    rows: Float[np.ndarray, "feature m d"], scale: Float[np.ndarray, "feature m"]
) -> Float[np.ndarray, "feature m m"]:
    """Return the cosines of all pairs of each feature's rows, in float64.

    Float32 would not do: the sum of nearly opposite directions is shorter than the rounding error of its length.
    """
    exact = rows.astype(np.float64)
    return exact @ exact.transpose(0, 2, 1) * scale[:, :, None] * scale[:, None, :]


def _best_pairs(
    cosines: Float[np.ndarray, "feature m_plus_1 m_plus_1"], known: Bool[np.ndarray, "feature m"]
) -> tuple[Int[np.ndarray, " feature"], Int[np.ndarray, " feature"], Float[np.ndarray, " feature"]]:
    """Return the places i < j of the best pair among each feature's neighbours, and the cosine of its sum.

    In `cosines`, the feature itself comes first, then its neighbours.
    """
    cos, between = np.where(known, cosines[:, 0, 1:], np.nan), cosines[:, 1:, 1:]
    lengths = 2 + 2 * between
    sums = cos[:, :, None] + cos[:, None, :]
    pairs = np.divide(sums, np.sqrt(np.maximum(lengths, 0)), out=np.full_like(sums, -1), where=lengths > _OPPOSITE)
    pairs[:, *np.tril_indices(cos.shape[1])] = -1  # keep i < j, so that each pair counts once
    # Round before choosing the best, so that pairs of equal rows tie.
    pairs = np.clip(pairs, -1, 1).astype(np.float32).reshape(len(cos), -1)
    best = np.where(np.isnan(pairs), -1, pairs).argmax(axis=1)
    i, j = np.divmod(best, cos.shape[1])
    return i, j, pairs[np.arange(len(cos)), best]
