"""What an effect is compared with: changes of the same length that are not the one in question.

Three kinds: random directions, decoder rows of other features (of like density and activation), and the opposite
sign. At each token a control is exactly as long as the edit, and points one way or the other as the edit does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.errors import BadSettingError
from core.interventions.runs import Push

TAIL = 0.05
NEAR = 5
"""Other features are drawn from so many times as many that are most alike."""
RANDOM, FEATURE, OPPOSITE = "random direction", "other feature", "opposite sign"
KINDS = (RANDOM, FEATURE, OPPOSITE)
EDITED = "with the edit"
"""What stands beside the kinds of controls for the edit itself."""


@dataclass(frozen=True)
class ControlSettings:
    """How controls are drawn. Raises BadSettingError for fewer than 2 of a kind."""

    n: int = 20
    """Random directions, and as many other features."""
    seed: int = 0

    def __post_init__(self):
        if self.n < 2:
            raise BadSettingError(f"{self.n} controls make no band: expected at least 2. Choose more.")


@dataclass(frozen=True, eq=False)
class Controls:
    """Directions of length 1 that stand in for the edit's own."""

    random: Float[np.ndarray, "n d_out"]
    others: Float[np.ndarray, "m d_out"]
    features: Int[np.ndarray, " m"]
    """The features whose rows `others` are."""

    @property
    def kinds(self) -> list[str]:
        """The kind of each of `changes`."""
        return [RANDOM] * len(self.random) + [FEATURE] * len(self.others) + [OPPOSITE]

    def changes(self, written: Float[np.ndarray, "row pos d_out"]) -> list[Push]:
        """Return a control in each direction, as long at each token as what an edit writes, and its negative."""
        sizes = signed_lengths(written)
        pushes = [Push(direction, sizes) for direction in (*self.random, *self.others)]
        return [*pushes, Push(-written, np.ones(written.shape[:2]))]


def signed_lengths(written: Float[np.ndarray, "row pos d_out"]) -> Float[np.ndarray, "row pos"]:
    """Return the length of what is written at each token, negative where it points away from their sum.

    So a clamp, which adds at some tokens and subtracts at others, has controls that do so too.
    """
    whole = written.astype(np.float64)
    total = whole.sum(axis=(0, 1))
    return np.linalg.norm(whole, axis=-1) * np.where(whole @ total < 0, -1.0, 1.0)


def draw_controls(
    W_dec: Float[np.ndarray, "d_sae d_out"],
    edited: Sequence[int],
    settings: ControlSettings,
    *,
    like: pd.DataFrame | None = None,
) -> Controls:
    """Draw directions by a seed. `like` has `density` and `mean_active` of every feature; without it, no features.

    Drawn are features that are active at all, not edited, and write anything; there may be fewer than asked for.
    """
    rng = np.random.default_rng(settings.seed)
    random = _unit(rng.normal(size=(settings.n, W_dec.shape[1])))
    features = np.zeros(0, np.int64)
    if like is not None:
        writes = (W_dec != 0).any(axis=1)
        near = most_alike(like, edited, NEAR * settings.n, among=writes)
        n = min(settings.n, len(near))
        features = np.sort(rng.choice(near, n, replace=False)) if n > 1 else features  # one makes no band
    return Controls(random, _unit(W_dec[features].astype(np.float64)), features)


def most_alike(
    like: pd.DataFrame, edited: Sequence[int], n: int, *, among: Bool[np.ndarray, " d_sae"]
) -> Int[np.ndarray, " n"]:
    """Return the n active features nearest to the edited ones in log density and log mean when active.

    Each is in units of its standard deviation over active features. Several edited features count by their mean;
    where all are silent, every active feature is as near.
    """
    active = among & (like["density"].to_numpy() > 0) & (like["mean_active"].to_numpy() > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.log(like[["density", "mean_active"]].to_numpy(dtype=float))
    if not active.any():
        return np.zeros(0, np.int64)
    spread = place[active].std(axis=0)
    place = place / np.where(spread > 0, spread, 1)
    own = [i for i in edited if active[i]]
    distance = np.square(place - place[own].mean(axis=0)).sum(axis=1) if own else np.zeros(len(place))
    active[list(edited)] = False
    candidates = np.flatnonzero(active)
    return candidates[np.argsort(distance[candidates], kind="stable")[:n]]


def _unit(rows: Float[np.ndarray, "n d_out"]) -> Float[np.ndarray, "n d_out"]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Band:
    """Where the effects of n controls lie. One more control lies inside with probability `rate`, if it is like them."""

    low: Float[np.ndarray, "*what"]
    high: Float[np.ndarray, "*what"]
    n: int
    rate: float

    def outside(self, effect: Float[np.ndarray, "*what"]) -> Bool[np.ndarray, "*what"]:
        """Return where an effect lies outside; NaN lies nowhere."""
        return np.asarray((effect < self.low) | (effect > self.high))


def band(effects: Float[np.ndarray, "n *what"], *, tail: float = TAIL) -> Band:
    """Return the band of controls that leaves about the share `tail` of them on either side.

    Its ends are the k-th smallest and the k-th largest effect, k = tail (n + 1) rounded down, at least 1. A further
    effect drawn like them lies between them with probability (n + 1 - 2k) / (n + 1), whatever its distribution.
    NaN (a control that overflows) makes the band NaN there.
    """
    n = len(effects)
    if n < 2:
        raise BadSettingError(f"{n} controls make no band: expected at least 2. Choose more.")
    k = max(1, int(tail * (n + 1) + 1e-9))
    ordered = np.sort(effects, axis=0)
    missing = np.isnan(effects).any(axis=0)
    low, high = (np.where(missing, np.nan, end) for end in (ordered[k - 1], ordered[n - k]))
    return Band(low, high, n, (n + 1 - 2 * k) / (n + 1))
