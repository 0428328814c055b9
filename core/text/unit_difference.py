"""Find features that fire differently in two texts, by a permutation test over lines, sentences or documents."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.text.difference import active_in_either, check_sizes, q_values
from core.text.features import TextFeatures
from core.work.progress import SILENT, Progress
from core.work.threads import one_thread_per_product

DRAWS = 9_999
LEAST_UNITS = 6
"""Least number of units in each text; with 6 and 6, the smallest p-value is 2 / 924."""
_FEATURES_PER_PART, _WAYS_PER_PART = 512, 1024
_ROUNDING = 1e-9


def unit_differences(
    a: TextFeatures,
    b: TextFeatures,
    units_a: Int[np.ndarray, " token_a"],
    units_b: Int[np.ndarray, " token_b"],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """Compare features by their mean activation in each unit (see core.text.texts.units), one row per feature.

    p is the share of ways to deal the units to A and B under which the feature differs at least as much. If there are
    at most `draws` ways, p counts all; otherwise p is (1 + such draws) / (1 + draws). `family_p` counts the ways under
    which any feature differs at least as much, in its own standard deviations (Westfall & Young 1993). Raises
    DoesNotFitError if either text has fewer than LEAST_UNITS units.
    """
    n_a, n_b = int(units_a.max(initial=-1)) + 1, int(units_b.max(initial=-1)) + 1
    check_sizes(n_a, n_b, "units", LEAST_UNITS)
    features, ways = active_in_either(a.acts, b.acts), deals(n_a, n_b, draws=draws, seed=seed)
    largest, tables = np.zeros(len(ways)), []
    for start in range(0, len(features), _FEATURES_PER_PART):
        part = features[start : start + _FEATURES_PER_PART]
        means = np.concatenate([unit_means(a, units_a, part), unit_means(b, units_b, part)])
        z, reached = _deal(means, n_a, ways, largest)
        tables.append(_table(part, means, n_a).assign(unit_z=z, unit_p=reached / len(ways)))
        progress.update(start + len(part), len(features))
    table = pd.concat(tables, ignore_index=True) if tables else _table(features, np.zeros((n_a + n_b, 0)), n_a)
    z = table["unit_z"].to_numpy()
    beyond = len(ways) - np.searchsorted(np.sort(largest), np.abs(z) - _ROUNDING, side="left")
    higher = np.select([z > 0, z < 0], ["A", "B"], "neither")
    return table.assign(
        unit_q=q_values(np.log10(table["unit_p"].to_numpy())), family_p=beyond / len(ways), unit_higher_in=higher
    )


def _table(features: np.ndarray, means: np.ndarray, n_a: int) -> pd.DataFrame:
    mean_a, mean_b = means[:n_a].mean(axis=0), means[n_a:].mean(axis=0)
    columns = {
        "feature": features,
        "unit_mean_a": mean_a,
        "unit_mean_b": mean_b,
        "unit_difference": mean_a - mean_b,
        "units_a": (means[:n_a] != 0).sum(axis=0),
        "units_b": (means[n_a:] != 0).sum(axis=0),
        "unit_z": np.zeros(len(features)),
        "unit_p": np.ones(len(features)),
    }
    return pd.DataFrame(columns)


def unit_means(
    on_text: TextFeatures, units: Int[np.ndarray, " token"], features: Int[np.ndarray, " feature"]
) -> Float[np.ndarray, "unit feature"]:
    """Return the mean activation of features over the tokens of each unit."""
    place = np.full(on_text.acts.d_sae, -1)
    place[features] = np.arange(len(features))
    column = place[on_text.acts.features]
    kept = column >= 0
    cell = (units[on_text.token] * len(features) + column)[kept]
    sizes = np.bincount(units)
    total = np.bincount(cell, on_text.acts.acts[kept], minlength=len(sizes) * len(features))
    return total.reshape(len(sizes), len(features)) / sizes[:, None]


def deals(n_a: int, n_b: int, *, draws: int, seed: int) -> Bool[np.ndarray, "way unit"]:
    """Return ways to deal units to A (True) and B: all, if at most `draws`, else the true one and seeded draws."""
    n = n_a + n_b
    if comb(n, n_a) <= draws:
        chosen = np.array(list(combinations(range(n), n_a)))
    else:
        rng, parts = np.random.default_rng(seed), [np.arange(n_a)[None]]
        for start in range(0, draws, _WAYS_PER_PART):
            parts.append(np.argsort(rng.random((min(_WAYS_PER_PART, draws - start), n)), axis=1)[:, :n_a])
        chosen = np.concatenate(parts)
    ways = np.zeros((len(chosen), n), bool)
    np.put_along_axis(ways, chosen, True, axis=1)
    return ways


def lowest_p(n_a: int, n_b: int, draws: int = DRAWS) -> float:
    """Return the smallest possible p-value for these numbers of units."""
    ways = comb(n_a + n_b, n_a)
    return (1 + (n_a == n_b)) / ways if ways <= draws else 1 / (1 + draws)


def _deal(
    means: Float[np.ndarray, "unit feature"],
    n_a: int,
    ways: Bool[np.ndarray, "way unit"],
    largest: Float[np.ndarray, " way"],
) -> tuple[np.ndarray, np.ndarray]:
    """Return each feature's z and the number of ways with at least this |z|; update each way's largest |z| (`largest`).

    Ways are rows of True for the units dealt to A.
    """
    deviation = means.std(axis=0)
    # A feature whose means differ only by rounding counts as the same in all units.
    known = deviation > _ROUNDING * np.abs(means).max(axis=0)
    standard = np.where(known, (means - means.mean(axis=0)) / np.where(known, deviation, 1), 0)
    n = len(means)
    standard *= np.sqrt((n - 1) / (n_a * (n - n_a)))  # so that the sum over randomly dealt units has variance 1
    z, reached = standard[:n_a].sum(axis=0), np.zeros(means.shape[1], np.int64)
    with one_thread_per_product():
        for start in range(0, len(ways), _WAYS_PER_PART):
            part = slice(start, start + _WAYS_PER_PART)
            size = np.abs(ways[part].astype(np.float64) @ standard)
            reached += (size >= np.abs(z) - _ROUNDING).sum(axis=0)
            np.maximum(largest[part], size.max(axis=1), out=largest[part])
    return z, reached
