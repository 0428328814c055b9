"""Activation statistics as the tables and curves of figures: by position, by feature, by layer (Cho 2025)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from core.activations.measures import Measure
from core.activations.quantiles import ActivationQuantiles
from core.activations.reconstruction import mean_over
from core.activations.spliced_loss import LossByPosition
from core.activations.statistics import ActivationStatistics
from core.maths.samples import evenly
from core.maths.summaries import box

WINDOW = 10
"""Positions that a smoothed value is the mean of."""
THRESHOLDS = 100
_CURVE_POINTS = 200
_FEWEST = 3
"""Mean and median can differ from so many values on."""


def position_curves(statistics: ActivationStatistics, *, with_first: bool = True) -> pd.DataFrame:
    """Return position, mean_active, smoothed_mean, std_active and active_share, a row for each position.

    Position 0 never goes into the smoothed mean: in deep layers it would hide all others.
    """
    names = ["position", "mean_active", "std_active", "active_share"]
    table = statistics.position_table()[names]
    table.insert(2, "smoothed_mean", smoothed(table, ["mean_active"])["mean_active"])
    return table if with_first else table.iloc[1:].reset_index(drop=True)


def moving_average(values: Float[np.ndarray, " n"], window: int = WINDOW) -> Float[np.ndarray, " n"]:
    """Average values[i - (window - 1) // 2] to values[i + window // 2]; NaN where some of these do not exist.

    Values that are NaN themselves (nothing was active there) are passed over.
    """
    smooth = np.full(len(values), np.nan)
    if len(values) < window:
        return smooth
    views = np.lib.stride_tricks.sliding_window_view(values, window)
    count = np.isfinite(views).sum(axis=1)
    total = np.where(np.isfinite(views), views, 0).sum(axis=1)
    first = (window - 1) // 2
    part = smooth[first : first + len(views)]
    np.divide(total, count, out=part, where=count > 0)
    return smooth


def smoothed(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return a table by position with some columns smoothed; position 0 stays out of all averages."""
    later = (table["position"] > 0).to_numpy()
    return table.assign(**{name: _smoothed(table[name].to_numpy(dtype=float), later) for name in names})


def _smoothed(values: Float[np.ndarray, " pos"], later: Bool[np.ndarray, " pos"]) -> Float[np.ndarray, " pos"]:
    averages = np.full(len(values), np.nan)
    averages[later] = moving_average(values[later])
    return averages


def mean_loss(loss: LossByPosition, *, with_first: bool = True) -> float:
    """Return a model's loss over all tokens, or those after position 0; NaN without any."""
    part = slice(0 if with_first else 1, None)
    return float(mean_over(loss.ce[None, part], loss.position_rows[part])[0])


def decile_columns(quantiles: ActivationQuantiles) -> list[str]:
    """Names of the columns that hold quantiles: decile_5 is the median."""
    return [f"decile_{round(10 * level)}" for level in quantiles.levels]


def decile_table(features: pd.DataFrame, quantiles: ActivationQuantiles) -> pd.DataFrame:
    """Put deciles beside the rows of `feature_table`; features that are never active are left out."""
    names = ["feature", "active_tokens", "density", "mean_active", "std_active"]
    deciles = pd.DataFrame(quantiles.values, columns=decile_columns(quantiles))
    table = pd.concat([features[names], deciles], axis=1)
    return table[table["active_tokens"] > 0].reset_index(drop=True)


def median_table(quantiles: Float[np.ndarray, "d_sae level"], levels: Sequence[float]) -> pd.DataFrame:
    """Return feature and median_active, NaN for a feature that is never active, from quantiles at these levels."""
    return pd.DataFrame({"feature": np.arange(len(quantiles)), "median_active": quantiles[:, levels.index(0.5)]})


def mean_below_median(table: pd.DataFrame) -> tuple[int, int]:
    """Return how many features have a mean below their median, and of how many: those active on 3 tokens or more."""
    table = table[table["active_tokens"] >= _FEWEST]
    below = table["mean_active"] < table["decile_5"]
    # Equal activations have a mean that differs from their median by rounding only.
    alike = np.isclose(table["mean_active"], table["decile_5"], rtol=1e-9, atol=0)
    return int((below & ~alike).sum()), len(table)


def decile_marks(table: pd.DataFrame, sort: str, *, most: int = 4000) -> pd.DataFrame:
    """Return at most `most` marks: rank, feature, decile (10 to 100) and activation.

    Features are ranked by the column `sort`; ties: lower feature first. Of too many every n-th is kept, evenly over the
    ranks, the first and the last among them.
    """
    names = [name for name in table.columns if name.startswith("decile_")]
    ranked = table.sort_values([sort, "feature"], ignore_index=True)
    ranked = ranked.iloc[evenly(len(ranked), max(2, most // len(names)))]
    marks = ranked.rename_axis("rank").reset_index()
    marks = marks.melt(["rank", "feature"], names, var_name="decile", value_name="activation")
    return marks.assign(decile=10 * marks["decile"].str.removeprefix("decile_").astype(int))


def cumulative_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many features have a mean, and a median, below each of 100 thresholds from 0 to the largest mean.

    Columns activation_threshold, features_mean_below, features_median_below.
    """
    mean, median = (np.sort(table[name].to_numpy(dtype=float)) for name in ("mean_active", "decile_5"))
    n = THRESHOLDS if len(mean) else 0
    thresholds = np.linspace(mean.min(initial=0), mean.max(initial=0), n)
    return pd.DataFrame(
        {
            "activation_threshold": thresholds,
            "features_mean_below": np.searchsorted(mean, thresholds),
            "features_median_below": np.searchsorted(median, thresholds),
        }
    )


class Distribution(NamedTuple):
    """A histogram and a smooth curve over it."""

    bars: pd.DataFrame
    """low, high, count; bins of equal width, on a log axis of equal ratio."""
    curve: pd.DataFrame
    """value, height: a Gaussian kernel density (Scott's bandwidth) times n and a bin's width; may be empty."""
    left_out: int
    """Values with no place on a log axis: 0 or less."""


def distribution(values: Float[np.ndarray, " n"], *, bins: int = 60, log: bool = False) -> Distribution:
    """Bin values, NaN left out. There is no curve for fewer than 3 values, or if all are alike."""
    finite = values[np.isfinite(values)].astype(float)
    kept = finite[finite > 0] if log else finite
    at = np.log10(kept) if log else kept
    counts, edges = np.histogram(at, bins=bins) if len(at) else (np.zeros(0, int), np.zeros(1))
    points, heights = _kernel_density(at)
    heights = heights * len(at) * (edges[1] - edges[0] if len(edges) > 1 else 0)
    if log:
        edges, points = 10**edges, 10**points
    bars = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts})
    return Distribution(bars, pd.DataFrame({"value": points, "height": heights}), len(finite) - len(kept))


def _kernel_density(at: Float[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    from scipy.stats import gaussian_kde

    if len(at) < _FEWEST or np.isclose(at.min(), at.max()):
        return np.zeros(0), np.zeros(0)
    points = np.linspace(at.min(), at.max(), _CURVE_POINTS)
    return points, gaussian_kde(at)(points)


def error_curves(
    statistics: ActivationStatistics, *, context_size: int | None = None, with_first: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the reconstruction by position with all its measures, and the totals inside and beyond the context.

    Columns of ErrorByPosition.to_frame, then l1, l2_ratio and reconstruction_bias. Without position 0 it is not
    in the mean that variances refer to either, unless the context holds nothing else.
    """
    first = 0 if with_first or min(context_size or statistics.n_pos, statistics.n_pos) == 1 else 1
    errors = statistics.errors(context_size=context_size, first=first)
    more = statistics.position_table()[["l2_ratio", "reconstruction_bias"]]
    more.insert(0, "l1", statistics.measures[Measure.L1])
    table = pd.concat([errors.to_frame(), more], axis=1)
    return table.iloc[first:].reset_index(drop=True), errors.totals()


def layer_curves(layers: Mapping[str, ActivationStatistics], *, with_first: bool = True) -> pd.DataFrame:
    """Return `position_curves` of several layers under each other, with a column layer."""
    parts = [
        position_curves(statistics, with_first=with_first).assign(layer=name) for name, statistics in layers.items()
    ]
    return pd.concat(parts, ignore_index=True)


def layer_boxes(layers: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Return a box plot's numbers of one column of feature tables by layer, features that are never active left out.

    Columns layer, low, q1, median, q3, high, n, n_outside, as in core.maths.summaries.box.
    """
    rows = [(name, *box(_of_active(table, column))) for name, table in layers.items()]
    return pd.DataFrame(rows, columns=["layer", "low", "q1", "median", "q3", "high", "n", "n_outside"])


def layer_densities(layers: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Return kernel densities over log10 of one column of feature tables: layer, value, height (area 1 in log10)."""
    parts = []
    for name, table in layers.items():
        values = _of_active(table, column)
        points, heights = _kernel_density(np.log10(values[values > 0]))
        parts.append(pd.DataFrame({"layer": name, "value": 10**points, "height": heights}))
    return pd.concat(parts, ignore_index=True)


def _of_active(table: pd.DataFrame, column: str) -> Float[np.ndarray, " active"]:
    return table.loc[table["active_tokens"] > 0, column].to_numpy(dtype=float)
