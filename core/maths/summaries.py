"""Summaries of many values for charts."""

import numpy as np
from jaxtyping import Float


def box(values: Float[np.ndarray, " n"]) -> tuple[float, float, float, float, float, int, int]:
    """Return low whisker, quartiles, high whisker (Tukey 1977), number of values and of those outside."""
    if not len(values):
        return (np.nan,) * 5 + (0, 0)
    q1, median, q3 = np.percentile(values, (25, 50, 75)).tolist()
    reach = 1.5 * (q3 - q1)
    inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
    return inside.min().item(), q1, median, q3, inside.max().item(), len(values), len(values) - len(inside)
