"""Oracles of what becomes of features in a wider dictionary, and of siblings there.

`narrow` and `wide` are decoder rows, `threshold` is t. `logits` (sibling, token) are logit weights of `siblings`, in
order, which have one parent.
"""

import numpy as np

from core.oracles.directions import cosine, pearson
from core.oracles.matching import match_label, parent, random_ratio


def n_children(narrow, wide, feature, threshold):
    return sum(parent(wide, narrow, child, threshold) == feature for child in range(len(wide)))


def best_child_cosine(narrow, wide, feature):
    return max(cosine(narrow[feature], row) for row in wide)


def mean_children(narrow, wide, threshold):
    return np.mean(_counts(narrow, wide, threshold))


def random_children(narrow, wide, threshold):
    n, d = narrow.shape
    return len(wide) * random_ratio(n, d, threshold) / n


def most_children(narrow, wide, threshold):
    return max(_counts(narrow, wide, threshold))


def childless_share(narrow, wide, threshold):
    return np.mean([n == 0 for n in _counts(narrow, wide, threshold)])


def single_child_share(narrow, wide, threshold):
    return np.mean([n == 1 for n in _counts(narrow, wide, threshold)])


def split_share(narrow, wide, threshold):
    return np.mean([n >= 2 for n in _counts(narrow, wide, threshold)])


def labelled_features(narrow, wide, threshold, label):
    return sum(match_label(wide, narrow, child, threshold) == label for child in range(len(wide)))


def labelled_share(narrow, wide, threshold, label):
    return labelled_features(narrow, wide, threshold, label) / len(wide)


def split_cosine(narrow, wide, coarse_feature, child):
    return cosine(narrow[coarse_feature], wide[child])


def split_step(narrow, wide):
    return f"{len(narrow):,} → {len(wide):,}"


def promoted_tokens(logits, feature, strings):
    best = sorted(range(logits.shape[1]), key=lambda t: (-logits[feature][t], t))[:5]
    return " ".join(repr(strings[t]) for t in best)


def sibling_rank(logits, siblings, sibling, token):
    own = [sibling_difference(logits, siblings, sibling, t) for t in range(logits.shape[1])]
    return 1 + sorted(range(len(own)), key=lambda t: (-own[t], t)).index(token)


def sibling_difference(logits, siblings, sibling, token):
    others = [row for row, one in zip(logits, siblings, strict=True) if one != sibling]
    return logits[list(siblings).index(sibling)][token] - np.mean([float(row[token]) for row in others])


def sibling_correlation(logits, siblings, sibling, other_sibling):
    one, other = (logits[list(siblings).index(i)].astype(float) for i in (sibling, other_sibling))
    return pearson(one, other)


def _counts(narrow, wide, threshold):
    return [n_children(narrow, wide, feature, threshold) for feature in range(len(narrow))]
