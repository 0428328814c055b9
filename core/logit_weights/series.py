"""How the shape of logit weights changes along a series of dictionaries, layer by layer."""

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
    """Find the dictionaries that differ from `id` in the layer alone, by the name of their layer, in order.

    They come from the same source, have the same kind, width and labels, and a hook in a block. The name is
    the number of the block, with the hook for those that do not read where a block begins. Without such a
    dictionary the answer is empty.
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
    # Of several at one hook (another seed without a label, say) the picked one counts, else the first.
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

    Constant rows, whose skewness and kurtosis are not defined, are left out.
    """
    rows = []
    for layer, name, values in _shapes(series):
        percentiles = np.percentile(values, PERCENTILES) if len(values) else np.full(len(PERCENTILES), np.nan)
        rows += [(layer, name, percentile, value) for percentile, value in zip(PERCENTILES, percentiles, strict=True)]
    return pd.DataFrame(rows, columns=["layer", "statistic", "percentile", "value"])


def box_table(series: Mapping[str, LogitStatistics]) -> pd.DataFrame:
    """Return a box plot's numbers by layer and statistic: whiskers reach the last value within 1.5 quartile ranges.

    Columns layer, statistic, low, q1, median, q3, high, n (features), n_outside (beyond the whiskers).
    """
    rows = [(layer, name, *box(values)) for layer, name, values in _shapes(series)]
    columns = ["layer", "statistic", "low", "q1", "median", "q3", "high", "n", "n_outside"]
    return pd.DataFrame(rows, columns=columns)


def _shapes(series: Mapping[str, LogitStatistics]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Go through layers in order and through skewness and kurtosis, without constant rows."""
    for layer, stats in series.items():
        for name in SHAPES:
            values = getattr(stats, name)
            yield layer, name, values[~np.isnan(values)]
