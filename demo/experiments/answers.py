"""What the numbers say: means over seeds with intervals, arms at one L0, and where the peaks are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from core.errors import BadSettingError
from demo.experiments.measures import BINS
from demo.experiments.numbers import Numbers
from demo.experiments.plan import Arm, Plan

CONFIDENCE = 0.95
_SMOOTH = 0.7
"""Standard deviation, in bins, of the Gaussian that the histogram is smoothed by before its peaks are found."""
_PROMINENT = 0.05
"""A peak rises above what surrounds it by this share of the highest one."""


@dataclass(frozen=True)
class Estimate:
    """A mean over n seeds and its t interval. The interval is NaN for one seed."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean and the interval mean ± t(n - 1) * sd / sqrt(n)."""
    from scipy.stats import t

    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Estimate(mean, np.nan, np.nan, n)
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def jackknife(values: Mapping[tuple[Any, Any], float]) -> Estimate:
    """Return the mean over pairs of seeds, with an interval over seeds: pairs that share a seed are not independent.

    Leaving out one seed after the other gives n pseudo-values, whose t interval it is (Tukey 1958). NaN for 2 seeds.
    """
    seeds = sorted({seed for pair in values for seed in pair})
    n, whole = len(seeds), float(np.mean(list(values.values())))
    if n < 3:
        return Estimate(whole, np.nan, np.nan, n)
    without = [np.mean([value for pair, value in values.items() if seed not in pair]) for seed in seeds]
    return estimate([n * whole - (n - 1) * float(one) for one in without])


def at_l0(measured: Sequence[Mapping[str, Any]], l0: float) -> dict[str, Any]:
    """Interpolate everything that was measured of one seed's dictionaries to an L0, linearly in log L0.

    Between the two dictionaries with the next lower and the next higher L0. Raises BadSettingError if there are none.
    """
    ordered = sorted(measured, key=lambda one: one["l0"])
    pairs = [pair for pair in pairwise(ordered) if pair[0]["l0"] <= l0 <= pair[1]["l0"]]
    if not pairs:
        reached = ", ".join(f"{one['l0']:.1f}" for one in ordered)
        raise BadSettingError(f"The L0 {l0} lies outside of those reached: {reached}. Add a value to this arm.")
    low, high = pairs[0]
    share = np.log(l0 / low["l0"]) / np.log(high["l0"] / low["l0"])

    def between(name: str) -> Any:
        found = (1 - share) * np.asarray(low[name], float) + share * np.asarray(high[name], float)
        return found.tolist() if found.ndim else float(found)

    return {name: between(name) for name in low if name != "seed"} | {"l0": l0, "seed": low["seed"]}


def arm_at_l0(numbers: Numbers, plan: Plan, arm: Arm) -> list[dict[str, Any]]:
    """Return one interpolated entry for each seed of an arm."""
    found = [numbers.of(plan, training) for training in plan.trainings() if training.arm == arm]
    assert all(found), f"{arm.name} has runs without numbers"
    try:
        return [at_l0(one_seed, plan.l0) for one_seed in zip(*found, strict=True)]
    except BadSettingError as error:
        raise BadSettingError(f"{arm.title}: {error}") from error


def of(entries: Sequence[Mapping[str, Any]], name: str) -> Estimate:
    """Return the mean of a number over seeds."""
    return estimate([one[name] for one in entries])


def sparsest(numbers: Numbers, plan: Plan, arm: Arm) -> Sequence[Mapping[str, Any]]:
    """Return what was measured of an arm at its last value, one entry for each seed."""
    found = numbers.of(plan, [training for training in plan.trainings() if training.arm == arm][-1])
    assert found is not None, f"{arm.name} has runs without numbers"
    return found


def difference(entries: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], name: str) -> Estimate:
    """Return the mean over seeds of what a number is more than in others of the same seed."""
    assert [one["seed"] for one in entries] == [one["seed"] for one in others]
    return estimate([one[name] - other[name] for one, other in zip(entries, others, strict=True)])


def peaks(counts: Sequence[float]) -> list[float]:
    """Return where a histogram over BINS has its peaks, the highest first, after smoothing (see the constants)."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    smooth = gaussian_filter1d(np.asarray(counts, float), _SMOOTH, mode="constant")
    at, _ = find_peaks(smooth, prominence=_PROMINENT * smooth.max())
    centres = (BINS[:-1] + BINS[1:]) / 2
    return [round(float(centres[i]), 2) for i in sorted(at, key=lambda i: -smooth[i])]


def pooled(entries: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the share of features in each of BINS, over all seeds."""
    counts = np.sum([one["nearest_counts"] for one in entries], axis=0)
    return counts / counts.sum()


def curve_table(numbers: Numbers, plan: Plan, arms: Sequence[Arm], name: str) -> pd.DataFrame:
    """Return one row for each dictionary: arm (its title), value, seed, l0 and a number."""
    rows = []
    for training in plan.trainings():
        if training.arm in arms:
            for one in numbers.of(plan, training) or ():
                rows.append((training.arm.title, training.value, one["seed"], one["l0"], one[name]))
    return pd.DataFrame(rows, columns=["arm", "value", "seed", "l0", name])


def shares_by_change(pairs: Sequence[Mapping[str, Any]], by: Callable[[Mapping[str, Any]], str]) -> pd.DataFrame:
    """Return for each group of pairs, in their order: the mean share that returns, its interval, chance, n.

    Pairs that differ in seed alone get the interval over seeds of `jackknife`; pairs of equal seed that of `estimate`,
    over seeds, both ways averaged; others none.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for pair in pairs:
        groups.setdefault(by(pair), []).append(pair)
    rows = []
    for name, found in groups.items():
        said, chance = _over_seeds(found), float(np.mean([one["chance"] for one in found]))
        rows.append((name, found[0]["factor"], said.mean, said.low, said.high, said.n, len(found), chance))
    return pd.DataFrame(rows, columns=["group", "factor", "share", "low", "high", "n_seeds", "n_pairs", "chance"])


def _over_seeds(found: Sequence[Mapping[str, Any]]) -> Estimate:
    if found[0]["factor"] == "seed":
        both: dict[tuple[Any, Any], list[float]] = {}
        for one in found:
            both.setdefault(tuple(sorted(_seeds(one))), []).append(one["share"])
        return jackknife({pair: float(np.mean(shares)) for pair, shares in both.items()})
    if "of_seed" in found[0]:
        by_seed: dict[Any, list[float]] = {}
        for one in found:
            by_seed.setdefault(one["of_seed"], []).append(one["share"])
        return estimate([float(np.mean(shares)) for shares in by_seed.values()])
    return Estimate(float(np.mean([one["share"] for one in found])), np.nan, np.nan, 1)


def _seeds(pair: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the seeds of a pair that differs in seed alone: dictionaries by labels say them in the change."""
    if "change" in pair:
        return tuple(pair["change"].split(" → "))
    return pair["of_seed"], pair["in_seed"]
