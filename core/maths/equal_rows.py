"""Rows that are equal to the last bit, and products in which they stay equal.

The rounding of a matrix product depends on the kernel, the processor and the column's place in a block, so equal rows
get values up to 1e-7 apart. In a ranking, the processor would then decide ties.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

_ROWS, _COLUMNS = 2**12, 8


@dataclass(frozen=True)
class Copies:
    """Rows that have exactly the bits of an earlier row, ascending."""

    row: Int[np.ndarray, " copy"]
    of: Int[np.ndarray, " copy"]
    """The first row with these bits."""

    def firsts(self, n: int) -> Int[np.ndarray, " n"]:
        """Return for each of n rows the first row with its bits; this may be the row itself."""
        first = np.arange(n)
        first[self.row] = self.of
        return first

    def spread(self, values: Shaped[np.ndarray, "n *rest"]) -> Shaped[np.ndarray, "n *rest"]:
        """Give every copy, in place, the value of the first row with its bits; return the values."""
        values[self.row] = values[self.of]
        return values


def copies(rows: Float[np.ndarray, "n d"]) -> Copies:
    """Find the rows that have exactly the bits of an earlier row."""
    # Most rows differ from all others in their first numbers; only the rest is laid out and compared whole.
    order, equal = _sorted(rows[:, :_COLUMNS])
    suspects = np.union1d(order[1:][equal[1:]], order[:-1][equal[1:]])
    order, equal = _sorted(rows[suspects])
    first = order[np.maximum.accumulate(np.where(equal, 0, np.arange(len(order))))]
    ascending = np.argsort(order[equal])
    return Copies(suspects[order[equal][ascending]], suspects[first[equal][ascending]])


def _sorted(rows: Float[np.ndarray, "n d"]) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Return the order of rows by their bytes, lower rows first, and which equal the one before in this order."""
    rows = np.ascontiguousarray(rows)
    bits = rows.view(f"u{rows.itemsize}")
    order = np.argsort(rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0], kind="stable")
    equal = np.zeros(len(rows), bool)
    for start in range(1, len(rows), _ROWS):
        part = slice(start, min(start + _ROWS, len(rows)))
        equal[part] = (bits[order[part]] == bits[order[start - 1 : part.stop - 1]]).all(axis=1)
    return order, equal


class Ties:
    """Gives copies the value of the first row with their bits, in a product that is computed tile by tile."""

    def __init__(self, copies: Copies):
        self._row = copies.row
        self._first, self._group = np.unique(copies.of, return_inverse=True)
        self.n_groups = len(self._first)
        """Columns that `values` must have room for."""

    def settle(self, x, start: int, values) -> None:
        """Change x (feature, tile), which holds the columns from `start` on. Tiles come in order.

        x and values (feature, group) are arrays, or tensors on one device; values carry from one tile to the next.
        """
        if not self.n_groups:
            return
        ends = start, start + x.shape[1]
        new, old = (slice(*np.searchsorted(places, ends)) for places in (self._first, self._row))
        values[:, new] = x[:, self._first[new] - start]
        x[:, self._row[old] - start] = values[:, self._group[old]]
