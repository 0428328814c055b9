"""Oracles of distances between features. `directions` are decoder rows or encoder columns, one a row."""

from collections import Counter
from itertools import combinations

import numpy as np

from core.oracles.directions import by_nearness, cosine, counted, unit


def nearest_cosine(directions, feature):
    return rth_cosine(directions, feature, 1)


def rth_cosine(directions, feature, r):
    rows = counted(directions)
    return by_nearness(directions, feature, rows)[r - 1][0] if feature in rows else np.nan


def neighbor(directions, feature):
    return by_nearness(directions, feature, counted(directions))[0][1]


def neighbor_rank(directions, feature, neighbor):
    return 1 + [j for _, j in by_nearness(directions, feature, _directed(directions))].index(neighbor)


def neighbor_cosine(directions, feature, neighbor):
    return cosine(directions[feature], directions[neighbor])


def mutual_rank(directions, feature, neighbor, k):
    rank = neighbor_rank(directions, neighbor, feature)
    return rank if rank <= k else None


def interference(d):
    return d**-0.5


def welch_bound(n, d):
    return ((n - d) / (d * (n - 1))) ** 0.5 if n > d else 0.0


def mean_cosine(directions):
    return np.mean([cosine(directions[i], directions[j]) for i, j in combinations(counted(directions), 2)])


def mean_nearest_cosine(directions):
    return np.mean([nearest_cosine(directions, i) for i in counted(directions)])


def largest_cosine(directions):
    return max(cosine(directions[i], directions[j]) for i, j in combinations(counted(directions), 2))


def random_cosine(n, d, r, bin_low, bin_high):
    return n * (_random_below(bin_high, n, d, r) - _random_below(bin_low, n, d, r))


def random_rth_cosine(n, d, neighbor_rank):
    from scipy.optimize import brentq

    return brentq(lambda c: _random_below(c, n, d, neighbor_rank) - 0.5, -1, 1, xtol=1e-12)


def in_degree(directions, feature):
    return sum(neighbor(directions, i) == feature for i in counted(directions))


def in_degree_top(directions, feature, k):
    rows = counted(directions)
    return sum(feature in [j for _, j in by_nearness(directions, i, rows)[:k]] for i in rows)


def bin_low(cosines, bins, bin):
    low, high = np.nanmin(cosines), np.nanmax(cosines)
    return low + (high - low) * bin / bins


def bin_high(cosines, bins, bin):
    return bin_low(cosines, bins, bin + 1)


def features_in_bin(cosines, bin_low, bin_high):
    return len(_inside(cosines, bin_low, bin_high))


def share_in_bin(cosines, bin_low, bin_high):
    return features_in_bin(cosines, bin_low, bin_high) / np.isfinite(cosines).sum()


def distinct_neighbors(directions, cosines, bin_low, bin_high):
    return len(_neighbors_in_bin(directions, cosines, bin_low, bin_high))


def commonest_neighbor(directions, cosines, bin_low, bin_high):
    found = _neighbors_in_bin(directions, cosines, bin_low, bin_high)
    return min(found, key=lambda feature: (-found[feature], feature))


def same_neighbor_share(directions, cosines, bin_low, bin_high):
    found = _neighbors_in_bin(directions, cosines, bin_low, bin_high)
    return max(found.values()) / sum(found.values())


def composed_cosine(directions, feature):
    return _best_sum(directions, feature)[0]


def composed_first(directions, feature):
    return _best_sum(directions, feature)[1]


def composed_second(directions, feature):
    return _best_sum(directions, feature)[2]


def composed_gain(directions, feature):
    return composed_cosine(directions, feature) - nearest_cosine(directions, feature)


def encoder_decoder_cosine(W_enc, W_dec, feature):
    return cosine(W_enc[:, feature], W_dec[feature])


def _directed(directions):
    """Return the rows that have a direction, copies included."""
    return [i for i, row in enumerate(directions) if np.isfinite(row).all() and row.any()]


def _random_below(c, n, d, r):
    """Return the chance that the r-th largest of n − 1 random cosines in d dimensions is at most c."""
    from scipy import stats

    above = stats.beta.sf((c + 1) / 2, (d - 1) / 2, (d - 1) / 2)
    return stats.binom.cdf(r - 1, n - 1, above)


def _inside(cosines, low, high):
    """Return the features whose cosine lies in a bin. The last bin, up to the largest cosine, holds its upper edge."""
    low, high, rounded = round(low, 6), round(high, 6), np.round(cosines, 6)  # shown cosines are float32
    last = high >= np.nanmax(rounded)
    return [i for i, c in enumerate(rounded) if low <= c and (c < high or (last and c <= high))]


def _neighbors_in_bin(directions, cosines, low, high):
    return Counter(neighbor(directions, i) for i in _inside(cosines, low, high))


def _best_sum(directions, feature):
    """Return the best cosine with a sum of two of the 20 nearest, and the two, the nearer first."""
    near = [j for _, j in by_nearness(directions, feature, counted(directions))[:20]]
    units = {j: unit(directions[j]) for j in near}
    sums = [(cosine(directions[feature], units[i] + units[j]), i, j) for i, j in combinations(near, 2)]
    return max(sums, key=lambda found: found[0])
