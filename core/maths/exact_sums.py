"""Sums whose bits do not depend on the order of adding."""

import numpy as np
from jaxtyping import Float

FRACTION_BITS = 40
"""Sums are kept in whole units and units of 2^-40."""


class ExactSum:
    """Sums of float64 numbers, each rounded to a multiple of 2^-40 and then added without error.

    A float32 of at least 2^-17, and the square of a float32 of at least 16, lose nothing. Others lose at most 2^-41.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.whole = np.zeros(shape, np.int64)
        self.part = np.zeros(shape, np.int64)
        """In units of 2^-40; from 0 to 1 after `carry`."""

    def add(self, values: Float[np.ndarray, "*shape"]) -> None:
        whole = np.floor(values)
        self.whole += whole.astype(np.int64)
        self.part += np.rint((values - whole) * 2.0**FRACTION_BITS).astype(np.int64)
        self.carry()

    def carry(self) -> None:
        """Move whole units out of `part`, so that equal sums have equal parts."""
        units = self.part >> FRACTION_BITS
        self.whole += units
        self.part -= units << FRACTION_BITS

    def merge(self, other: "ExactSum") -> None:
        self.whole += other.whole
        self.part += other.part
        self.carry()

    @property
    def value(self) -> Float[np.ndarray, "*shape"]:
        return self.whole + self.part * 2.0**-FRACTION_BITS
