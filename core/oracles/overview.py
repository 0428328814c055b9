"""Oracles of the weights of features, of densities, of recipes and of the halves of temporal dictionaries.

Weights are those that the dictionary is run with. `sides` are a crosscoder's W_dec (side, feature, dimension).
`x` and `x_hat` are (row, position, dimension), `codes` of a temporal dictionary are (row, position, feature).
"""

import numpy as np

from core.oracles.encode import encode


def encoder_norm(W_enc, feature):
    return _length(W_enc[:, feature])


def decoder_norm(W_dec, feature):
    return _length(W_dec[feature])


def relative_decoder_norm(sides, side, feature):
    lengths = [_length(W_dec[feature]) for W_dec in sides]
    return lengths[side] / sum(lengths) if sum(lengths) > 0 else np.nan


def encoder_bias(feature, b_enc=None, b_mag=None):
    biases = b_mag if b_enc is None else b_enc
    return 0.0 if biases is None else float(biases[feature])


def decoder_bias_product(W_dec, b_dec, feature):
    return sum(float(one) * float(other) for one, other in zip(W_dec[feature], b_dec, strict=True))


def unseen_below(n_tokens):
    return 1 - 0.05 ** (1 / n_tokens) if n_tokens else 1.0


def ultralow(acts, threshold):
    densities = [np.count_nonzero(acts[..., i]) / acts[..., i].size for i in range(acts.shape[-1])]
    return sum(0 < density < threshold for density in densities)


def recipe_fve(recipe, tensors, x, tokens, left_out, subtracts):
    """`subtracts` is whether b_dec is subtracted from the input. NaN if the factor that `recipe` names is wrong."""
    x, b_dec = np.asarray(x, np.float64), np.asarray(tensors["b_dec"], np.float64)
    lengths = np.sqrt((x**2).sum(-1))
    counted = ~np.isin(tokens, left_out)
    counted[:, 0] = False
    judged = counted & (lengths <= 10 * np.median(lengths[counted]))
    kind, detail = next((kind, recipe[len(kind) :].strip()) for kind in _RECIPES if recipe.startswith(kind))
    middle, scale, bias, factor, goal = 0.0, 1.0, b_dec if subtracts else 0.0, 1.0, x
    if kind in ("scaled", "unscaled"):
        factor = np.sqrt(x.shape[-1]) / lengths[judged].mean()
        factor = factor if kind == "scaled" else 1 / factor
        if f"{factor:.3g}" != detail:
            return np.nan
    if kind in ("layer norm", "centred"):
        middle = x.mean(-1, keepdims=True)
    if kind == "layer norm":
        scale = x.std(-1, ddof=1, keepdims=True) + 1e-5
    if kind == "decoder bias":
        bias = bias - b_dec if subtracts else b_dec
    acts, _ = encode(tensors, (x - middle) / scale * factor, input_bias=bias)
    if kind == "top activations":
        acts = np.where(acts >= np.sort(acts, axis=-1)[..., -int(detail), None], acts, 0)
    x_hat = (acts @ np.asarray(tensors["W_dec"], np.float64) + b_dec) / factor * scale
    goal, x_hat = (x - middle, x_hat) if kind == "centred" else (x, x_hat + middle)
    wanted = goal[judged]
    return 1 - ((wanted - x_hat[judged]) ** 2).sum() / ((wanted - wanted.mean(0)) ** 2).sum()


def predicted_norm(predicted_codes, W_dec, position):
    return np.mean([_length(z @ np.asarray(W_dec, np.float64)) for z in predicted_codes[:, position]])


def novel_norm(novel_codes, W_dec, position):
    return predicted_norm(novel_codes, W_dec, position)


def fve_predicted(x, predicted_codes, W_dec, b_dec, position):
    return _explained(x, predicted_codes @ np.asarray(W_dec, np.float64) + b_dec, position)


def fve_both(x, predicted_codes, novel_codes, W_dec, b_dec, position):
    return fve_predicted(x, predicted_codes + novel_codes, W_dec, b_dec, position)


def predicted_code(predicted_codes, feature):
    return predicted_codes[..., feature].mean()


def novel_code(novel_codes, feature):
    return novel_codes[..., feature].mean()


_RECIPES = ("as it is", "scaled", "unscaled", "layer norm", "centred", "decoder bias", "top activations")


def _length(row):
    return sum(float(value) ** 2 for value in row) ** 0.5


def _explained(x, x_hat, position):
    mean = x.reshape(-1, x.shape[-1]).mean(0)
    return 1 - ((x - x_hat)[:, position] ** 2).sum() / ((x[:, position] - mean) ** 2).sum()
