"""Features with nearly the same direction: exact nearest neighbours by cosine.

All code about distances between features reads the one result that is stored for each dictionary and side.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.devices.device import CPU, Device
from core.dictionaries.spaces import DictionarySide
from core.errors import DoesNotFitError
from core.geometry.search import Side, search
from core.maths.degenerate import degenerate, with_direction
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

K = 100
"""Neighbours that are stored for each feature; fewer if the dictionary has fewer."""


@dataclass(frozen=True)
class Neighbors:
    """For every feature, the k most similar other features, best first."""

    cos: Float[np.ndarray, "d_sae k"]
    """Signed cosines, -1 to 1; NaN for features left out."""
    idx: Int[np.ndarray, "d_sae k"]
    """Features; -1 for features left out."""
    left_out: Int[np.ndarray, " left_out"]
    """Features without a direction (see core.maths.degenerate), and copies if each direction counts once.

    They have no neighbours and are no neighbours of others.
    """
    version: ClassVar[int] = 2

    @property
    def k(self) -> int:
        return self.cos.shape[1]

    @classmethod
    def key(cls, weights_sha256: str, side: DictionarySide, k: int, *, copies: bool = True) -> str:
        # No block and no workers: they change the cost, never the answer.
        return artifact_key("neighbors", cls.version, weights=weights_sha256, side=side, k=k, copies=copies)


@dataclass(frozen=True)
class Between:
    """For every feature of A, the k most similar features of B, and the reverse; best first.

    cos is NaN and idx -1 for features without a direction (see core.maths.degenerate).
    """

    a_in_b_cos: Float[np.ndarray, "d_sae_a k"]
    a_in_b_idx: Int[np.ndarray, "d_sae_a k"]
    b_in_a_cos: Float[np.ndarray, "d_sae_b k"]
    b_in_a_idx: Int[np.ndarray, "d_sae_b k"]
    version: ClassVar[int] = 2

    @classmethod
    def key(cls, a_sha256: str, b_sha256: str, side: DictionarySide, k: int) -> str:
        return artifact_key("between", cls.version, a=a_sha256, b=b_sha256, side=side, k=k)


def nearest_features(
    directions: Float[np.ndarray, "d_sae d"],
    *,
    k: int = K,
    copies: bool = True,
    device: Device = CPU,
    progress: Progress = SILENT,
    workers: int | None = None,
    block: int | None = None,
) -> Neighbors:
    """Find, for each row, the k other rows with the largest cosine (Bricken et al. 2023), exactly.

    Float32 products select candidates within the rounding error of the k-th. The cosines of these are summed in
    float64 and rounded to float32, so that neither values nor order depend on `block` (rows per tile), `workers` or
    `device`. Ties: lower feature first. Rows without a direction are left out; unless `copies`, so are copies of an
    earlier row. If fewer than k other rows remain, each row gets all of them. Memory beyond the result: d_sae x
    (4 d + 16 k + 1600) bytes. Raises DoesNotFitError unless 0 < k < d_sae and at least 2 rows have a direction;
    `progress` may raise.
    """
    chosen = with_direction(directions) if copies else np.flatnonzero(degenerate(directions).distinct)
    n = len(chosen)
    if n < 2:
        of = "a direction" if copies else "a direction that no other has"
        what = "one feature" if len(directions) == 1 else f"{len(directions):,} features, {n} of them with {of}"
        raise DoesNotFitError(
            f"This dictionary has {what}: there is no other to compare with it. Expected at least 2; choose a wider "
            "one."
        )
    if not 0 < k < len(directions):
        raise DoesNotFitError(
            f"The {k} nearest cannot be found among {len(directions):,} features; expected a number from 1 to "
            f"{len(directions) - 1:,}. Choose a smaller number or a wider dictionary."
        )
    rows = Side(only(directions, chosen), min(k, n - 1))
    _search(rows, rows, device, progress=progress, workers=workers, block=block)
    cos, idx = spread(rows, chosen, chosen, len(directions))
    return Neighbors(cos, idx, np.setdiff1d(np.arange(len(directions)), chosen))


def nearest_between(
    a: Float[np.ndarray, "d_sae_a d_a"],
    b: Float[np.ndarray, "d_sae_b d_b"],
    *,
    k: int,
    device: Device = CPU,
    progress: Progress = SILENT,
    workers: int | None = None,
    block: int | None = None,
) -> Between:
    """Find, for each row of `a`, the k rows of `b` with the largest cosine, and the reverse, in one pass.

    The rules are those of `nearest_features`, with copies. Raises DoesNotFitError if widths differ, if a side has fewer
    than k rows, unless k > 0, or if a side has no row with a direction.
    """
    if a.shape[1] != b.shape[1]:
        raise DoesNotFitError(
            f"Directions of width {a.shape[1]} and of width {b.shape[1]} have no cosine; expected equal widths. "
            "Choose two dictionaries of the same space."
        )
    if not 0 < k <= min(len(a), len(b)):
        raise DoesNotFitError(
            f"The {k} nearest cannot be found between {len(a):,} and {len(b):,} features; expected a number "
            f"from 1 to {min(len(a), len(b)):,}. Choose a smaller number or a wider dictionary."
        )
    chosen_a, chosen_b = with_direction(a), with_direction(b)
    n = min(len(chosen_a), len(chosen_b))
    if not n:
        raise DoesNotFitError(
            f"{len(chosen_a):,} of {len(a):,} and {len(chosen_b):,} of {len(b):,} features have a direction; expected "
            "at least one on both sides. Choose another dictionary."
        )
    sides = Side(only(a, chosen_a), min(k, n)), Side(only(b, chosen_b), min(k, n))
    _search(*sides, device, progress=progress, workers=workers, block=block)
    return Between(*spread(sides[0], chosen_a, chosen_b, len(a)), *spread(sides[1], chosen_b, chosen_a, len(b)))


def _search(a: Side, b: Side, device: Device, *, progress: Progress, workers: int | None, block: int | None) -> None:
    if device.runs_kernels:
        from core.geometry.on_device import search_on_device

        search_on_device(a, b, device, progress=progress)
    else:
        search(a, b, progress=progress, workers=workers, block=block)


def only(rows: Float[np.ndarray, "n d"], chosen: Int[np.ndarray, " chosen"]) -> Float[np.ndarray, "chosen d"]:
    """Return the chosen rows; if these are all rows, without a copy."""
    return rows if len(chosen) == len(rows) else rows[chosen]


def spread(
    side: Side, rows: Int[np.ndarray, " chosen"], others: Int[np.ndarray, " chosen_others"], n: int
) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
    """Return cosines and neighbours of all n rows, from those of the chosen rows; NaN and -1 in the other rows.

    `rows` are the chosen rows of this side, `others` those of the other side.
    """
    if len(rows) == n and others[-1] == len(others) - 1:
        return side.cos, side.idx
    cos = np.full((n, side.k), np.nan, np.float32)
    idx = np.full((n, side.k), -1, np.int32)
    cos[rows], idx[rows] = side.cos, others[side.idx]
    return cos, idx
