"""The measures of a token pass: one number for each token and measure, and one bin for each activation."""

from enum import IntEnum


class Measure(IntEnum):
    """Rows of numbers of a token. x is what the hook gives, x_hat its reconstruction, f the activations."""

    ERROR = 0
    """|x - x_hat|^2."""
    SQUARE = 1
    """|x|^2."""
    SQUARE_HAT = 2
    """|x_hat|^2."""
    DOT = 3
    """x . x_hat."""
    SPREAD = 4
    """|x - b_dec|^2."""
    L2 = 5
    """|x - x_hat|."""
    L2_RANDOM = 6
    """sqrt(|x|^2 + |x_hat|^2): the error of a vector as long as x_hat in a random direction."""
    NORM = 7
    """|x|."""
    NORM_HAT = 8
    """|x_hat|."""
    COSINE = 9
    """Of x and x_hat; 0 where one of them is."""
    L2_RATIO = 10
    """|x_hat| / |x|; 0 where x is."""
    L0 = 11
    """Number of f that are not 0."""
    L1 = 12
    """Sum of |f|."""


OF_X_HAT = (
    *(Measure.ERROR, Measure.SQUARE_HAT, Measure.DOT, Measure.L2),
    *(Measure.L2_RANDOM, Measure.NORM_HAT, Measure.COSINE, Measure.L2_RATIO),
)
"""Measures without meaning for a dictionary that has no output to reconstruct."""

MEASURES = tuple(measure.name.lower() for measure in Measure)
"""Their names in tables."""

LARGEST = 2**22
"""The largest activation or length, so that sums of many fit into integers."""

N_BINS, LOWEST_EXPONENT = 64, -16
"""Bin b of a histogram holds 2^(b / 2 - 16) <= |f| < 2^((b + 1) / 2 - 16)."""
