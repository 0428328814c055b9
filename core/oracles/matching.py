"""Oracles of two dictionaries, A and B, by weights and by activations.

`decoder_a`, `encoder_a` and so on hold a direction in each row; `acts_a` and `acts_b` are f and g (token, feature).
`similarity` is "decoder", "encoder" or "both". `way` is "ab" for the features of A looked for in B, or "ba".
"""

import numpy as np

from core.oracles.directions import cosine, pearson
from core.oracles.logits import logits


def decoder_cosine(decoder_a, decoder_b, feature_a, feature_b):
    return cosine(decoder_a[feature_a], decoder_b[feature_b])


def encoder_cosine(encoder_a, encoder_b, feature_a, feature_b):
    return cosine(encoder_a[feature_a], encoder_b[feature_b])


def alignment(decoder_a, decoder_b, encoder_a, encoder_b, feature_a, feature_b):
    by_decoder = decoder_cosine(decoder_a, decoder_b, feature_a, feature_b)
    return (by_decoder + encoder_cosine(encoder_a, encoder_b, feature_a, feature_b)) / 2


def match_score(decoder_a, decoder_b, encoder_a, encoder_b, feature_a, feature_b, similarity):
    return _all(decoder_a, decoder_b, encoder_a, encoder_b, similarity)[feature_a, feature_b]


def match_threshold(step):
    return step / 100


def matching_ratio(decoder_a, decoder_b, encoder_a, encoder_b, similarity, way, match_threshold):
    best = _best(decoder_a, decoder_b, encoder_a, encoder_b, similarity, way)
    return sum(s > match_threshold + 1e-7 for s in best) / len(best)


def mmcs(decoder_a, decoder_b, encoder_a, encoder_b, similarity, way):
    return np.mean(_best(decoder_a, decoder_b, encoder_a, encoder_b, similarity, way))


def one_to_one_ratio(decoder_a, decoder_b, encoder_a, encoder_b, similarity, threshold):
    s = _all(decoder_a, decoder_b, encoder_a, encoder_b, similarity)
    return sum(s[pair] > threshold for pair in _one_to_one(s)) / min(s.shape)


def pw_mcc(decoder_a, decoder_b, encoder_a, encoder_b, similarity):
    s = _all(decoder_a, decoder_b, encoder_a, encoder_b, similarity)
    return sum(s[pair] for pair in _one_to_one(s)) / min(s.shape)


def agreement(decoder_a, decoder_b, encoder_a, encoder_b, feature_a, feature_b):
    return (feature_a, feature_b) in _agreed(decoder_a, decoder_b, encoder_a, encoder_b)


def agreeing(decoder_a, decoder_b, encoder_a, encoder_b):
    return len(_agreed(decoder_a, decoder_b, encoder_a, encoder_b)) / min(len(decoder_a), len(decoder_b))


def shared(decoder_a, decoder_b, encoder_a, encoder_b, threshold):
    both = _agreed(decoder_a, decoder_b, encoder_a, encoder_b)
    high = [
        i for i, j in both if min(cosine(decoder_a[i], decoder_b[j]), cosine(encoder_a[i], encoder_b[j])) > threshold
    ]
    return len(high) / min(len(decoder_a), len(decoder_b))


def mean_alignment(decoder_a, decoder_b, encoder_a, encoder_b):
    both = _agreed(decoder_a, decoder_b, encoder_a, encoder_b)
    return np.mean([alignment(decoder_a, decoder_b, encoder_a, encoder_b, i, j) for i, j in both])


def random_ratio(n, d, match_threshold):
    from scipy import stats

    above = stats.beta.sf((match_threshold + 1) / 2, (d - 1) / 2, (d - 1) / 2)
    return 1 - (1 - above) ** n


def parent(rows, others, feature, threshold):
    best, nearest = _nearest(rows[feature], others)
    return nearest if best > threshold else -1


def siblings(rows, others, feature, threshold):
    mine = parent(rows, others, feature, threshold)
    same = [i for i in range(len(rows)) if parent(rows, others, i, threshold) == mine]
    return len(same) - 1 if mine >= 0 else 0


def merged_from(rows, others, feature, threshold):
    return sum(parent(others, rows, other, threshold) == feature for other in range(len(others)))


def match_label(rows, others, feature, threshold):
    if parent(rows, others, feature, threshold) < 0:
        return "novel"
    if merged_from(rows, others, feature, threshold) >= 2:
        return "merged"
    return "split" if siblings(rows, others, feature, threshold) else "reconstruction"


def best_similarity(rows, others, feature):
    return _nearest(rows[feature], others)[0]


def best_match(rows, others, feature):
    return _nearest(rows[feature], others)[1]


def rth_match_cosine(rows, others, feature, r):
    return sorted((cosine(rows[feature], row) for row in others), reverse=True)[r - 1]


def density_decile(densities, feature):
    """Return the group of a feature that fires; the first groups have one more where ten do not divide them."""
    order = sorted((d, i) for i, d in enumerate(densities) if d > 0)
    n, more = divmod(len(order), 10)
    ends = np.cumsum([n + (i < more) for i in range(10)])
    return 1 + sum(order.index((densities[feature], feature)) >= end for end in ends)


def match_rank(acts_a, acts_b, feature_a, feature_b, least):
    own = activation_correlation(acts_a, acts_b, feature_a, feature_b)
    return 1 + sum(c > own + 1e-9 for c in _correlations(acts_a, acts_b, feature_a, least))


def activation_correlation(acts_a, acts_b, feature_a, feature_b):
    return pearson(acts_a[:, feature_a], acts_b[:, feature_b])


def active_tokens_a(acts_a, feature_a):
    return sum(acts_a[:, feature_a] != 0)


def active_tokens_b(acts_b, feature_b):
    return sum(acts_b[:, feature_b] != 0)


def rotated_correlation(acts_a, acts_b, mixtures, feature_a):
    """`mixtures` (feature of B, mixture) hold the weights that were drawn."""
    return max(pearson(acts_a[:, feature_a], acts_b @ w) for w in mixtures.T)


def excess_correlation(acts_a, acts_b, mixtures, feature_a, least):
    best = max(_correlations(acts_a, acts_b, feature_a, least))
    return best - rotated_correlation(acts_a, acts_b, mixtures, feature_a)


def universal_share(acts_a, acts_b, mixtures, least):
    compared = [i for i in range(acts_a.shape[1]) if sum(acts_a[:, i] != 0) >= least and np.ptp(acts_a[:, i])]
    return np.mean([excess_correlation(acts_a, acts_b, mixtures, i, least) > 0.5 for i in compared])


def median_best_correlation(acts_a, acts_b, least):
    kept = [i for i in range(acts_a.shape[1]) if sum(acts_a[:, i] != 0) >= least and np.ptp(acts_a[:, i])]
    return np.median([max(_correlations(acts_a, acts_b, i, least)) for i in kept])


def unit_correlation(values_a, values_b, unit):
    return max(pearson(values_a[:, unit], other) for other in values_b.T)


def activation_a(acts_a, feature_a, row):
    return acts_a[row, feature_a]


def activation_b(acts_b, feature_b, row):
    return acts_b[row, feature_b]


def logit_weight_a(W_dec_a, W_U, how, feature_a, token):
    return logits(W_dec_a, W_U, feature_a, how)[token]


def logit_weight_b(W_dec_b, W_U, how, feature_b, token):
    return logits(W_dec_b, W_U, feature_b, how)[token]


def pair_masked_cosine(acts_a, acts_b, feature_a, feature_b):
    f, g = acts_a[:, feature_a], acts_b[:, feature_b]
    return max((f[on] @ g[on]) / np.sqrt((f[on] @ f[on]) * (g[on] @ g[on]) or 1) for on in (f != 0, g != 0))


def pair_logit_correlation(logits_a, logits_b, feature_a, feature_b):
    return pearson(logits_a[feature_a], logits_b[feature_b])


def pair_attribution_correlation(acts_a, acts_b, logits_a, logits_b, rows, feature_a, feature_b):
    found = []
    for row in range(len(rows)):
        for p in range(rows.shape[1] - 1):
            after, t = rows[row, p + 1], row * rows.shape[1] + p
            one = acts_a[t, feature_a] * logits_a[feature_a, after]
            found.append((one, acts_b[t, feature_b] * logits_b[feature_b, after]))
    return pearson(*np.array(found).T)


def _all(decoder_a, decoder_b, encoder_a, encoder_b, similarity):
    """Return s of every pair; negative ones of "both" count as 0."""
    by_decoder, by_encoder = (
        np.array([[cosine(one, other) for other in b] for one in a])
        for a, b in ((decoder_a, decoder_b), (encoder_a, encoder_b))
    )
    both = np.sqrt(np.maximum(by_decoder, 0) * np.maximum(by_encoder, 0))
    return {"decoder": by_decoder, "encoder": by_encoder, "both": both}[similarity]


def _best(decoder_a, decoder_b, encoder_a, encoder_b, similarity, way):
    s = _all(decoder_a, decoder_b, encoder_a, encoder_b, similarity)
    return s.max(axis=1 if way == "ab" else 0)


def _one_to_one(s):
    """Return the pairs with the largest total; those with 0 or less are no pairs."""
    from scipy.optimize import linear_sum_assignment

    pairs = zip(*linear_sum_assignment(np.maximum(s, 0), maximize=True), strict=True)
    return [pair for pair in pairs if s[pair] > 0]


def _agreed(decoder_a, decoder_b, encoder_a, encoder_b):
    sides = (_all(decoder_a, decoder_b, encoder_a, encoder_b, side) for side in ("decoder", "encoder"))
    one, other = (set(_one_to_one(s)) for s in sides)
    return one & other


def _nearest(row, others):
    cosines = [cosine(row, other) for other in others]
    return max(cosines), cosines.index(max(cosines))


def _correlations(acts_a, acts_b, feature_a, least):
    found = [activation_correlation(acts_a, acts_b, feature_a, j) for j in range(acts_b.shape[1])]
    enough = (acts_b != 0).sum(axis=0) >= least
    return [c for c, kept in zip(found, enough, strict=True) if kept and np.isfinite(c)]
