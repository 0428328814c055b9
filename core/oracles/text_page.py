"""Oracles of a person's own texts. `acts_a` and `acts_b` are f (token, feature); `units_a` number each token's unit."""

from itertools import combinations

import numpy as np


def text_activation(acts_a, feature, token_number):
    return acts_a[token_number, feature]


def text_max(acts_a, feature):
    return max(acts_a[:, feature], key=abs)


def text_sum(acts_a, feature):
    return acts_a[:, feature].sum()


def text_mean(acts_a, feature):
    return text_sum(acts_a, feature) / len(acts_a)


def text_tokens(acts_a, feature):
    return sum(acts_a[:, feature] != 0)


def largest_share(acts_a, feature, largest):
    return text_max(acts_a, feature) / largest[feature]


def share_weighted(acts_a, feature, largest):
    return text_max(acts_a, feature) * largest_share(acts_a, feature, largest)


def token_l0(acts_a, token_number):
    return sum(acts_a[token_number] != 0)


def token_error(x, x_hat, token_number):
    return np.sqrt(((x[token_number] - x_hat[token_number]) ** 2).sum())


def token_error_share(x, x_hat, token_number):
    return token_error(x, x_hat, token_number) ** 2 / (x[token_number] ** 2).sum()


def text_auc(acts_a, acts_b, feature):
    pairs = [(f, g) for f in acts_a[:, feature] for g in acts_b[:, feature]]
    return np.mean([1.0 if f > g else 0.5 if f == g else 0.0 for f, g in pairs])


def rank_biserial(acts_a, acts_b, feature):
    return 2 * text_auc(acts_a, acts_b, feature) - 1


def higher_in(acts_a, acts_b, feature):
    auc = text_auc(acts_a, acts_b, feature)
    return "A" if auc > 0.5 else "B" if auc < 0.5 else "neither"


def text_p(acts_a, acts_b, feature):
    from scipy.stats import norm

    n_a, n_b = len(acts_a), len(acts_b)
    n, u = n_a + n_b, text_auc(acts_a, acts_b, feature) * n_a * n_b
    _, ties = np.unique(np.append(acts_a[:, feature], acts_b[:, feature]), return_counts=True)
    spread = np.sqrt(n_a * n_b / 12 * (n + 1 - sum(float(t) ** 3 - t for t in ties) / (n * (n - 1))))
    away = max(abs(u - n_a * n_b / 2) - 0.5, 0)
    return min(2 * norm.sf(away / spread), 1.0) if spread > 0 else 1.0


def minus_log10_p(acts_a, acts_b, feature):
    return -np.log10(text_p(acts_a, acts_b, feature))


def text_q(acts_a, acts_b, feature):
    tested = _active(acts_a, acts_b)
    return _q({i: text_p(acts_a, acts_b, i) for i in tested}, feature)


def mean_a(acts_a, feature):
    return acts_a[:, feature].mean()


def mean_b(acts_b, feature):
    return acts_b[:, feature].mean()


def mean_difference(acts_a, acts_b, feature):
    return mean_a(acts_a, feature) - mean_b(acts_b, feature)


def rate_a(acts_a, feature):
    return tokens_a(acts_a, feature) / len(acts_a)


def rate_b(acts_b, feature):
    return tokens_b(acts_b, feature) / len(acts_b)


def rate_difference(acts_a, acts_b, feature):
    return rate_a(acts_a, feature) - rate_b(acts_b, feature)


def tokens_a(acts_a, feature):
    return sum(acts_a[:, feature] != 0)


def tokens_b(acts_b, feature):
    return sum(acts_b[:, feature] != 0)


def unit_mean_a(acts_a, units_a, feature):
    return np.mean(_units(acts_a, units_a, feature))


def unit_mean_b(acts_b, units_b, feature):
    return np.mean(_units(acts_b, units_b, feature))


def unit_difference(acts_a, acts_b, units_a, units_b, feature):
    return unit_mean_a(acts_a, units_a, feature) - unit_mean_b(acts_b, units_b, feature)


def units_a(acts_a, units_a, feature):
    return sum(mean != 0 for mean in _units(acts_a, units_a, feature))


def units_b(acts_b, units_b, feature):
    return sum(mean != 0 for mean in _units(acts_b, units_b, feature))


def unit_z(acts_a, acts_b, units_a, units_b, feature):
    return _deals(acts_a, acts_b, units_a, units_b, feature)[0]


def unit_higher_in(acts_a, acts_b, units_a, units_b, feature):
    difference = round(unit_difference(acts_a, acts_b, units_a, units_b, feature), 12)
    return "A" if difference > 0 else "B" if difference < 0 else "neither"


def unit_p(acts_a, acts_b, units_a, units_b, feature):
    z = np.abs(_deals(acts_a, acts_b, units_a, units_b, feature))
    return np.mean(z >= z[0] - 1e-9)


def unit_q(acts_a, acts_b, units_a, units_b, feature):
    given = acts_a, acts_b, units_a, units_b
    return _q({i: unit_p(*given, i) for i in _active(acts_a, acts_b)}, feature)


def family_p(acts_a, acts_b, units_a, units_b, feature):
    each = [np.abs(_deals(acts_a, acts_b, units_a, units_b, i)) for i in _active(acts_a, acts_b)]
    own = np.abs(_deals(acts_a, acts_b, units_a, units_b, feature))[0]
    return np.mean(np.max(each, axis=0) >= own - 1e-9)


def prompt_activation_a(acts_a, feature, token_number):
    return acts_a[token_number, feature]


def prompt_activation_b(acts_b, feature, token_number):
    return acts_b[token_number, feature]


def prompt_difference(acts_a, acts_b, feature, token_number):
    return acts_a[token_number, feature] - acts_b[token_number, feature]


def difference_sum(acts_a, acts_b, feature):
    return sum(abs(f - g) for f, g in _pairs(acts_a, acts_b, feature))


def difference_max(acts_a, acts_b, feature):
    return max(abs(f - g) for f, g in _pairs(acts_a, acts_b, feature))


def prompt_difference_sum(acts_a, acts_b, feature):
    return sum(f - g for f, g in _pairs(acts_a, acts_b, feature))


def differing_tokens(acts_a, acts_b, feature):
    return sum(int(f != g) for f, g in _pairs(acts_a, acts_b, feature))


def _pairs(acts_a, acts_b, feature):
    return zip(acts_a[:, feature], acts_b[:, feature], strict=True)


def _active(acts_a, acts_b):
    """Return the features that are active in either text."""
    return [i for i in range(acts_a.shape[1]) if acts_a[:, i].any() or acts_b[:, i].any()]


def _q(p, feature):
    """Return Benjamini and Hochberg's q of one of several p."""
    ranked = sorted(p.values())
    return min(value * len(ranked) / (j + 1) for j, value in enumerate(ranked) if value >= p[feature])


def _units(acts, units, feature):
    return [acts[units == unit, feature].mean() for unit in range(max(units) + 1)]


def _deals(acts_a, acts_b, units_a, units_b, feature):
    """Return the standardised sum over A's units for every deal of the units, the true one first."""
    means = np.array(_units(acts_a, units_a, feature) + _units(acts_b, units_b, feature))
    sums = np.array([means[list(deal)].sum() for deal in combinations(range(len(means)), max(units_a) + 1)])
    return (sums - sums.mean()) / sums.std() if np.ptp(means) > 1e-9 else np.zeros(len(sums))
