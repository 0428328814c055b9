"""SAEDashboard's batches for Neuronpedia: batch-0.json, batch-1.json and so on, each with several features."""

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.dashboards import BadDashboardError, Dashboard, Example
from core.dashboards.fields import (
    MOST_EXAMPLES,
    content,
    example,
    features_or_why,
    histogram,
    index,
    inside,
    number,
    parse,
    places_in,
    strings,
    weighted,
)

NAME = "sae_dashboard"
TITLE = "SAEDashboard"
FILES = "batch-0.json and so on"
_UNKNOWN = 99
"""The upper bound that SAEDashboard writes for the top activations if it cannot read the bound from its own title."""


def find(folder: Path, skipped: list[BadDashboardError]) -> dict[int, Path]:
    """Map features to the batch that holds them."""
    return places_in(inside(folder, folder.glob("batch-*.json")), _numbers, skipped)


def read(folder: Path, feature: int, places: Mapping[int, Path]) -> Dashboard:
    path = places[feature]
    return dashboard(feature, _features(path, path.stat().st_mtime_ns)[feature])


@lru_cache(maxsize=4096)
def _numbers(path: Path, stamp: int) -> frozenset[int] | BadDashboardError:
    """Return the features of a batch, or why it cannot be read. They stay known when the batch itself is forgotten."""
    return features_or_why(lambda: _features(path, stamp))


@lru_cache(maxsize=4)
def _features(path: Path, stamp: int) -> dict[int, Mapping[str, Any]]:
    batch = parse(content(path), path)
    features = batch.get("features") if isinstance(batch, dict) else None
    if not isinstance(features, list):
        raise BadDashboardError(
            f"{path} has no list of features; expected SAEDashboard's model_id, layer, sae_set and features. "
            "Run SAEDashboard again, or choose another folder."
        )
    items = [item for item in features if isinstance(item, dict)]
    numbered = ((index(item.get("feature_index", item.get("index"))), item) for item in items)
    return {i: item for i, item in numbered if i is not None}


def dashboard(feature: int, item: Mapping[str, Any]) -> Dashboard:
    """Make a Dashboard from the fields that SAEDashboard and Neuronpedia share."""
    examples = activations(item.get("activations"))
    return Dashboard(
        feature=feature,
        density=number(item.get("frac_nonzero")),
        max_activation=_largest(item),
        labels=_labels(item.get("explanations")),
        promoted=weighted(item.get("pos_str"), item.get("pos_values")),
        suppressed=weighted(item.get("neg_str"), item.get("neg_values")),
        activations=histogram(item.get("freq_hist_data_bar_values"), item.get("freq_hist_data_bar_heights")),
        logits=histogram(item.get("logits_hist_data_bar_values"), item.get("logits_hist_data_bar_heights")),
        examples=examples,
    )


def activations(items: Any) -> tuple[Example, ...]:
    """Read examples, with their bins in words. SAEDashboard marks the top activations with bin_min -1."""
    examples = []
    for item in items[:MOST_EXAMPLES] if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        low, high, top = _bin(item)
        group = "Top activations" if top else f"{low:.3g} to {high:.3g}"
        examples.append(example(item.get("tokens"), item.get("values"), group))
    return tuple(one for one in examples if one is not None)


def _bin(item: Mapping[str, Any]) -> tuple[float | None, float | None, bool]:
    """Return the bounds of an example's bin, and whether it is the bin of the top activations."""
    low, high, share = (
        number(item.get(snake, item.get(camel)))
        for snake, camel in (("bin_min", "binMin"), ("bin_max", "binMax"), ("bin_contains", "binContains"))
    )
    return low, high, low is None or high is None or (low == -1 and (share in (-1, None)))


def _largest(item: Mapping[str, Any]) -> float | None:
    """Return the largest activation that a feature's data name.

    It may be larger than in all examples. SAEDashboard can leave out a position, such as the first: then no example
    shows it and maxActApprox does not count it, but the bins, the upper bound of the top bin, and the histogram do. The
    histogram, which ends half a bar's width after its last value, counts only if nothing else gives a bound.
    """
    items = item.get("activations")
    bins = [_bin(one) for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    said = [number(item.get("maxActApprox")), *(high for _, high, top in bins if not (top and high == _UNKNOWN))]
    known = [value for value in said if value is not None and value >= 0]
    bars = histogram(item.get("freq_hist_data_bar_values"), item.get("freq_hist_data_bar_heights"))
    if bars is not None and not any(known):
        width = (bars.values[-1] - bars.values[0]) / max(1, len(bars.values) - 1)
        known += [top for top in [bars.values[-1] + width / 2] if math.isfinite(top)]
    return max([*known, *(max(one.values) for one in activations(items))], default=None)


def _labels(items: Any) -> tuple[str, ...]:
    known = [item.get("description") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return strings([text for text in known if isinstance(text, str) and text.strip()], 10)
