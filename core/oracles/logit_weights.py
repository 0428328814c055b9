"""Oracles of logit weights. `how` says what is done to W_U and to what a feature writes, in this order:

`W_out`, what the block does to W_dec (None in the residual stream); `ln_w`, the weight of the final norm; and
`center_d_model`, `center`, `unit_columns` and `unit_rows`, as the page has them.
"""

import numpy as np

from core.oracles.logits import logits


def logit_weight(W_dec, W_U, feature, token, how):
    return logits(W_dec, W_U, feature, how)[token]


def logit_mean(W_dec, W_U, feature, how):
    return logits(W_dec, W_U, feature, how).mean()


def logit_std(W_dec, W_U, feature, how):
    L = logits(W_dec, W_U, feature, how)
    std = np.sqrt(((L - L.mean()) ** 2).mean())
    return std if std > 1e-9 * np.abs(W_U).max() else 0.0


def skewness(W_dec, W_U, feature, how):
    return (_standard(W_dec, W_U, feature, how) ** 3).mean()


def kurtosis(W_dec, W_U, feature, how):
    return (_standard(W_dec, W_U, feature, how) ** 4).mean()


def excess_kurtosis(W_dec, W_U, feature, how):
    return kurtosis(W_dec, W_U, feature, how) - 3


def logit_min(W_dec, W_U, feature, how):
    return min(logits(W_dec, W_U, feature, how))


def logit_max(W_dec, W_U, feature, how):
    return max(logits(W_dec, W_U, feature, how))


def top_token(W_dec, W_U, feature, how, labels=None):
    return _named(int(np.round(logits(W_dec, W_U, feature, how), 6).argmax()), W_dec, feature, labels)


def bottom_token(W_dec, W_U, feature, how, labels=None):
    return _named(int(np.round(logits(W_dec, W_U, feature, how), 6).argmin()), W_dec, feature, labels)


def logit_class(W_dec, W_U, feature, how):
    spreads = [logit_std(W_dec, W_U, i, how) for i in range(len(W_dec))]
    if spreads[feature] == 0:
        return "constant"
    skew, peaked = skewness(W_dec, W_U, feature, how), kurtosis(W_dec, W_U, feature, how)
    if peaked > 10 and skew:
        return "prediction" if skew > 0 else "suppression"
    upper = np.quantile([s for s in spreads if s > 0], 0.75)
    return "partition" if peaked < 4 and -0.5 < skew < 0.5 and spreads[feature] > upper else "other"


def _named(token, W_dec, feature, labels):
    """Return a token as the page shows it: quoted, and empty for a feature that moves no logit."""
    return token if labels is None else labels[token] if W_dec[feature].any() else ""


def _standard(W_dec, W_U, feature, how):
    """Return L at mean 0 and standard deviation 1; NaN if all are equal."""
    L, std = logits(W_dec, W_U, feature, how), logit_std(W_dec, W_U, feature, how)
    return (L - L.mean()) / std if std > 0 else np.full(len(L), np.nan)
