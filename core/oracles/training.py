"""Oracles of the curves of a training. `batches` hold x (token, dimension), `weights` those before each `step`, from 0.

`fitted_to` are the tokens that the scale of inputs is from. `k` is that of TopK, which takes the strongest features by
what they add, |f| |W_dec|; 0 is a ReLU, with the weight `l1` of its penalty.
"""

import numpy as np

from core.oracles.encode import encode


def training_tokens(batches, step):
    return sum(len(x) for x in batches[: step + 1])


def training_loss(batches, weights, fitted_to, step, k, l1):
    x, acts, x_hat = _passed(batches, weights, fitted_to, step, k)
    penalty = l1 * (np.abs(acts) * _lengths(weights[step])).sum(1)
    return np.mean(((x - x_hat) ** 2).sum(1) + penalty)


def training_l0(batches, weights, fitted_to, step, k):
    _, acts, _ = _passed(batches, weights, fitted_to, step, k)
    return np.mean([np.count_nonzero(f) for f in acts])


def training_fve(batches, weights, fitted_to, step, k):
    x, _, x_hat = _passed(batches, weights, fitted_to, step, k)
    return 1 - ((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()


def training_dead(batches, weights, fitted_to, step, k, dead_after):
    fired = [_passed(batches, weights, fitted_to, s, k)[1].any(0) for s in range(step + 1)]
    lately = np.any(fired[-dead_after - 1 :], axis=0)
    return np.mean([not on and step >= dead_after for on in lately])


def _lengths(w):
    return np.sqrt((np.asarray(w["W_dec"], np.float64) ** 2).sum(1))


def _passed(batches, weights, fitted_to, step, k):
    """Return x, scaled to the mean length √d_in, with f and x̂ under the weights before a step."""
    fitted_to = np.asarray(fitted_to, np.float64)
    scale = np.sqrt(fitted_to.shape[1]) / np.sqrt((fitted_to**2).sum(1)).mean()
    w = {name: np.asarray(array, np.float64) for name, array in weights[step].items()}
    x, lengths = scale * np.asarray(batches[step], np.float64), _lengths(w) if k else 1.0
    by_length = {"W_enc": w["W_enc"] * lengths, "b_enc": w["b_enc"] * lengths}
    how = {"architecture": "topk", "k": k} if k else {}
    acts = encode(by_length, x, input_bias=w["b_dec"], **how)[0] / lengths
    return x, acts, acts @ w["W_dec"] + w["b_dec"]
