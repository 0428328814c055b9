"""Colours of a feature map: one number from 0 to 255 for each point, and the text of the legend.

The browser takes the colours from the theme, so a change of theme needs no new data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MISSING = 255
"""The index of points without a value: grey."""
LEVELS = 255
GROUP_COLOURS = 9
"""The size of the theme's categorical palette without its grey. With more groups, colours repeat."""
_TAIL = 0.01
"""The share of values at each end that take the last colour, so that outliers do not hide other differences."""


@dataclass(frozen=True)
class MapColours:
    """Colours of n points."""

    index: np.ndarray
    """uint8 [n]: a step of the ramp, or a group modulo GROUP_COLOURS; MISSING for none."""
    title: str
    ramp: tuple[str, str] | None = None
    """For numbers, the text at the low and the high end of the legend."""
    log: bool = False
    groups: tuple[str, ...] = ()
    """For groups, their names. The legend lists up to twelve names."""
    values: np.ndarray | None = None
    """float32 [n]: what the tooltip shows: the value of a number, or the group's position in `groups`."""

    def __post_init__(self):
        assert self.index.dtype == np.uint8
        assert (self.ramp is None) != (not self.groups), "either a ramp or groups"
        assert self.values is None or len(self.values) == len(self.index)

    @property
    def missing(self) -> int:
        return int((self.index == MISSING).sum())


def by_value(values: np.ndarray, title: str, *, log: bool = False) -> MapColours:
    """Colour numbers along the ramp from their 1st to their 99th percentile. NaN and infinities count as missing.

    The ramp is logarithmic if that range is above 0 and its ends differ by a factor of 100 or more. With `log` a factor
    of 10 is enough, and percentiles count numbers above 0 only; other numbers take the first colour.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return MapColours(np.full(len(values), MISSING, np.uint8), title, ("no value", "no value"))
    smallest, largest = values[finite].min(), values[finite].max()
    counted = values[finite & (values > 0)] if log and largest > 0 else values[finite]
    low, high = np.quantile(counted, [_TAIL, 1 - _TAIL], method="nearest")
    log = bool(low > 0 and high >= (10 if log else 100) * low)
    scale = np.log if log else lambda x: x
    inner = scale(np.clip(values[finite], low, high))
    share = (inner - scale(low)) / max(scale(high) - scale(low), 1e-300)
    index = np.full(len(values), MISSING, np.uint8)
    index[finite] = np.minimum(share * LEVELS, LEVELS - 1).astype(np.uint8)
    ends = (f"{'≤ ' if smallest < low else ''}{low:.3g}", f"{'≥ ' if largest > high else ''}{high:.3g}")
    return MapColours(index, title, ends, log, values=values.astype(np.float32))


def by_group(codes: np.ndarray, names: Sequence[str], title: str) -> MapColours:
    """Colour groups; `codes` are positions in `names`, and negative codes are in no group."""
    codes = np.asarray(codes)
    index = np.where(codes < 0, MISSING, codes % GROUP_COLOURS).astype(np.uint8)
    values = np.where(codes < 0, np.nan, codes).astype(np.float32)
    return MapColours(index, title, groups=tuple(names) or ("none",), values=values)
