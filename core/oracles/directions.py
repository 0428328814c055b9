"""Directions at length 1, and which of them count: those that are finite, not zero, and no copy of an earlier one."""

import numpy as np


def unit(row: np.ndarray) -> np.ndarray:
    """Return a row at length 1 in float64; NaN for a row without a direction."""
    exact = np.asarray(row, np.float64)
    if not np.isfinite(exact).all() or not exact.any():
        return np.full(len(exact), np.nan)
    exact = exact / np.abs(exact).max()
    return exact / np.sqrt((exact**2).sum())


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine of two rows, NaN where either has no direction."""
    return float((unit(one) * unit(other)).sum())


def directed(directions: np.ndarray) -> list[int]:
    """Return the rows with a direction, copies included."""
    return [i for i, row in enumerate(np.asarray(directions)) if np.isfinite(row).all() and row.any()]


def counted(directions: np.ndarray) -> list[int]:
    """Return the rows that count."""
    seen, rows = set(), []
    for i in directed(directions):
        bits = (np.asarray(directions)[i] + 0.0).tobytes()  # −0 and 0 are equal
        if bits not in seen:
            rows.append(i)
            seen.add(bits)
    return rows


def by_nearness(directions: np.ndarray, feature: int, among: list[int]) -> list[tuple[float, int]]:
    """Return the cosines of a feature with the others `among`, and who they are, the largest first; ties: lower row."""
    others = [j for j in among if j != feature]
    rows = np.asarray(directions, np.float64)[others]
    rows /= np.abs(rows).max(axis=1, keepdims=True)
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    cosines = zip((rows * unit(directions[feature])).sum(axis=1).tolist(), others, strict=True)
    return sorted(cosines, key=lambda pair: (-round(pair[0], 7), pair[1]))


def pearson(f: np.ndarray, g: np.ndarray) -> float:
    """Return the correlation of two lists of numbers; NaN where either is constant."""
    f, g = f - np.mean(f), g - np.mean(g)
    length = np.sqrt((f @ f) * (g @ g))
    return (f @ g) / length if length > 1e-12 else np.nan
