"""How the model encodes position: the geometry of W_pos, and how features relate to it.

The learned position vectors of GPT-2 lie on a helix (Chughtai & Lau 2024, figure 1); decoder rows of
positional features lie along it. This needs weights only. A row of length zero has no direction, and no cosine
with any row.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.errors import DoesNotFitError
from core.maths.degenerate import with_direction
from core.maths.principal_axes import fix_signs
from core.maths.unit_rows import unit_rows
from core.work.artifacts import artifact_key
from core.work.threads import run_blocks


@dataclass(frozen=True)
class PositionPCA:
    """Principal axes of the position vectors `first` to `last - 1`."""

    components: Float[np.ndarray, "k d_model"]
    """Orthonormal axes, greatest variance first."""
    mean: Float[np.ndarray, " d_model"]
    coordinates: Float[np.ndarray, "row k"]
    """Row r is position `first + r`, measured from the mean."""
    explained: Float[np.ndarray, " rank"]
    """Share of the total variance along every axis, including axes that are not kept; all 0 if nothing varies."""
    first: int
    last: int
    unit_norm: bool
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, model_sha256: str, *, first: int, last: int, unit_norm: bool, n_components: int) -> str:
        return artifact_key(
            "position-pca",
            cls.version,
            model=model_sha256,
            first=first,
            last=last,
            unit_norm=unit_norm,
            n_components=n_components,
        )


@dataclass(frozen=True)
class Nearest:
    """For every vector of one set, the most similar one of another. Ties: lowest index."""

    cosine: Float[np.ndarray, " n"]
    index: Int[np.ndarray, " n"]
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, weights_sha256: str, model_sha256: str, *, of: str, to: str, context: int) -> str:
        """Name a result by its two sets, such as of='decoder', to='position'."""
        return artifact_key(
            "nearest", cls.version, weights=weights_sha256, model=model_sha256, of=of, to=to, context=context
        )


def position_pca(
    W_pos: Float[np.ndarray, "n_ctx d_model"],
    *,
    first: int = 1,
    last: int,
    unit_norm: bool = True,
    n_components: int = 3,
) -> PositionPCA:
    """Find the principal axes of rows `first` to `last - 1` of W_pos.

    Chughtai & Lau take rows 1 to 127: position 0 lies far off, and the dictionary never saw positions
    past its context. Rows are scaled to length 1 first unless `unit_norm` is off. Signs are fixed: the
    largest entry of each axis, by absolute value, is positive.
    Raises DoesNotFitError where there are fewer rows or dimensions than the components need.
    """
    n_ctx, d_model = W_pos.shape
    most = min(last - first - 1, d_model)
    if not 0 <= first < last <= n_ctx or not 1 <= n_components <= most:
        raise DoesNotFitError(
            f"{n_components} principal axes of positions {first} to {last - 1} do not exist in W_pos of shape "
            f"({n_ctx}, {d_model}). Expected positions within 0 to {n_ctx - 1}, more of them than axes, and "
            f"1 to {d_model} axes. Choose a longer range or fewer axes."
        )
    rows = W_pos[first:last].astype(np.float64)
    rows = unit_rows(rows, rows.dtype) if unit_norm else rows
    mean = rows.mean(axis=0)
    _, scales, axes = np.linalg.svd(rows - mean, full_matrices=False)
    variance = scales**2
    # Equal rows leave rounding errors about their mean.
    varies = variance.sum() > 1e-20 * (rows**2).sum()
    explained = variance / variance.sum() if varies else np.zeros_like(variance)
    kept = fix_signs(axes[:n_components])
    return PositionPCA(kept, mean, (rows - mean) @ kept.T, explained, first, last, unit_norm)


def project(pca: PositionPCA, rows: Float[np.ndarray, "n d_model"]) -> Float[np.ndarray, "n k"]:
    """Return coordinates of vectors (decoder or encoder rows) in the positions' axes.

    They are scaled to length 1 if the positions were, and measured from the positions' mean, so that
    a feature that writes exactly W_pos[p] lands on the dot of p.
    """
    rows = rows.astype(np.float64)
    return ((unit_rows(rows, rows.dtype) if pca.unit_norm else rows) - pca.mean) @ pca.components.T


def cosine_to_positions(
    rows: Float[np.ndarray, "n d_model"], W_pos: Float[np.ndarray, "n_pos d_model"]
) -> Float[np.ndarray, "n n_pos"]:
    """Return cos(row, W_pos[p]), in [-1, 1], for chosen rows and all positions; NaN where one has no direction."""
    unit, positions = (np.where(part.any(axis=1, keepdims=True), part, np.nan) for part in (rows, W_pos))
    return np.clip(unit_rows(unit, rows.dtype) @ unit_rows(positions, W_pos.dtype).T, -1, 1)


def position_self_similarity(W_pos: Float[np.ndarray, "n_pos d_model"]) -> Float[np.ndarray, "n_pos n_pos"]:
    """Return cos(W_pos[p], W_pos[q]) for all pairs of positions."""
    return cosine_to_positions(W_pos, W_pos)


def nearest_position(
    rows: Float[np.ndarray, "n d_model"], W_pos: Float[np.ndarray, "n_pos d_model"], *, block: int = 1024
) -> Nearest:
    """Return for every row the largest signed cosine with a position, and that position.

    NaN and -1 for a row without a direction; a position without one is nobody's (see core.maths.degenerate). Cosines
    are summed in float64 and rounded to float32, so that equal positions tie. Pass `W_pos[:C]` for the positions of a
    training context. Peak memory is about block * (2 n_pos + d_model) float64 for each worker.
    """
    cosine, index = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.int64)
    known = with_direction(W_pos)
    positions = unit_rows(W_pos[known], np.float64)

    def work(part: slice) -> None:
        similar = np.clip(unit_rows(rows[part], np.float64) @ positions.T, -1, 1).astype(np.float32)
        index[part], cosine[part] = known[similar.argmax(axis=1)], similar.max(axis=1)

    if len(known):
        run_blocks(work, len(rows), block)
    nowhere = np.setdiff1d(np.arange(len(rows)), with_direction(rows)) if len(known) else np.arange(len(rows))
    cosine[nowhere], index[nowhere] = np.nan, -1
    return Nearest(cosine, index)
