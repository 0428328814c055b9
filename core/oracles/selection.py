"""Oracles of what the members of a selection share. `members` says of each feature whether it is one.

`numbers` holds a number of every feature by title, NaN where it has none, and `texts` a set of texts. `active` is
f ≠ 0 (token, feature), and `drawn` (selection, feature) are the selections that were drawn.
"""

from math import comb

import numpy as np

_FEWEST = 5


def member_median(numbers, members, compared):
    return np.median(_sides(numbers, members, compared)[0]) if compared in numbers else None


def other_median(numbers, members, compared):
    return np.median(_sides(numbers, members, compared)[1]) if compared in numbers else None


def member_larger(numbers, members, compared):
    if compared not in numbers:
        return None
    mine, others = _sides(numbers, members, compared)
    return np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a in mine for b in others])


def member_share(texts, members, compared, compared_value):
    return _share(texts, members, compared, compared_value) if compared in texts else None


def other_share(texts, members, compared, compared_value):
    return _share(texts, ~members, compared, compared_value) if compared in texts else None


def n_members(numbers, texts, members, compared):
    return _n(numbers, texts, members, compared)


def n_others(numbers, texts, members, compared):
    return _n(numbers, texts, ~members, compared)


def log10_q_members(numbers, texts, members, compared, compared_value):
    rows = [(name, "") for name in numbers] + [(name, text) for name in texts for text in set().union(*texts[name])]
    rows = [row for row in rows if _is_compared(numbers, texts, members, *row)]
    p = {row: _p(numbers, texts, members, *row) for row in rows}
    return _log10_q(p.values(), p[compared, compared_value])


def member_lift(active, members, feature):
    return _lift(active, members, feature)


def chance_lift(active, drawn, feature):
    lifts = [_lift(active, one, feature) for one in drawn]
    return np.nanmedian(lifts) if not np.isnan(lifts).all() else np.nan


def log10_q_together(active, members, drawn, feature):
    mine = [i for i in range(len(members)) if members[i] and active[:, i].any()]
    p = {}
    for one in mine:
        lift, lifts = _lift(active, members, one), np.array([_lift(active, other, one) for other in drawn])
        p[one] = 1.0 if np.isnan(lift) else (1 + sum(lifts >= lift - 1e-12)) / (1 + len(drawn))
    return _log10_q(p.values(), p[feature])


def _sides(numbers, members, compared):
    values = numbers[compared]
    return values[members & ~np.isnan(values)], values[~members & ~np.isnan(values)]


def _having(texts, side, compared):
    """Return the texts of each feature of a side that has any."""
    return [own for own, here in zip(texts[compared], side, strict=True) if here and own]


def _share(texts, side, compared, text):
    having = _having(texts, side, compared)
    return sum(text in own for own in having) / len(having)


def _n(numbers, texts, side, compared):
    if compared in texts:
        return len(_having(texts, side, compared))
    return int(sum(side & ~np.isnan(numbers[compared])))


def _is_compared(numbers, texts, members, compared, text):
    n, m = n_members(numbers, texts, members, compared), n_others(numbers, texts, members, compared)
    features = sum(text in own for own in texts[compared]) if compared in texts else _FEWEST
    return min(n, m, features) >= _FEWEST


def _p(numbers, texts, members, compared, text):
    if compared in numbers:
        return _p_of_ranks(*_sides(numbers, members, compared))
    mine, others = _having(texts, members, compared), _having(texts, ~members, compared)
    n, total = len(mine), len(mine) + len(others)
    has, k = sum(text in own for own in mine + others), sum(text in own for own in mine)
    ways = sum(comb(has, j) * comb(total - has, n - j) for j in range(k, min(has, n) + 1))
    return ways / comb(total, n)


def _p_of_ranks(mine, others):
    from scipy.stats import norm

    n, m = len(mine), len(others)
    u = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in mine for b in others)
    _, ties = np.unique(np.append(mine, others), return_counts=True)
    spread = np.sqrt(n * m / 12 * (n + m + 1 - sum(float(t) ** 3 - t for t in ties) / ((n + m) * (n + m - 1))))
    away = max(abs(u - n * m / 2) - 0.5, 0)
    return min(2 * norm.sf(away / spread), 1.0) if spread > 0 else 1.0


def _log10_q(every_p, p):
    ranked = sorted(every_p)
    return np.log10(min(value * len(ranked) / (j + 1) for j, value in enumerate(ranked) if value >= p))


def _lift(active, members, feature):
    others = [i for i in range(len(members)) if members[i] and i != feature]
    beside = active[:, others].any(axis=1)
    return beside[active[:, feature]].mean() / beside.mean() if beside.any() else np.nan
