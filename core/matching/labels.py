"""What became of features in a wider dictionary: new, kept, split, or merged; and which belong to which.

By decoder cosines over a threshold, in either direction; the wider dictionary is usually the one to label.
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

    A feature's parent is its nearest of the other dictionary, if their cosine is over the threshold. It is 'novel'
    without one; 'merged' if at least two of the other dictionary have it as nearest, over the threshold; else
    'split' if its parent is the parent of another one too; else a 'reconstruction'.
    """

    label: Int[np.ndarray, " d_sae"]
    """Place in LABELS; LEFT_OUT for features left out."""
    parent: Int[np.ndarray, " d_sae"]
    """Feature of the other dictionary; -1 without one."""
    siblings: Int[np.ndarray, " d_sae"]
    """How many others have the same parent."""
    merged_from: Int[np.ndarray, " d_sae"]
    """How many of the other dictionary have it as nearest, over the threshold."""
    d_sae_other: int

    def children(self, parent: int) -> Int[np.ndarray, " child"]:
        """Return the features with this parent. Raises OutOfRangeError for a feature the other has not."""
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
    """Label features by the nearest of each in the other dictionary, and of each there in this one.

    These are first columns of a `Between`: to label B, b_in_a_cos[:, 0], b_in_a_idx[:, 0] and the same of a_in_b.
    """
    n, n_other = len(cos), len(other_cos)
    parent = np.where(cos > threshold, nearest, -1)
    merged_from = np.bincount(other_nearest[other_cos > threshold], minlength=n)
    family = np.bincount(parent[parent >= 0], minlength=n_other)
    siblings = np.where(parent >= 0, family[parent] - 1, 0)
    tests = [np.isnan(cos), parent < 0, merged_from > 1, siblings > 0]
    label = np.select(tests, [LEFT_OUT, *(LABELS.index(name) for name in ("novel", "merged", "split"))], 1)
    return Relation(label, parent, siblings, merged_from, n_other)
