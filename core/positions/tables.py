"""Positional statistics as tidy tables: one row per mark of a chart and per line of a download."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from core.positions.statistics import PositionStatistics

Stage = Literal["acts", "pre_acts"]


def feature_order_by_peak(stats: PositionStatistics, features: Sequence[int] | np.ndarray) -> list[int]:
    """Sort features by the position p < C where their mean activation peaks, then by its height."""
    chosen = np.asarray(features, dtype=int)
    inside = stats.mean[chosen, : stats.context_size]
    peaks, heights = inside.argmax(axis=1), inside.max(axis=1)
    return chosen[np.lexsort((-heights, peaks))].tolist()


def heatmap_cells(stats: PositionStatistics, features: Sequence[int] | np.ndarray, *, floor: float = 0) -> pd.DataFrame:
    """Return the cells of the position x feature heatmap whose mean is not 0, and at least `floor` of the largest.

    Columns: feature, position, mean, std, rate. What is left out would not be seen in a chart; its
    domains are fixed elsewhere, so rows and positions keep their places.
    """
    chosen = np.asarray(features, dtype=int)
    size = np.abs(stats.mean[chosen])
    row, position = np.nonzero((size > 0) & (size >= floor * size.max(initial=0)))
    feature = chosen[row]
    return pd.DataFrame(
        {
            "feature": feature,
            "position": position,
            "mean": stats.mean[feature, position],
            "std": stats.std[feature, position],
            "rate": stats.rate[feature, position],
        }
    )


def curves(stats: PositionStatistics, features: Sequence[int], *, stage: Stage = "acts") -> pd.DataFrame:
    """Return mean and band (mean -+ one standard deviation over tokens) along positions.

    Columns: feature, position, mean, std, low, high; `stage` chooses activations or pre-activations.
    Activations cannot be negative in most architectures, so their band is cut at 0 where the curve
    itself never goes below.
    """
    mean, std = (stats.mean, stats.std) if stage == "acts" else (stats.pre_mean, stats.pre_std)
    parts = []
    for feature in features:
        m, s = mean[feature].astype(float), std[feature].astype(float)
        low = np.maximum(m - s, 0) if stage == "acts" and (m >= 0).all() else m - s
        columns = {"feature": feature, "position": np.arange(m.size), "mean": m, "std": s, "low": low, "high": m + s}
        parts.append(pd.DataFrame(columns))
    names = ["feature", "position", "mean", "std", "low", "high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def at_position(stats: PositionStatistics, position: int, *, top: int = 10) -> pd.DataFrame:
    """Return the features with the largest mean activation at one position, best first.

    Columns: feature, mean, std, rate. Features that are silent there are left out.
    """
    order = np.argsort(-stats.mean[:, position], kind="stable")[:top]
    order = order[stats.mean[order, position] > 0]
    values = {name: getattr(stats, name)[order, position] for name in ("mean", "std", "rate")}
    return pd.DataFrame({"feature": order, **values})


def matrix_cells(
    values: Float[np.ndarray, "rows cols"],
    rows: Sequence | np.ndarray,
    cols: Sequence | np.ndarray,
    *,
    names: tuple[str, str, str],
    keep_zeros: bool = False,
) -> pd.DataFrame:
    """Melt a matrix into cells with the given column names (row, column, value), zeros left out."""
    mask = np.ones(values.shape, bool) if keep_zeros else values != 0
    i, j = np.nonzero(mask)
    return pd.DataFrame({names[0]: np.asarray(rows)[i], names[1]: np.asarray(cols)[j], names[2]: values[i, j]})
