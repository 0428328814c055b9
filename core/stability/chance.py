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
from core.work.threads import run_blocks

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
    found = np.empty(len(chosen))

    def work(part: slice) -> None:
        squares = (unit_rows(rows[chosen[part]], np.float64) @ moments.axes) ** 2
        chances(squares, moments.values, threshold, found[part])

    run_blocks(work, len(chosen), _ROWS)
    out[chosen] = -np.expm1(moments.n * np.log1p(-np.clip(found, 0, 1 - 1e-16)))
    return out


def chance_threshold(rows: Float[np.ndarray, "n d"], moments: SecondMoments, *, level: float = LEVEL) -> float:
    """Return the smallest cosine that at most a share `level` of the rows reach by chance, up to 1 / 2000.

    The mean of `return_chance` is taken over up to 256 rows, spread evenly over all in the order of `in_own_order`.
    """
    chosen = in_own_order(rows)
    few = rows[chosen[np.linspace(0, len(chosen) - 1, min(_SAMPLE, len(chosen))).round().astype(int)]]
    low, high = 0, _GRID
    while high - low > 1:
        middle = (low + high) // 2
        reached = return_chance(few, moments, middle / _GRID).mean() > level
        low, high = (middle, high) if reached else (low, middle)
    return high / _GRID


def in_own_order(rows: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " directed"]:
    """Return the numbers of the rows with a direction, sorted by their coordinates.

    A sample in this order stays the same if the features of a dictionary are numbered anew.
    """
    chosen = with_direction(rows)
    return chosen[np.lexsort(rows[chosen, : min(3, rows.shape[1])].T[::-1])]
