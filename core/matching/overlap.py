"""What three dictionaries share: group each feature by the dictionaries in which it has a mutual nearest neighbour.

After the overlap of three seeds in Paulo & Belrose 2025; they pair features by assignment, we by mutual nearest.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from core.geometry.neighbors import Between
from core.matching.matrix import turned

NAMES = "ABC"
ALL, ALL_OPEN = "A, B and C", "A, B and C, open"
REGIONS = ("A alone", "B alone", "C alone", "A and B", "A and C", "B and C", ALL, ALL_OPEN)
"""A feature is in ALL_OPEN if it has a partner in both other dictionaries, and these two are not partners."""


def partners(between: Between, *, threshold: float) -> Int[np.ndarray, " d_sae_a"]:
    """Return, for each feature of A, its mutual nearest in B if their cosine is over the threshold, else -1."""
    cos, there, back = between.a_in_b_cos[:, 0], between.a_in_b_idx[:, 0], between.b_in_a_idx[:, 0]
    mutual = (there >= 0) & (back[there] == np.arange(len(there))) & (cos > threshold)
    return np.where(mutual, there, -1)


def overlap_table(ab: Between, ac: Between, bc: Between, titles: Sequence[str], *, threshold: float) -> pd.DataFrame:
    """One row per dictionary and region that it belongs to.

    Columns: dictionary (of `titles`), overlap_region (of REGIONS), overlap_features, overlap_share. A feature that is
    left out is in no region. ALL has the same number of features in all three dictionaries.
    """
    pairs = {(0, 1): ab, (0, 2): ac, (1, 2): bc}
    partner = {}
    for (one, other), between in pairs.items():
        partner[one, other] = partners(between, threshold=threshold)
        partner[other, one] = partners(turned(between), threshold=threshold)
    kept = [ab.a_in_b_idx[:, 0] >= 0, ab.b_in_a_idx[:, 0] >= 0, ac.b_in_a_idx[:, 0] >= 0]
    rows = []
    for own in range(3):
        one, other = (place for place in range(3) if place != own)
        first, second = partner[own, one], partner[own, other]
        agree = (first >= 0) & (second >= 0) & (partner[one, other][first] == second)
        groups = {
            f"{NAMES[own]} alone": (first < 0) & (second < 0) & kept[own],
            _pair(own, one): (first >= 0) & (second < 0),
            _pair(own, other): (first < 0) & (second >= 0),
            ALL: agree,
            ALL_OPEN: (first >= 0) & (second >= 0) & ~agree,
        }
        counts = {region: int(np.count_nonzero(group)) for region, group in groups.items()}
        total = max(1, sum(counts.values()))
        rows += [(titles[own], region, count, count / total) for region, count in counts.items()]
    return pd.DataFrame(rows, columns=["dictionary", "overlap_region", "overlap_features", "overlap_share"])


def _pair(one: int, other: int) -> str:
    first, second = sorted((one, other))
    return f"{NAMES[first]} and {NAMES[second]}"
