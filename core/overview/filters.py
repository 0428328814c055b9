"""Filters on a table of features, one for each column. A row must pass all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Range:
    """Keeps numbers from `low` to `high`, both included; None means no limit. `with_empty` keeps rows without one."""

    column: str
    low: float | None = None
    high: float | None = None
    with_empty: bool = False

    def passes(self, values: pd.Series) -> np.ndarray:
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        if self.low is None and self.high is None:
            inside = ~np.isnan(numbers)
        else:
            low = -np.inf if self.low is None else self.low
            high = np.inf if self.high is None else self.high
            inside = (numbers >= low) & (numbers <= high)
        return inside | (np.isnan(numbers) & self.with_empty)

    def describe(self, title: str) -> str:
        """Say the filter in words."""
        borders = (("≥", self.low), ("≤", self.high))
        ends = [f"{sign} {value:.6g}" for sign, value in borders if value is not None]
        return f"{title} {' and '.join(ends) or 'has a value'}{' or none' if self.with_empty else ''}"


@dataclass(frozen=True)
class Words:
    """Keeps texts that contain these characters. Case does not matter; this is no pattern."""

    column: str
    text: str

    def passes(self, values: pd.Series) -> np.ndarray:
        wanted = self.text.casefold()
        return np.array([wanted in ("" if value is None else str(value)).casefold() for value in values], dtype=bool)

    def describe(self, title: str) -> str:
        """Say the filter in words."""
        return f"{title} contains {self.text!r}" if self.text else f"{title}: any"


def filtered(table: pd.DataFrame, filters: Sequence[Range | Words]) -> pd.DataFrame:
    """Return the rows that pass all filters, in their order."""
    passed = np.ones(len(table), bool)
    for one in filters:
        passed &= one.passes(table[one.column])
    return table[passed]
