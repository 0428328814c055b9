"""Rank the features of a dictionary by their agreement with a proxy, in one scan of the stored activations."""

import numpy as np
import pandas as pd
from jaxtyping import Bool

from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationStore
from core.work.progress import SILENT, Progress

_CONSTANT = 1e-12
"""Activations are constant if their squared deviations add up to less than this share of their squares."""


def rank_features(
    store: ActivationStore,
    statistics: ActivationStatistics,
    hits: Bool[np.ndarray, "row pos"],
    *,
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """Return every feature that is active anywhere, the largest correlation first.

    `hits` is True on hits, and may be True only on counted tokens. Columns: `feature`, `proxy_correlation`
    (Pearson of the activation with 1 on hits and 0 elsewhere), `active_tokens`, `proxy_active_tokens`,
    `proxy_specificity`, `proxy_sensitivity`, `proxy_lift`. Raises MissingActivationsError.
    """
    d_sae = statistics.count.shape[1]
    both, total_there = np.zeros(d_sae, np.int64), np.zeros(d_sae)
    for part, block in zip(store.parts, store.blocks(progress), strict=True):
        inside = np.repeat(hits[part].ravel(), np.diff(block.ends, prepend=0))
        features = block.features[inside]
        both += np.bincount(features, minlength=d_sae)
        total_there += np.bincount(features, weights=block.acts[inside], minlength=d_sae)
    n, n_hits = statistics.n_tokens(), int(hits.sum())
    count, total, square = (getattr(statistics, name).sum(axis=0) for name in ("count", "total", "square"))
    spread = square - total**2 / n
    base = n_hits / n
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = (total_there - total * base) / np.sqrt(spread * n_hits * (1 - base))
        specificity, sensitivity = both / count, both / n_hits
        lift = specificity / base
    columns = {
        "feature": np.arange(d_sae),
        "proxy_correlation": np.where(spread > _CONSTANT * square, correlation, np.nan),
        "active_tokens": count,
        "proxy_active_tokens": both,
        "proxy_specificity": specificity,
        "proxy_sensitivity": sensitivity,
        "proxy_lift": lift,
    }
    table = pd.DataFrame(columns)[count > 0]
    return table.sort_values("proxy_correlation", ascending=False, kind="stable", ignore_index=True)
