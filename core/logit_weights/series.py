"""The shape of logit weights along a series of dictionaries, layer by layer."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from core.dictionaries.hooks import WRITES, split_hook
from core.dictionaries.sources import Entry
from core.logit_weights.statistics import LogitStatistics
from core.maths.summaries import box

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
SHAPES = ("skewness", "kurtosis")


def layer_entries(listed: Sequence[Entry], id: str) -> dict[str, Entry]:
    """Find the dictionaries that differ from the dictionary `id` only in their layer; return them by layer, in order.

    They have the same source, kind, width and labels, and a hook in a block. The name of a layer is the number of its
    block, followed by the hook unless that is hook_resid_pre. Empty if `id` is not listed or has no hook.
    """
    own = next((entry for entry in listed if entry.id == id), None)
    if own is None or own.hook_name is None:
        return {}
    layers = []
    for entry in listed:
        layer, point = split_hook(entry.hook_name or "")
        if layer is not None and _kin(entry) == _kin(own):
            place = WRITES.index(point) if point in WRITES else len(WRITES)
            name = str(layer) if point == "hook_resid_pre" else f"{layer} {point.removeprefix('hook_')}"
            layers.append((layer, place, name, entry))
    # Several may have one hook (say, seeds without a label): take the one with `id`, else the first.
    layers.sort(key=lambda item: (*item[:2], item[3].id != id))
    series: dict[str, Entry] = {}
    for *_, name, entry in layers:
        series.setdefault(name, entry)
    return series


def _kin(entry: Entry) -> tuple:
    labels = {name: value for name, value in entry.labels.items() if name != "layer"}
    return entry.id.partition("/")[0], entry.kind, entry.d_sae, labels


def percentile_table(series: Mapping[str, LogitStatistics]) -> pd.DataFrame:
    """Return percentiles over features by layer: columns layer, statistic, percentile, value.

    Constant features are left out, as their skewness and kurtosis are not defined.
    """
    rows = []
    for layer, name, values in _shapes(series):
        percentiles = np.percentile(values, PERCENTILES) if len(values) else np.full(len(PERCENTILES), np.nan)
        rows += [(layer, name, percentile, value) for percentile, value in zip(PERCENTILES, percentiles, strict=True)]
    return pd.DataFrame(rows, columns=["layer", "statistic", "percentile", "value"])


def box_table(series: Mapping[str, LogitStatistics]) -> pd.DataFrame:
    """Return the numbers of a box plot by layer and statistic.

    Columns: layer, statistic, low, q1, median, q3, high, n (features), n_outside (features beyond the whiskers). The
    whiskers `low` and `high` are the last values within 1.5 interquartile ranges of the box.
    """
    rows = [(layer, name, *box(values)) for layer, name, values in _shapes(series)]
    columns = ["layer", "statistic", "low", "q1", "median", "q3", "high", "n", "n_outside"]
    return pd.DataFrame(rows, columns=columns)


def _shapes(series: Mapping[str, LogitStatistics]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield layer, statistic and values for each layer in order, without constant features."""
    for layer, stats in series.items():
        for name in SHAPES:
            values = getattr(stats, name)
            yield layer, name, values[~np.isnan(values)]
