"""How often a feature would return in a random dictionary with the second moments of a real one, exactly.

The random dictionary has as many directions w as the real one, drawn from N(0, C), where C is the mean of v vᵀ over the
real directions v at length 1, copies counted once. For t > 0, cos(u, w) > t means that w · u > 0 and
wᵀ(u uᵀ − t² 1)w > 0. The quadratic form has one positive eigenvalue μ in units where w is standard normal; call the
others −ν. So the chance of one w is E[Φ(−√(Σ ν z² / μ))] with standard normal z, and by Craig's (1991) integral for Φ
it is

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
from core.maths.degenerate import degenerate, with_direction
from core.maths.unit_rows import unit_rows
from core.work.artifacts import artifact_key
from core.work.threads import one_thread_per_product, run_all, run_blocks

LEVEL = 0.01
"""A cosine counts only if at most this share of a dictionary's features would reach it by chance."""
_SAMPLE, _EVERY = 256, 8
_GRID = 2000
"""Thresholds by chance are multiples of 1 / 2000, so that they do not hang on the last bits of C."""
_ROWS = 1024
_AT_ONCE = 8
"""Blocks of rows whose products are in memory at once."""


@dataclass(frozen=True)
class SecondMoments:
    """The second moments of a dictionary's directions at length 1, about 0: C = Σ values · axis axisᵀ."""

    values: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "d d"]
    """An eigenvector in each column."""
    n: int
    """Directions; those of length 0 and copies are left out."""
    version: ClassVar[int] = 2

    @classmethod
    def key(cls, weights_sha256: str, side: DictionarySide) -> str:
        return artifact_key("second-moments", cls.version, weights=weights_sha256, side=side)


def second_moments(rows: Float[np.ndarray, "n d"]) -> SecondMoments:
    """Return the second moments of directions, in float64. A copy of an earlier row is no direction of its own.

    Raises DoesNotFitError for directions of width 1, which are only signs, and where no row has a direction.
    """
    chosen, d = np.flatnonzero(degenerate(rows).distinct), rows.shape[1]
    if d < 2 or not len(chosen):
        what = "directions of width 1, whose cosines are 1 or −1" if d < 2 else "no feature with a direction"
        raise DoesNotFitError(
            f"This dictionary has {what}, so no cosine can be compared with chance. Expected directions of width 2 or "
            "more; choose another dictionary."
        )
    products = np.zeros((d, d))

    def product(start: int) -> Float[np.ndarray, "d d"]:
        unit = unit_rows(rows[chosen[start : start + _ROWS]], np.float64)
        return unit.T @ unit

    starts = range(0, len(chosen), _ROWS)
    for first in range(0, len(starts), _AT_ONCE):
        for part in run_all(product, starts[first : first + _AT_ONCE]):
            products += part  # in their order, so that the number of processors changes no bit
    with one_thread_per_product():
        values, axes = np.linalg.eigh(products / len(chosen))
    return SecondMoments(np.where(values > 1e-12, values, 0.0), axes, len(chosen))


def return_chance(rows: Float[np.ndarray, "n d"], moments: SecondMoments, threshold: float) -> Float[np.ndarray, " n"]:
    """Return for each row the chance p that any of the random directions has a cosine over the threshold with it.

    NaN for rows without a direction. The threshold lies between 0 and 1.
    """
    chosen, out = with_direction(rows), np.full(len(rows), np.nan)
    out[chosen] = chance_of(rows, chosen, moments, threshold)
    return out


def chance_of(
    rows: Float[np.ndarray, "n d"], chosen: Int[np.ndarray, " chosen"], moments: SecondMoments, threshold: float
) -> Float[np.ndarray, " chosen"]:
    """Do as `return_chance` does for chosen rows, all of which have a direction."""
    assert 0 < threshold <= 1, threshold
    from core.stability.kernels import chances

    found, may_return = np.zeros(len(chosen)), _Possible(moments, threshold)

    def work(part: slice) -> None:
        few = rows[chosen[part]]
        possible = may_return.of(few)
        some = np.empty(len(possible))
        chances(_squares(few[possible], moments), moments.values, threshold, some)
        found[part][possible] = some

    if may_return.any:
        run_blocks(work, len(chosen), _ROWS)
    return _of_any(found, moments.n)


class _Possible:
    """Tells, by float32 products alone, which rows have a chance that is not 0 (see `_least_variance`)."""

    def __init__(self, moments: SecondMoments, threshold: float):
        self.least = _least_variance(moments, threshold)
        strong = moments.values > self.least / 2
        self.rest = moments.values[~strong].max(initial=0.0)
        self.any = bool(moments.values.max() > self.least)
        self.values, self.axes = moments.values[strong], moments.axes[:, strong].astype(np.float32)
        self.root = (moments.axes * np.sqrt(moments.values)).astype(np.float32)

    def of(self, rows: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " possible"]:
        """Return which rows have a variance u · C u over the least; a bound by the strong axes spares most the sum."""
        unit = unit_rows(rows)
        squares = np.square(unit @ self.axes).astype(np.float64)
        bound = self.rest + squares @ (self.values - self.rest)
        some = np.flatnonzero(bound > self.least * (1 - 1e-5))
        variance = np.square(unit[some] @ self.root).sum(axis=1, dtype=np.float64)
        return some[variance > self.least]


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

    The mean of `return_chance` is taken over the `typical` rows.
    """
    squares = _squares(typical(rows), moments)
    guess = _first_unreached(squares[::_EVERY], moments, level, 0, _GRID)
    low, high, step = guess - 1, guess, 1
    while high < _GRID and _reached(squares, moments, high, level):
        low, high, step = high, min(high + step, _GRID), 2 * step
    step = 1
    while 0 < low < guess and not _reached(squares, moments, low, level):
        low, high, step = max(low - step, 0), low, 2 * step
    return _first_unreached(squares, moments, level, low, high) / _GRID


def _first_unreached(
    squares: Float[np.ndarray, "n d"], moments: SecondMoments, level: float, low: int, high: int
) -> int:
    """Return the first place on the grid over `low` that chance does not reach, if it reaches `low` and not `high`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _reached(squares, moments, middle, level) else (low, middle)
    return high


def _reached(squares: Float[np.ndarray, "n d"], moments: SecondMoments, place: int, level: float) -> bool:
    """Say whether more than a share `level` of rows reach a place of the grid by chance. A few rows often tell."""
    from core.stability.kernels import chances

    found = np.zeros(len(squares))
    for start in range(0, len(squares), _EVERY):
        part = slice(start, start + _EVERY)
        chances(squares[part], moments.values, place / _GRID, found[part])
        found[part] = _of_any(found[part], moments.n)
        if found.mean() > level * (1 + 1e-9):
            return True
    return bool(found.mean() > level)


def typical(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "few d"]:
    """Return up to 256 different rows with a direction, spread evenly over all in the order of `in_own_order`."""
    chosen = in_own_order(rows)
    return rows[chosen[np.linspace(0, len(chosen) - 1, min(_SAMPLE, len(chosen))).round().astype(int)]]


def _squares(rows: Float[np.ndarray, "n d"], moments: SecondMoments) -> Float[np.ndarray, "n d"]:
    """Return the squared coordinates of rows at length 1 on the eigenvectors of C."""
    with one_thread_per_product():
        return (unit_rows(rows, np.float64) @ moments.axes) ** 2


def _of_any(chance: Float[np.ndarray, " n"], n: int) -> Float[np.ndarray, " n"]:
    """Return the chance of any of n, from that of one."""
    return -np.expm1(n * np.log1p(-np.clip(chance, 0, 1 - 1e-16)))


def in_own_order(rows: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " directed"]:
    """Return the numbers of the different rows with a direction, sorted by their coordinates.

    A sample in this order stays the same if the features of a dictionary are numbered anew.
    """
    chosen = np.flatnonzero(degenerate(rows).distinct)
    return chosen[np.lexsort(rows[chosen, : min(3, rows.shape[1])].T[::-1])]
