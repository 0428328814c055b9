"""Which features of a dictionary return in others: matching cosines over a threshold set against chance.

After the share of seeds in which a feature has a match (arXiv 2606.12138). The matches are those of core.matching.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, check_same_space
from core.errors import DoesNotFitError
from core.geometry.neighbors import Between
from core.matching.comparison import rows_of
from core.matching.matrix import nearest_pair
from core.matching.overlap import partners
from core.matching.pairs import THRESHOLD
from core.maths.significance import wilson
from core.stability.chance import LEVEL, SecondMoments, chance_of, chance_threshold, second_moments, typical
from core.work.artifacts import ArtifactStore, artifact_key
from core.work.progress import SILENT, Part, Progress
from core.work.threads import one_thread_per_product

Rule = Literal["nearest", "mutual"]
RULES: Mapping[Rule, str] = {
    "nearest": "its nearest feature there; several may share it",
    "mutual": "its nearest feature there, whose nearest it is",
}
"""Which feature of the other dictionary is a feature's match."""
_THRESHOLDS = ("threshold", "chance_threshold")


@dataclass(frozen=True, eq=False)
class Returns:
    """The features of one dictionary, A, in another, B: one returns if its match has a cosine over `threshold`."""

    cos: Float[np.ndarray, " d_sae"]
    """With the nearest feature of B; NaN for features left out."""
    partner: Int[np.ndarray, " d_sae"]
    """The match in B; -1 for features that do not return."""
    chance: Float[np.ndarray, " d_sae"]
    """With which each would return in a random dictionary with the second moments of B (core.stability.chance).

    For the rule 'mutual' it is at most this.
    """
    threshold: float
    """The larger of the threshold asked for and `chance_threshold`."""
    chance_threshold: float
    """The cosine that a share LEVEL of the features reach by chance."""

    @property
    def returned(self) -> Bool[np.ndarray, " d_sae"]:
        return self.partner >= 0

    @property
    def kept(self) -> Bool[np.ndarray, " d_sae"]:
        """True for features with a direction; the others cannot return."""
        return ~np.isnan(self.cos)

    @property
    def left_over(self) -> Int[np.ndarray, " left"]:
        """The kept features that do not return."""
        return np.flatnonzero(self.kept & ~self.returned)

    @property
    def share(self) -> float:
        """The share of the kept features that return."""
        return float(self.returned.sum() / max(1, self.kept.sum()))


@dataclass(frozen=True)
class Stability:
    """The features of one dictionary in n others; a row of the arrays for each other (see Returns)."""

    cos: Float[np.ndarray, "n d_sae"]
    partner: Int[np.ndarray, "n d_sae"]
    chance_in: Float[np.ndarray, "n d_sae"]
    threshold: tuple[float, ...]
    chance_threshold: tuple[float, ...]
    version: ClassVar[int] = 2

    @classmethod
    def of(cls, returns: Sequence[Returns]) -> "Stability":
        arrays = (np.stack([getattr(one, name) for one in returns]) for name in ("cos", "partner", "chance"))
        return cls(*arrays, *(tuple(getattr(one, name) for one in returns) for name in _THRESHOLDS))

    @classmethod
    def key(
        cls, dictionary_sha256: str, others_sha256: Sequence[str], side: DictionarySide, *, threshold: float, rule: Rule
    ) -> str:
        inputs = {"dictionary": dictionary_sha256, "others": ",".join(others_sha256), "side": side, "level": LEVEL}
        return artifact_key("stability", cls.version, **inputs, threshold=threshold, rule=rule)

    @property
    def returns(self) -> list[Returns]:
        """The features in each of the others."""
        thresholds = zip(self.threshold, self.chance_threshold, strict=True)
        arrays = zip(self.cos, self.partner, self.chance_in, strict=True)
        return [Returns(*found, *pair) for found, pair in zip(arrays, thresholds, strict=True)]

    @property
    def n(self) -> int:
        """Number of other dictionaries."""
        return len(self.cos)

    @cached_property
    def kept(self) -> Bool[np.ndarray, " d_sae"]:
        return ~np.isnan(self.cos[0])

    @cached_property
    def count(self) -> Int[np.ndarray, " d_sae"]:
        """In how many others each feature returns; -1 for features left out."""
        return np.where(self.kept, (self.partner >= 0).sum(axis=0), -1)

    @property
    def share(self) -> Float[np.ndarray, " d_sae"]:
        """In what share of the others; NaN for features left out."""
        return np.where(self.kept, self.count / self.n, np.nan)

    @property
    def interval(self) -> tuple[Float[np.ndarray, " d_sae"], Float[np.ndarray, " d_sae"]]:
        """The 95 % interval of the share (Wilson 1927), with the others as draws of all such dictionaries."""
        low, high = wilson(np.maximum(self.count, 0), np.full(len(self.count), self.n))
        return tuple(np.where(self.kept, end, np.nan) for end in (low, high))

    @property
    def chance(self) -> Float[np.ndarray, " d_sae"]:
        """The share that is expected by chance."""
        return self.chance_in.mean(axis=0)

    @cached_property
    def expected(self) -> Float[np.ndarray, " times"]:
        """How many features would return in 0, 1 … n others by chance, if these were independent."""
        chance = self.chance_in[:, self.kept]
        times = np.zeros((self.n + 1, chance.shape[1]))
        times[0] = 1
        for p in chance:
            times[1:] = times[1:] * (1 - p) + times[:-1] * p
            times[0] *= 1 - p
        return times.sum(axis=1)

    def at_least(self, times: int) -> Int[np.ndarray, " chosen"]:
        """Return the features that return in so many others or more."""
        return np.flatnonzero(self.count >= max(times, 0))

    def table(self) -> pd.DataFrame:
        """One row per feature: feature, return_count, return_share, return_low, return_high, return_chance.

        And mean_return_cosine, the mean over the others of the cosine with the nearest feature. NaN for features left
        out.
        """
        low, high = self.interval
        return pd.DataFrame(
            {
                "feature": np.arange(len(self.count)),
                "return_count": np.where(self.kept, self.count, np.nan),
                "return_share": self.share,
                "return_low": low,
                "return_high": high,
                "return_chance": self.chance,
                "mean_return_cosine": self.cos.mean(axis=0, dtype=float),
            }
        )

    def histogram(self) -> pd.DataFrame:
        """One row per number of others: return_count, returning_features, random_features (expected by chance)."""
        found = np.bincount(self.count[self.kept], minlength=self.n + 1)
        return pd.DataFrame(
            {"return_count": np.arange(self.n + 1), "returning_features": found, "random_features": self.expected}
        )

    def by_other(self, names: Sequence[str]) -> pd.DataFrame:
        """One row per other dictionary: returned_in, returned_share and its interval, random_share, both thresholds."""
        rows = []
        for name, one in zip(names, self.returns, strict=True):
            n, found = int(one.kept.sum()), int(one.returned.sum())
            low, high = (float(end[0]) for end in wilson(np.array([found]), np.array([n])))
            chance = float(np.nanmean(one.chance)) if n else np.nan
            rows.append((name, found / max(1, n), low, high, chance, one.threshold, one.chance_threshold))
        names = ["returned_in", "returned_share", "returned_low", "returned_high", "random_share"]
        return pd.DataFrame(rows, columns=[*names, "return_threshold", "chance_threshold"])


def returns(
    between: Between,
    rows: Float[np.ndarray, "d_sae d"],
    moments: SecondMoments,
    *,
    threshold: float = THRESHOLD,
    rule: Rule = "nearest",
    level: float = LEVEL,
    few: Float[np.ndarray, "few d"] | None = None,
) -> Returns:
    """Say which features of A return in B, from the nearest of each (`between`), A's directions and B's moments.

    `few` are the `typical` rows, for a caller that has them already.
    """
    least = chance_threshold(rows if few is None else few, moments, level=level)
    used = max(threshold, least)
    cos, nearest = between.a_in_b_cos[:, 0], between.a_in_b_idx[:, 0]
    if rule == "mutual":
        partner = partners(between, threshold=used)
    else:
        partner = np.where(np.nan_to_num(cos, nan=-2) > used, nearest, -1)
    kept, chance = np.flatnonzero(~np.isnan(cos)), np.full(len(cos), np.nan)
    chance[kept] = chance_of(rows, kept, moments, used)
    return Returns(cos, partner, chance, used, least)


def check_others(dictionary: Dictionary, others: Sequence[Dictionary], side: DictionarySide) -> None:
    """Raise DoesNotFitError unless there is another dictionary, and all have directions in one space."""
    if not others:
        raise DoesNotFitError(
            f"{dictionary.title} is a single dictionary, so nothing says whether its features return. Expected one or "
            "more others of the same hook, such as other seeds; choose them."
        )
    for other in others:
        check_same_space(dictionary, other, side)


def moments_of(dictionary: Dictionary, side: DictionarySide, store: ArtifactStore | None = None) -> SecondMoments:
    """Return the second moments of a dictionary's directions; the `store` keeps them."""

    def compute() -> SecondMoments:
        return second_moments(rows_of(dictionary, side))

    key = SecondMoments.key(dictionary.sha256, side)
    return store.cached(SecondMoments, key, compute) if store else compute()


def stability(
    dictionary: Dictionary,
    others: Sequence[Dictionary],
    side: DictionarySide = "decoder",
    *,
    threshold: float = THRESHOLD,
    rule: Rule = "nearest",
    store: ArtifactStore | None = None,
    progress: Progress = SILENT,
) -> Stability:
    """Look for the features of a dictionary in others, one after the other; memory holds one pair at a time.

    A `store` keeps what takes long: the nearest features of every pair, and second moments. Raises DoesNotFitError (see
    `check_others`).
    """
    check_others(dictionary, others, side)
    rows, found = rows_of(dictionary, side), []
    how = {"threshold": threshold, "rule": rule, "few": typical(rows)}
    with one_thread_per_product():  # once, as asking for it takes as long as a small product
        for done, other in enumerate(others):
            part = Part(progress, done, len(others))
            part.update(0, 1)
            between = nearest_pair(dictionary, other, side, store=store, progress=part)
            found.append(returns(between, rows, moments_of(other, side, store), **how))
    return Stability.of(found)
