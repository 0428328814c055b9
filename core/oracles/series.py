"""Oracles of what several dictionaries share, and of the one thing in which two of them differ.

`three` holds directions in rows for each of A, B and C; `own` is the place of the dictionary in question. `labels`
holds for each dictionary its labels by name; `names` are those that count as factors. `pairs` are pairs of places.
"""

import numpy as np

from core.oracles.directions import cosine, directed
from core.oracles.stability import return_count

_NAMES = "ABC"


def overlap_features(three, threshold, own, overlap_region):
    return sum(_region(three, threshold, own, feature) == overlap_region for feature in directed(three[own]))


def overlap_share(three, threshold, own, overlap_region):
    return overlap_features(three, threshold, own, overlap_region) / len(directed(three[own]))


def match_factor(labels, names, pairs, pair):
    one, other = (labels[place] for place in pairs[pair])
    return next(name for name in names if one.get(name) != other.get(name))


def factor_change(labels, names, pairs, pair):
    factor = match_factor(labels, names, pairs, pair)
    one, other = (labels[place][factor] for place in pairs[pair])
    return f"{one} → {other}"


def core_features(directions, others, used, times):
    if times is None:
        return len(directions)
    return sum((return_count(directions, others, used, i) or 0) >= times for i in directed(directions))


def _region(three, threshold, own, feature):
    """Say where a feature has a mutual nearest over the threshold; 'open' where those two do not have each other."""
    others = [place for place in range(3) if place != own]
    found = {place: _partner(three[own], three[place], threshold, feature) for place in others}
    there = [place for place in others if found[place] is not None]
    if len(there) == 2:
        first, second = there
        closed = _partner(three[first], three[second], threshold, found[first]) == found[second]
        return "A, B and C" if closed else "A, B and C, open"
    return " and ".join(sorted(_NAMES[place] for place in (own, *there))) + (" alone" if not there else "")


def _partner(rows, others, threshold, feature):
    there = _nearest(rows[feature], others)
    mutual = _nearest(others[there], rows) == feature and cosine(rows[feature], others[there]) > threshold
    return there if mutual else None


def _nearest(row, others):
    kept = directed(others)
    return kept[int(np.argmax([cosine(row, others[j]) for j in kept]))]
