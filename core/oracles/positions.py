"""Oracles of positional features. `acts` and `pre_acts` are f and a (token or row, position, feature)."""

import numpy as np

from core.oracles.directions import cosine, unit


def mean_activation(acts, feature, position):
    return _at(acts, feature, position).mean()


def std_activation(acts, feature, position):
    f = _at(acts, feature, position)
    return np.sqrt(((f - f.mean()) ** 2).mean())


def firing_rate(acts, feature, position):
    return sum(_at(acts, feature, position) != 0) / len(acts)


def firing_count(acts, feature, context_size):
    return max(int(sum(_at(acts, feature, p) != 0)) for p in range(context_size))


def mean_pre_activation(pre_acts, feature, position):
    return mean_activation(pre_acts, feature, position)


def std_pre_activation(pre_acts, feature, position):
    return std_activation(pre_acts, feature, position)


def position_score(acts, feature, context_size):
    return max(_curve(acts, feature, context_size))


def rank(acts, feature, context_size):
    scores = [position_score(acts, i, context_size) for i in range(acts.shape[-1])]
    return 1 + sum(s > scores[feature] or (s == scores[feature] and i < feature) for i, s in enumerate(scores))


def n_positional(acts, context_size):
    scores = sorted((position_score(acts, i, context_size) for i in range(acts.shape[-1])), reverse=True)
    if len(scores) < 2 or scores[0] <= 0:
        return 0
    floored = [max(s, scores[0] / 1000) for s in scores]
    places = [r for r in range(1, len(scores) // 2 + 1) if scores[r - 1] >= scores[0] / 100]
    falls = {r: scores[r - 1] / floored[2 * r - 1] for r in places}
    r = max(falls, key=falls.get)
    if falls[r] <= 1:
        return 0
    least = np.sqrt(scores[r - 1] * floored[2 * r - 1])
    those = [i for i in range(acts.shape[-1]) if position_score(acts, i, context_size) >= least * (1 - 1e-9)]
    explained = np.median([np.nan_to_num(positional_r2(acts, i, context_size)) for i in those])
    n = len(acts)
    return len(those) if explained > 3 * (context_size - 1) / (n * context_size - 1) else 0


def peak(acts, feature, context_size, above=0.0):
    curve = _curve(acts, feature, context_size)
    return curve.index(max(curve)) if max(curve) > above else -1


def peak_width(acts, feature, context_size):
    curve = _curve(acts, feature, context_size)
    top, at = max(curve), curve.index(max(curve))
    return _reach(curve[at:], top / 2) + _reach(curve[at::-1], top / 2) if top > 0 else np.nan


def features_peaking(acts, features, context_size, position):
    return sum(peak(acts, feature, context_size) == position for feature in features)


def activation(acts, feature, token, position):
    return acts[token, position, feature]


def token_score_of_token(acts, feature, token, context_size):
    return acts[token, :context_size, feature].mean()


def token_score(acts, feature, context_size):
    return max(token_score_of_token(acts, feature, t, context_size) for t in range(len(acts)))


def token_best(acts, feature, context_size):
    scores = [token_score_of_token(acts, feature, t, context_size) for t in range(len(acts))]
    silent = not acts[:, :context_size, feature].any()
    return -1 if silent else scores.index(max(scores))


def mutual_information(acts, feature, context_size):
    rates = [firing_rate(acts, feature, p) for p in range(context_size)]
    r = np.mean(rates)
    return np.mean([_nats(q, r) + _nats(1 - q, 1 - r) for q in rates])


def t_score(pre_acts, feature, context_size):
    """A standard deviation under a millionth of the mean is rounding of a constant."""
    found = []
    for p in range(context_size):
        mean, std = mean_activation(pre_acts, feature, p), std_activation(pre_acts, feature, p)
        found += [mean / std] if std > 1e-6 * abs(mean) else []
    return max(found, default=np.nan)


def inverse_token_score(pre_acts, feature, context_size):
    return min(np.std(pre_acts[t, :context_size, feature]) for t in range(len(pre_acts)))


def inverse_position_score(pre_acts, feature, context_size):
    return min(std_activation(pre_acts, feature, p) for p in range(context_size))


def variance(acts, feature, context_size):
    f = acts[:, :context_size, feature]
    return ((f - f.mean()) ** 2).mean()


def share_position(acts, feature, context_size):
    return _share(np.var(_curve(acts, feature, context_size)), variance(acts, feature, context_size))


def share_token(acts, feature, context_size):
    scores = [token_score_of_token(acts, feature, t, context_size) for t in range(len(acts))]
    return _share(np.var(scores), variance(acts, feature, context_size))


def share_interaction(acts, feature, context_size):
    return 1 - share_position(acts, feature, context_size) - share_token(acts, feature, context_size)


def positional_r2(acts, feature, context_size):
    return share_position(acts, feature, context_size)


def only_beyond(acts, feature, context_size):
    f = acts[..., feature]
    return sum(not row[:context_size].any() and bool(row[context_size:].any()) for row in f)


def beyond_score(acts, feature, context_size):
    if acts[:, :context_size, feature].any():
        return 0.0
    return max((mean_activation(acts, feature, p) for p in range(context_size, acts.shape[1])), default=0.0)


def mean_unit(values, unit, position):
    return values[:, position, unit].mean()


def largest_mean_unit(values, unit):
    return max(mean_unit(values, unit, p) for p in range(values.shape[1]))


def cosine_with_position(directions, W_pos, feature, position):
    return cosine(directions[feature], W_pos[position])


def max_cosine(directions, W_pos, feature, context_size):
    return max(cosine_with_position(directions, W_pos, feature, p) for p in range(context_size))


def nearest_position(directions, W_pos, feature, context_size):
    cosines = [cosine_with_position(directions, W_pos, feature, p) for p in range(context_size)]
    return cosines.index(max(cosines))


def position_self_similarity(W_pos, position, other):
    return cosine(W_pos[position], W_pos[other])


def pca_explained(W_pos, first, last, unit_norm, axis):
    rows = np.array([unit(row) if unit_norm else row for row in W_pos[first:last]], np.float64)
    spread = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    return spread[axis] / spread.sum()


def _at(acts, feature, position):
    return np.asarray(acts[:, position, feature], np.float64)


def _curve(acts, feature, context_size):
    """Return μ(p) at all p < C."""
    return [mean_activation(acts, feature, p) for p in range(context_size)]


def _share(part, whole):
    return part / whole if whole > 1e-12 else np.nan


def _nats(p, q):
    return p * np.log(p / q) if p > 0 else 0.0


def _reach(curve, half):
    """Return how far a curve that begins at its peak stays above half of it; half a position more at an end."""
    for p in range(1, len(curve)):
        if curve[p] < half:
            return p - 1 + (curve[p - 1] - half) / (curve[p - 1] - curve[p])
    return len(curve) - 0.5
