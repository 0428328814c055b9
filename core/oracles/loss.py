"""Oracles of a model's loss. `model` is told in core/oracles/transformer.py, `counted` (row, position) are tokens.

`position` is one position, or all over which the mean is. `x_hat` is what a dictionary makes of what passes.
"""

import numpy as np

from core.oracles.transformer import next_log_p_of, passing


def ce_wpe_trained(model, rows, counted, position):
    return _mean(-next_log_p_of(model, rows), counted, position)


def ce_wpe_zero(model, rows, counted, position):
    return ce_wpe_trained({**model, "pos_embed.W_pos": 0 * model["pos_embed.W_pos"]}, rows, counted, position)


def ce_wpe_shuffled(model, rows, counted, position):
    W_pos = model["pos_embed.W_pos"]
    order = np.random.default_rng(0).permutation(len(W_pos))
    return ce_wpe_trained({**model, "pos_embed.W_pos": W_pos[order]}, rows, counted, position)


def ce_with_x_hat(model, rows, counted, x_hat, position):
    added = np.where(counted[..., None], x_hat - passing(model, rows), 0)
    return _mean(-next_log_p_of(model, rows, added), counted, position)


def ce_recovered(model, rows, counted, x_hat, position):
    nothing = _mean(-next_log_p_of(model, rows, -passing(model, rows)), counted, position)
    with_x = ce_wpe_trained(model, rows, counted, position)
    with_x_hat = ce_with_x_hat(model, rows, counted, x_hat, position)
    return (nothing - with_x_hat) / (nothing - with_x) if nothing > with_x else None


def _mean(losses, counted, position):
    return np.mean([losses[row, p] for p in np.atleast_1d(position) for row in np.flatnonzero(counted[:, p])])
