"""How often a feature would return in a random dictionary with the second moments of a real one, exactly.

The random dictionary has as many directions w as the real one, drawn from N(0, C), where C is the mean of v vᵀ over the
real directions v at length 1. For t > 0, cos(u, w) > t means that w · u > 0 and wᵀ(u uᵀ − t² 1)w > 0. The quadratic
form has one positive eigenvalue μ in units where w is standard normal; call the others −ν. So the chance of one w is
E[Φ(−√(Σ ν z² / μ))] with standard normal z, and by Craig's (1991) integral for Φ it is

    q = 1/π ∫ from 0 to ∞ of Π (1 + ν (1 + x²) / μ)^(−1/2) / (1 + x²) dx.

Of n directions one is over t with p = 1 − (1 − q)^n. If all directions are alike, q is the Beta distribution of
core.maths.random_directions.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.spaces import DictionarySide
from core.errors import DoesNotFitError
from core.maths.degenerate import with_direction
from core.maths.unit_rows import unit_rows
from core.work.artifacts import artifact_key
from core.work.threads import one_thread_per_product, run_blocks

LEVEL = 0.01
"""A cosine counts only if at most this share of a dictionary's features would reach it by chance."""
_SAMPLE = 256
_GRID = 2000
"""Thresholds by chance are multiples of 1 / 2000, so that they do not hang on the last bits of C."""
_ROWS = 1024


@dataclass(frozen=True)
class SecondMoments:
    """The second moments of a dictionary's directions at length 1, about 0: C = Σ values · axis axisᵀ."""

    values: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "d d"]
    """An eigenvector in each column."""
    n: int
    """Directions; those of length 0 are left out."""
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, weights_sha256: str, side: DictionarySide) -> str:
        return artifact_key("second-moments", cls.version, weights=weights_sha256, side=side)


def second_moments(rows: Float[np.ndarray, "n d"]) -> SecondMoments:
    """Return the second moments of directions, in float64.

    Raises DoesNotFitError for directions of width 1, which are only signs, and where no row has a direction.
    """
    chosen, d = with_direction(rows), rows.shape[1]
    if d < 2 or not len(chosen):
        what = "directions of width 1, whose cosines are 1 or −1" if d < 2 else "no feature with a direction"
        raise DoesNotFitError(
            f"This dictionary has {what}, so no cosine can be compared with chance. Expected directions of width 2 or "
            "more; choose another dictionary."
        )
    products = np.zeros((d, d))
    with one_thread_per_product():  # so that the number of processors changes no bit
        for start in range(0, len(chosen), _ROWS):
            unit = unit_rows(rows[chosen[start : start + _ROWS]], np.float64)
            products += unit.T @ unit
        values, axes = np.linalg.eigh(products / len(chosen))
    return SecondMoments(np.where(values > 1e-12, values, 0.0), axes, len(chosen))


def return_chance(rows: Float[np.ndarray, "n d"], moments: SecondMoments, threshold: float) -> Float[np.ndarray, " n"]:
    """Return for each row the chance p that any of the random directions has a cosine over the threshold with it.

    NaN for rows without a direction. The threshold lies between 0 and 1.
    """
    assert 0 < threshold <= 1, threshold
    from core.stability.kernels import chances

    chosen, out = with_direction(rows), np.full(len(rows), np.nan)
    found, least = np.zeros(len(chosen)), _least_variance(moments, threshold)
    root = (moments.axes * np.sqrt(moments.values)).astype(np.float32)

    def work(part: slice) -> None:
        few = rows[chosen[part]]
        variance = np.square(unit_rows(few) @ root).sum(axis=1, dtype=np.float64)
        possible = np.flatnonzero(variance > least)  # float32 only says which chances are 0
        some = np.empty(len(possible))
        chances(_squares(few[possible], moments), moments.values, threshold, some)
        found[part][possible] = some

    run_blocks(work, len(chosen), _ROWS)
    out[chosen] = _of_any(found, moments.n)
    return out


def _least_variance(moments: SecondMoments, threshold: float) -> float:
    """Return a variance u · C u below which the chance of one direction is under exp(NEVER), rounding included.

    By Chernoff's bound with s = 0.9 / (2 u · C u), q is at most 10^(1/2) Π (1 + 0.9 t² λ / (u · C u))^(−1/2).
    """
    from core.stability.kernels import NEVER

    c, low, high = 0.9 * threshold**2 * moments.values, 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        below = 0.5 * (np.log(10) - np.log1p(c / middle).sum()) < NEVER
        low, high = (middle, high) if below else (low, middle)
    return low * (1 - 1e-4)


def chance_threshold(rows: Float[np.ndarray, "n d"], moments: SecondMoments, *, level: float = LEVEL) -> float:
    """Return the smallest cosine that at most a share `level` of the rows reach by chance, up to 1 / 2000.

    The mean of `return_chance` is taken over up to 256 rows, spread evenly over all in the order of `in_own_order`.
    """
    from core.stability.kernels import chances

    chosen = in_own_order(rows)
    few = rows[chosen[np.linspace(0, len(chosen) - 1, min(_SAMPLE, len(chosen))).round().astype(int)]]
    squares, found = _squares(few, moments), np.empty(len(few))
    low, high = 0, _GRID
    while high - low > 1:
        middle = (low + high) // 2
        chances(squares, moments.values, middle / _GRID, found)
        reached = _of_any(found, moments.n).mean() > level
        low, high = (middle, high) if reached else (low, middle)
    return high / _GRID


def _squares(rows: Float[np.ndarray, "n d"], moments: SecondMoments) -> Float[np.ndarray, "n d"]:
    """Return the squared coordinates of rows at length 1 on the eigenvectors of C."""
    return (unit_rows(rows, np.float64) @ moments.axes) ** 2


def _of_any(chance: Float[np.ndarray, " n"], n: int) -> Float[np.ndarray, " n"]:
    """Return the chance of any of n, from that of one."""
    return -np.expm1(n * np.log1p(-np.clip(chance, 0, 1 - 1e-16)))


def in_own_order(rows: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " directed"]:
    """Return the numbers of the rows with a direction, sorted by their coordinates.

    A sample in this order stays the same if the features of a dictionary are numbered anew.
    """
    chosen = with_direction(rows)
    return chosen[np.lexsort(rows[chosen, : min(3, rows.shape[1])].T[::-1])]
