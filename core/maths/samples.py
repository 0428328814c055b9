"""Chooses the points that a chart draws: the most important ones and a seeded sample, or every n-th."""

import numpy as np
import pandas as pd
from jaxtyping import Int


def drawn_places(order: Int[np.ndarray, " n"], *, whole: int, most: int, seed: int = 0) -> Int[np.ndarray, " drawn"]:
    """Choose at most `most` of some places, ascending: the first `whole` in order, and a sample of the others.

    If `whole` is larger than `most`, a sample of the first `whole` is chosen.
    """
    if len(order) <= most:
        return np.sort(order)
    order, whole = (order, whole) if whole <= most else (order[:whole], 0)
    sample = np.random.default_rng(seed).choice(order[whole:], most - whole, replace=False)
    return np.sort(np.concatenate([order[:whole], sample]))


def drawn(table: pd.DataFrame, column: str, *, most: int = 4000, seed: int = 0) -> pd.DataFrame:
    """Choose at most `most` rows for a scatter: a tenth are the largest in a column, the others a sample."""
    if len(table) <= most:
        return table
    order = table[column].to_numpy().argsort(kind="stable")[::-1]
    return table.iloc[drawn_places(order, whole=most // 10, most=most, seed=seed)]


def evenly(n: int, most: int) -> Int[np.ndarray, " kept"]:
    """Return all of n places in order, or `most` of them spread evenly from the first to the last."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).round().astype(np.int64)
