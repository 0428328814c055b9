"""Scales vectors to length 1: one rule for lengths, zero vectors and damaged vectors."""

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike


def inverse_lengths(rows: Float[np.ndarray, "*batch d"]) -> Float[np.ndarray, "*batch"]:
    """Return 1 / length of each vector, in float64 from squares summed in float64.

    It is 0 for a zero vector, and NaN for one that holds NaN or infinity or whose length overflows float64.
    """
    length = np.sqrt(np.einsum("...i,...i->...", rows, rows, dtype=np.float64))
    scale = np.divide(1, length, out=np.zeros(length.shape), where=length > 0)
    return np.where(np.isfinite(length), scale, np.nan)


def unit_rows(rows: Float[np.ndarray, "*batch d"], dtype: DTypeLike = np.float32) -> Float[np.ndarray, "*batch d"]:
    """Return the vectors at length 1: times `inverse_lengths` in float64, then rounded once to `dtype`.

    A zero vector stays zero. One that holds NaN or infinity, or whose length overflows float64, becomes NaN throughout.
    """
    scale = inverse_lengths(rows)[..., None]
    return np.multiply(rows, scale, out=np.empty(rows.shape, dtype), casting="same_kind")
