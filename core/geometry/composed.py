"""Features that are the sum of two others: does d_i + d_j point where d_k does?

After the example of composed features in Drori 2024: a dictionary may hold f1, f2 and, for the inputs
where both are active, a feature of its own for f1 + f2.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from core.dictionaries.spaces import DictionarySide
from core.geometry.neighbors import Neighbors
from core.maths.unit_rows import inverse_lengths
from core.work.artifacts import artifact_key
from core.work.jobs import SILENT, Progress
from core.work.threads import run_blocks

MOST_NEIGHBORS = 20
"""The pair is sought among so many nearest neighbours: a sum that is near is made of what is near."""
_BLOCK = 64
_OPPOSITE = 1e-8
"""Square of the length of a sum of two directions: below, it is rounding, and they have no sum."""
_ROUNDING = 1e-6
"""A sum is nearer than the nearest feature by more than this: a feature and its exact copy are no sum."""


@dataclass(frozen=True)
class Composed:
    """For every feature k the best pair i, j of its nearest neighbours, by the cosine of d_k with d_i + d_j.

    Directions count at length 1. Where no sum is nearer than the nearest feature alone, and for features
    left out, the ids are -1 and the cosine NaN.
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
    """Find the best pair among each feature's `n_neighbors` nearest (fewer where fewer are known).

    cos(d_k, d_i + d_j) = (c_ki + c_kj) / |d_i + d_j|, so one small product for each feature is enough.
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
        better = best > nearest + _ROUNDING  # never so for NaN
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

    The sum of nearly opposite directions is short: what float32 loses of its length would be more than all of it.
    """
    exact = rows.astype(np.float64)
    return exact @ exact.transpose(0, 2, 1) * scale[:, :, None] * scale[:, None, :]


def _best_pairs(
    cosines: Float[np.ndarray, "feature m_plus_1 m_plus_1"], known: Bool[np.ndarray, "feature m"]
) -> tuple[Int[np.ndarray, " feature"], Int[np.ndarray, " feature"], Float[np.ndarray, " feature"]]:
    """Return places i < j of the best pair of each feature's neighbours, which follow itself, and its cosine."""
    cos, between = np.where(known, cosines[:, 0, 1:], np.nan), cosines[:, 1:, 1:]
    lengths = 2 + 2 * between
    sums = cos[:, :, None] + cos[:, None, :]
    pairs = np.divide(sums, np.sqrt(np.maximum(lengths, 0)), out=np.full_like(sums, -1), where=lengths > _OPPOSITE)
    pairs[:, *np.tril_indices(cos.shape[1])] = -1  # i < j: once each
    # Rounded before the best is taken: pairs of equal rows tie.
    pairs = np.clip(pairs, -1, 1).astype(np.float32).reshape(len(cos), -1)
    best = np.where(np.isnan(pairs), -1, pairs).argmax(axis=1)
    i, j = np.divmod(best, cos.shape[1])
    return i, j, pairs[np.arange(len(cos)), best]
