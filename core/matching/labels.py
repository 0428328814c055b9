"""Label the features of one dictionary by their relation to another: novel, kept, split or merged.

The labels come from cosines over a threshold, both ways. Usually the wider dictionary is labelled.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.errors import OutOfRangeError
from core.matching.pairs import THRESHOLD

LABELS = ("novel", "reconstruction", "split", "merged")
LEFT_OUT = -1


@dataclass(frozen=True)
class Relation:
    """How the features of one dictionary relate to those of another.

    The parent of a feature is the nearest feature of the other dictionary, if their cosine is over the threshold.
    A feature without a parent is 'novel'. Otherwise it is 'merged' if it is the nearest, over the threshold, of at
    least two features of the other dictionary; else 'split' if another feature has the same parent; else a
    'reconstruction'.
    """

    label: Int[np.ndarray, " d_sae"]
    """Place in LABELS; LEFT_OUT for features left out."""
    parent: Int[np.ndarray, " d_sae"]
    """Feature of the other dictionary; -1 without one."""
    siblings: Int[np.ndarray, " d_sae"]
    """Number of other features with the same parent."""
    merged_from: Int[np.ndarray, " d_sae"]
    """Number of features of the other dictionary whose nearest, over the threshold, is this one."""
    d_sae_other: int

    def children(self, parent: int) -> Int[np.ndarray, " child"]:
        """Return the features with this parent. Raises OutOfRangeError unless the other dictionary has `parent`."""
        if not 0 <= parent < self.d_sae_other:
            raise OutOfRangeError("Feature", parent, self.d_sae_other)
        return np.flatnonzero(self.parent == parent)

    @property
    def counts(self) -> dict[str, int]:
        """Number of features with each label."""
        return {name: int(np.count_nonzero(self.label == i)) for i, name in enumerate(LABELS)}


def relate(
    cos: Float[np.ndarray, " d_sae"],
    nearest: Int[np.ndarray, " d_sae"],
    other_cos: Float[np.ndarray, " d_sae_other"],
    other_nearest: Int[np.ndarray, " d_sae_other"],
    *,
    threshold: float = THRESHOLD,
) -> Relation:
    """Label features by `nearest`, the nearest of each in the other dictionary, and `other_nearest`, the reverse.

    The arguments are first columns of a `Between`. To label B, pass b_in_a_cos[:, 0], b_in_a_idx[:, 0],
    a_in_b_cos[:, 0] and a_in_b_idx[:, 0].
    """
    n, n_other = len(cos), len(other_cos)
    parent = np.where(cos > threshold, nearest, -1)
    merged_from = np.bincount(other_nearest[other_cos > threshold], minlength=n)
    family = np.bincount(parent[parent >= 0], minlength=n_other)
    siblings = np.where(parent >= 0, family[parent] - 1, 0)
    tests = [np.isnan(cos), parent < 0, merged_from > 1, siblings > 0]
    label = np.select(tests, [LEFT_OUT, *(LABELS.index(name) for name in ("novel", "merged", "split"))], 1)
    return Relation(label, parent, siblings, merged_from, n_other)
