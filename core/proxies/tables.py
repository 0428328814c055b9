"""One feature's activations beside a proxy (Bricken et al. 2023): the specificity and sensitivity of the feature.

A token is a hit if its proxy is above a threshold. Only counted tokens matter.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.activations.store import FeatureActivations
from core.maths.correlation import pearson
from core.maths.significance import wilson

N_BINS, MOST_POINTS = 24, 200
RATIO_CLASSES = (-np.inf, -10.0, 0.0, 5.0, 10.0, np.inf)
"""Edges of classes of log-likelihood ratios, in nats; each class includes its upper edge."""
NO_STRING = "no string"
LOWEST = -30.0
"""Lower ratios count as this one: a single foreign character costs about 23 nats, and more of them say little."""


@dataclass(frozen=True, eq=False)
class FeatureProxy:
    """A feature and a proxy on a text."""

    act: Float[np.ndarray, "row pos"]
    """Activations, 0 where the feature is silent."""
    value: Float[np.ndarray, "row pos"]
    """The proxy, see core.proxies.values."""
    counted: Bool[np.ndarray, "row pos"]
    threshold: float = 0.0

    @cached_property
    def f(self) -> Float[np.ndarray, " token"]:
        return self.act[self.counted].astype(np.float64)

    @cached_property
    def values(self) -> Float[np.ndarray, " token"]:
        """The proxy on counted tokens."""
        return self.value[self.counted]

    @cached_property
    def hits(self) -> Bool[np.ndarray, " token"]:
        return self.values > self.threshold

    @cached_property
    def active(self) -> Bool[np.ndarray, " token"]:
        return self.f != 0

    def numbers(self) -> dict[str, int | float]:
        """Return numbers for the agreement of feature and proxy; NaN for a share of nothing."""
        n, hits, active = len(self.f), int(self.hits.sum()), int(self.active.sum())
        both = int((self.hits & self.active).sum())
        over = np.where(self.hits & np.isfinite(self.values), self.values - self.threshold, 0.0)
        specificity, base = _share(both, active), _share(hits, n)
        return {
            "proxy_tokens": hits,
            "active_tokens": active,
            "proxy_active_tokens": both,
            "proxy_base_rate": base,
            "proxy_specificity": specificity,
            "proxy_sensitivity": _share(both, hits),
            "proxy_lift": _share(specificity, base),
            "proxy_correlation": pearson(self.f, self.hits.astype(np.float64)),
            "proxy_excess_correlation": pearson(self.f, over),
            "proxy_weight": _share(self.f[self.hits].sum(), self.f.sum()),
        }


def feature_proxy(
    activations: FeatureActivations,
    value: Float[np.ndarray, "row pos"],
    counted: Bool[np.ndarray, "row pos"],
    *,
    threshold: float = 0.0,
) -> FeatureProxy:
    """Put a feature's stored activations beside a proxy."""
    act = np.zeros(value.shape, np.float32)
    act[activations.row, activations.position] = activations.act
    return FeatureProxy(act, value, counted, threshold)


def bin_table(pair: FeatureProxy, *, n: int = N_BINS) -> pd.DataFrame:
    """Return the specificity of the feature in equal bins of its activation, without silent tokens.

    Columns: `proxy_bin_low`, `proxy_bin_high`, `active_tokens`, `proxy_active_tokens`, `proxy_specificity` with
    `proxy_specificity_low` and `proxy_specificity_high` (95 %, Wilson 1927).
    """
    edges, number = _bins(pair, n)
    count, both = (np.bincount(number[mask], minlength=n) for mask in (slice(None), pair.hits[pair.active]))
    columns = {"proxy_bin_low": edges[:-1], "proxy_bin_high": edges[1:]}
    columns |= {"active_tokens": count, "proxy_active_tokens": both}
    return pd.DataFrame(columns | _shares("proxy_specificity", both, count))


def class_table(
    pair: FeatureProxy, names: list[str], number: Int[np.ndarray, " token"], *, n: int = N_BINS
) -> pd.DataFrame:
    """Return the activation histogram by class of the proxy; `number` is each counted token's index in `names`.

    Columns: `proxy_class`, `proxy_bin_low`, `proxy_bin_high`, `proxy_class_tokens`, `proxy_class_share` (of the bin),
    and `proxy_class_activation`, the sum of f over the class's tokens in the bin.
    """
    edges, bins = _bins(pair, n)
    cell = number[pair.active] * n + bins
    count = np.bincount(cell, minlength=n * len(names)).reshape(len(names), n)
    weight = np.bincount(cell, weights=pair.f[pair.active], minlength=n * len(names)).reshape(len(names), n)
    with np.errstate(invalid="ignore"):
        share = count / count.sum(axis=0)
    columns = {
        "proxy_class": np.repeat(np.array(names, object), n),
        "proxy_bin_low": np.tile(edges[:-1], len(names)),
        "proxy_bin_high": np.tile(edges[1:], len(names)),
        "proxy_class_tokens": count.ravel(),
        "proxy_class_share": share.ravel(),
        "proxy_class_activation": weight.ravel(),
    }
    return pd.DataFrame(columns)


def hit_classes(pair: FeatureProxy) -> tuple[list[str], Int[np.ndarray, " token"]]:
    """Return the names of two classes, hits and all others, and the class of each counted token."""
    return ["hit", "no hit"], np.where(pair.hits, 0, 1)


def ratio_classes(pair: FeatureProxy) -> tuple[list[str], Int[np.ndarray, " token"]]:
    """Return the names of classes of the log-likelihood ratio, largest first, and the class of each counted token."""
    edges = RATIO_CLASSES[1:-1]
    names = [f"over {edges[-1]:g}"]
    names += [f"{low:g} to {high:g}" for low, high in zip(edges[-2::-1], edges[:0:-1], strict=True)]
    names += [f"{edges[0]:g} or less", NO_STRING]
    number = len(edges) - np.searchsorted(edges, pair.values, side="left")
    return names, np.where(np.isneginf(pair.values), len(edges) + 1, number)


def threshold_table(pair: FeatureProxy) -> pd.DataFrame:
    """Return specificity and sensitivity if only tokens with f of at least `proxy_cutoff` count as active.

    One row per cutoff, smallest first: at most MOST_POINTS of the activations that occur. Columns: `proxy_cutoff`,
    `active_tokens`, `proxy_active_tokens`, `proxy_specificity`, `proxy_sensitivity`.
    """
    f, hits = pair.f[pair.active], pair.hits[pair.active]
    order = np.argsort(-f, kind="stable")
    f, both = f[order], hits[order].cumsum()
    ends = np.flatnonzero(np.diff(f, append=-np.inf))  # equal activations go together
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(MOST_POINTS, len(ends))).astype(int))][::-1]
    n_hits = pair.hits.sum()
    columns = {
        "proxy_cutoff": f[ends],
        "active_tokens": ends + 1,
        "proxy_active_tokens": both[ends],
        "proxy_specificity": both[ends] / (ends + 1),
        "proxy_sensitivity": both[ends] / n_hits if n_hits else np.full(len(ends), np.nan),
    }
    return pd.DataFrame(columns)


def sensitivity_table(pair: FeatureProxy, *, n: int = N_BINS) -> pd.DataFrame:
    """Return the share of tokens on which the feature is active, in equal bins of the proxy.

    Columns: `proxy_value_low`, `proxy_value_high`, `proxy_value_tokens` (tokens in the bin), `active_tokens` (active
    ones among them), `proxy_active_share` with `proxy_active_share_low` and `proxy_active_share_high` (95 %, Wilson
    1927). Bins go from the smallest to the largest ratio; ratios below LOWEST count as LOWEST.
    """
    there = np.isfinite(pair.values)
    values, active = np.maximum(pair.values[there], LOWEST), pair.active[there]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, n + 1)
    number = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n - 1)
    count, both = np.bincount(number, minlength=n), np.bincount(number[active], minlength=n)
    columns = {"proxy_value_low": edges[:-1], "proxy_value_high": edges[1:]}
    columns |= {"proxy_value_tokens": count, "active_tokens": both}
    return pd.DataFrame(columns | _shares("proxy_active_share", both, count))


def _shares(name: str, part: Int[np.ndarray, " n"], whole: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
    """Return columns with shares and their intervals (95 %, Wilson 1927)."""
    low, high = wilson(part, whole)
    with np.errstate(invalid="ignore"):
        return {name: part / whole, f"{name}_low": low, f"{name}_high": high}


def _bins(pair: FeatureProxy, n: int) -> tuple[Float[np.ndarray, " edge"], Int[np.ndarray, " n"]]:
    """Return the edges of equal bins from 0, or the least activation if below, to the largest; and each token's bin."""
    f = pair.f[pair.active]
    low, high = (min(0.0, f.min()), max(0.0, f.max())) if len(f) else (0.0, 1.0)
    edges = np.linspace(low, high, n + 1)
    return edges, np.clip(np.searchsorted(edges, f, side="right") - 1, 0, n - 1)


def _share(part: float | int, whole: float | int) -> float:
    return float(part / whole) if whole else float("nan")
