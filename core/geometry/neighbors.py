"""Which features point in nearly the same direction: exact nearest neighbours by cosine.

Everything about distances between features reads the one result stored per dictionary and side.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.devices.device import CPU, Device
from core.dictionaries.spaces import DictionarySide
from core.errors import DoesNotFitError
from core.geometry.search import Side, search
from core.work.artifacts import artifact_key
from core.work.jobs import SILENT, Progress

K = 100
"""How many neighbours are stored for each feature, where there are as many."""


@dataclass(frozen=True)
class Neighbors:
    """For every feature the k most similar others, best first."""

    cos: Float[np.ndarray, "d_sae k"]
    """Signed cosines, -1 to 1; NaN for features left out."""
    idx: Int[np.ndarray, "d_sae k"]
    """Features; -1 for features left out."""
    left_out: Int[np.ndarray, " left_out"]
    """Features with a weight that is NaN or infinite: they have no neighbours and are nobody's neighbour."""
    version: ClassVar[int] = 1

    @property
    def k(self) -> int:
        return self.cos.shape[1]

    @classmethod
    def key(cls, weights_sha256: str, side: DictionarySide, k: int) -> str:
        # No block and no workers: they change the cost, never the answer.
        return artifact_key("neighbors", cls.version, weights=weights_sha256, side=side, k=k)


@dataclass(frozen=True)
class Between:
    """For every feature of A the k most similar of B, and the other way round, best first.

    cos is NaN and idx -1 for features with a weight that is NaN or infinite.
    """

    a_in_b_cos: Float[np.ndarray, "d_sae_a k"]
    a_in_b_idx: Int[np.ndarray, "d_sae_a k"]
    b_in_a_cos: Float[np.ndarray, "d_sae_b k"]
    b_in_a_idx: Int[np.ndarray, "d_sae_b k"]
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, a_sha256: str, b_sha256: str, side: DictionarySide, k: int) -> str:
        return artifact_key("between", cls.version, a=a_sha256, b=b_sha256, side=side, k=k)


def nearest_features(
    directions: Float[np.ndarray, "d_sae d"],
    *,
    k: int = K,
    device: Device = CPU,
    progress: Progress = SILENT,
    workers: int | None = None,
    block: int | None = None,
) -> Neighbors:
    """Find for each row the k others with the largest cosine (Bricken et al. 2023), exactly.

    Float32 products select candidates within the rounding error of the k-th; their cosines are then
    summed in float64 and rounded to float32, so that neither values nor order depend on `block` (rows
    per tile), `workers` or `device`. Ties: lower feature first. A zero row has cosine 0 with
    all. Rows that are not finite are left out. Beyond the result it takes d_sae x (4 d + 16 k + 1600)
    bytes. Raises DoesNotFitError unless 0 < k < number of finite rows; `progress` may raise.
    """
    finite = finite_rows(directions)
    n = len(finite)
    if n < 2:
        what = (
            "one feature" if len(directions) == 1 else f"{len(directions):,} features, {n} of them with finite weights"
        )
        raise DoesNotFitError(
            f"This dictionary has {what}: there is no other to be near to. Expected at least 2; choose a wider one."
        )
    if not 0 < k < n:
        raise DoesNotFitError(
            f"The {k} nearest features were asked of {n:,} features; expected a number from 1 to {n - 1:,}. "
            "Choose a smaller number or a wider dictionary."
        )
    rows = Side(only(directions, finite), k)
    _search(rows, rows, device, progress=progress, workers=workers, block=block)
    cos, idx = spread(rows, finite, finite, len(directions))
    return Neighbors(cos, idx, np.setdiff1d(np.arange(len(directions)), finite))


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
    """Find for each row of `a` the k rows of `b` with the largest cosine and the other way round, in one pass.

    By the rules of nearest_features. Raises DoesNotFitError for rows of different width, or unless
    0 < k <= number of finite rows on both sides.
    """
    if a.shape[1] != b.shape[1]:
        raise DoesNotFitError(
            f"Directions of width {a.shape[1]} and of width {b.shape[1]} have no cosine; expected equal widths. "
            "Choose two dictionaries of the same space."
        )
    finite_a, finite_b = finite_rows(a), finite_rows(b)
    n = min(len(finite_a), len(finite_b))
    if not 0 < k <= n:
        raise DoesNotFitError(
            f"The {k} nearest features were asked between {len(finite_a):,} and {len(finite_b):,} features; expected "
            f"a number from 1 to {n:,}. Choose a smaller number or a wider dictionary."
        )
    sides = Side(only(a, finite_a), k), Side(only(b, finite_b), k)
    _search(*sides, device, progress=progress, workers=workers, block=block)
    return Between(*spread(sides[0], finite_a, finite_b, len(a)), *spread(sides[1], finite_b, finite_a, len(b)))


def _search(a: Side, b: Side, device: Device, *, progress: Progress, workers: int | None, block: int | None) -> None:
    if device.runs_kernels:
        from core.geometry.on_device import search_on_device

        search_on_device(a, b, device, progress=progress)
    else:
        search(a, b, progress=progress, workers=workers, block=block)


def finite_rows(rows: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " finite"]:
    """Return the numbers of the rows without NaN and infinity."""
    return np.flatnonzero(np.isfinite(rows).all(axis=1))


def only(rows: Float[np.ndarray, "n d"], chosen: Int[np.ndarray, " chosen"]) -> Float[np.ndarray, "chosen d"]:
    """Return the rows chosen, without a copy where that is all of them."""
    return rows if len(chosen) == len(rows) else rows[chosen]


def spread(
    side: Side, rows: Int[np.ndarray, " finite"], others: Int[np.ndarray, " finite_others"], n: int
) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
    """Return cosines and numbers of all n rows, from those of the finite ones."""
    if len(rows) == n and others[-1] == len(others) - 1:
        return side.cos, side.idx
    cos = np.full((n, side.k), np.nan, np.float32)
    idx = np.full((n, side.k), -1, np.int32)
    cos[rows], idx[rows] = side.cos, others[side.idx]
    return cos, idx
