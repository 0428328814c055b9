"""Edits of feature activations: ablate, set to the mean, clamp, scale and add. Pure functions on `acts`."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from jaxtyping import Bool, Float

from core.errors import BadSettingError, OutOfRangeError

KINDS = ("ablate", "mean", "clamp", "scale", "add")
"""Activations become 0, their mean, the amount, the amount times themselves, or themselves plus the amount."""


@dataclass(frozen=True)
class Edit:
    """What is done to the activations of some features. Raises BadSettingError for an amount that is no number."""

    features: tuple[int, ...]
    kind: str = "ablate"
    """One of KINDS."""
    amount: float = 0.0
    """Of clamp and add in units of the activation, of scale a factor; the other kinds have none."""
    means: tuple[float, ...] = ()
    """Of `mean`: for each of the features its mean over all tokens of a text that the caller names."""
    positions: tuple[int, ...] | None = None
    """Positions in every row that are edited; None: all."""
    only_where: int | None = None
    """A feature that must fire on a token for the token to be edited; None: no condition."""

    def __post_init__(self):
        assert self.kind in KINDS, self.kind
        assert self.kind != "mean" or len(self.means) == len(self.features)
        if not isfinite(self.amount):
            raise BadSettingError(
                f"An edit cannot {self.kind} by {self.amount}: expected a finite number. Type another amount."
            )

    def check(self, d_sae: int) -> None:
        """Raise OutOfRangeError unless a dictionary has all features that are named."""
        for feature in (*self.features, *([] if self.only_where is None else [self.only_where])):
            if not 0 <= feature < d_sae:
                raise OutOfRangeError("Feature", feature, d_sae)


def allowed(acts: Float[np.ndarray, "row pos d_sae"], edit: Edit) -> Bool[np.ndarray, "row pos"]:
    """Return the tokens that an edit may touch, by position and by the feature that must fire."""
    at = np.ones(acts.shape[:2], bool)
    if edit.positions is not None:
        at &= np.isin(np.arange(acts.shape[1]), edit.positions)
    return at if edit.only_where is None else at & (acts[..., edit.only_where] != 0)


def edited(acts: Float[np.ndarray, "row pos d_sae"], edit: Edit) -> Float[np.ndarray, "row pos d_sae"]:
    """Return new activations. Raises OutOfRangeError for features that there are not.

    Add may make them negative: it steers against what the feature writes. An amount that float32 cannot hold
    becomes infinite.
    """
    edit.check(acts.shape[-1])
    features, new = list(edit.features), acts.copy()
    old = acts[..., features]
    with np.errstate(over="ignore", invalid="ignore"):
        amount = np.float32(edit.amount)
        values = {
            "ablate": lambda: np.zeros_like(old),
            "mean": lambda: np.broadcast_to(np.array(edit.means, old.dtype), old.shape),
            "clamp": lambda: np.full_like(old, amount),
            "scale": lambda: old * amount,
            "add": lambda: old + amount,
        }[edit.kind]()
    new[..., features] = np.where(allowed(acts, edit)[..., None], values, old)
    return new
