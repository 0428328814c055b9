"""Which feature to show first: one whose examples a person can read."""

import numpy as np

from core.activations.statistics import ActivationStatistics

LEAST_TOKENS, MOST_SHARE = 10, 0.01
"""A feature on fewer tokens has few examples, and one on a larger share of them seldom has one meaning."""


def clearest_feature(statistics: ActivationStatistics) -> int | None:
    """Return the feature with the largest mean when active; None if none is active. Position 0 does not count.

    Only features on at least LEAST_TOKENS tokens and at most MOST_SHARE of them, if there are such.
    """
    count, total = statistics.count[1], statistics.total[1]
    if not count.any():
        return None
    most = MOST_SHARE * statistics.n_tokens(with_first=False)
    readable = (count >= LEAST_TOKENS) & (count <= most)
    among = np.flatnonzero(readable if readable.any() else count > 0)
    return int(among[(total[among] / count[among]).argmax()])
