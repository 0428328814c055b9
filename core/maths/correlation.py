"""Pearson's correlation, of lists and of lists that are mostly 0."""

import numpy as np
from jaxtyping import Float


def pearson(x: Float[np.ndarray, " listed"], y: Float[np.ndarray, " listed"], *, n: int | None = None) -> float:
    """Return the correlation of two lists of numbers, summed in float64; NaN where one is constant.

    With `n`, the lists hold some of n pairs of numbers, and the pairs not listed are 0 and 0.
    """
    zeros = 0 if n is None else n - len(x)
    if _constant(x, zeros) or _constant(y, zeros):
        return float("nan")
    means = [values.sum(dtype=np.float64) / (len(x) + zeros) for values in (x, y)]
    a, b = (values.astype(np.float64) - mean for values, mean in zip((x, y), means, strict=True))
    covariance = (a * b).sum() + zeros * means[0] * means[1]
    squares = [(a * a).sum() + zeros * means[0] ** 2, (b * b).sum() + zeros * means[1] ** 2]
    length = np.sqrt(squares[0]) * np.sqrt(squares[1])
    return float(np.clip(covariance / length, -1, 1)) if length > 0 else float("nan")


def _constant(values: Float[np.ndarray, " listed"], zeros: int) -> bool:
    values = np.append(values, 0) if zeros else values
    return not len(values) or bool(values.min() == values.max())
