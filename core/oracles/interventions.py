"""Oracles of edits. `model` is told in core/oracles/transformer.py, `rows` are token ids (row, position).

`written` (row, position, dimension) is what the edit adds where the dictionary writes, `written_at` the same by dose.
`random` and `others` are controls' directions at length 1: drawn, and decoder rows of other features. A change number
`run` is the edit, then a control in each direction, then the opposite sign. `pair` are the tokens A and B.
"""

import numpy as np

from core.oracles.directions import cosine
from core.oracles.encode import encode
from core.oracles.transformer import log_p, next_log_p_of, passing


def edited_activation(acts, features, text_row, position):
    return sum(acts[text_row, position, feature] for feature in features)


def is_edited(acts, new_acts, W_dec, text_row, position):
    return bool(((new_acts - acts)[text_row, position] @ W_dec).any())


def next_log_p(model, rows, text_row, position, token):
    return log_p(model, rows)[text_row, position, token]


def next_log_p_change(model, rows, written, text_row, position, token):
    return (log_p(model, rows, written) - log_p(model, rows))[text_row, position, token]


def next_log_p_opposite(model, rows, written, text_row, position, token):
    return next_log_p_change(model, rows, -written, text_row, position, token)


def next_log_p_change_low(model, rows, written, random, text_row, position, token):
    return _low([next_log_p_change(model, rows, w, text_row, position, token) for w in _controls(written, random)])


def next_log_p_change_high(model, rows, written, random, text_row, position, token):
    return _high([next_log_p_change(model, rows, w, text_row, position, token) for w in _controls(written, random)])


def next_log_p_change_feature_low(model, rows, written, others, text_row, position, token):
    return next_log_p_change_low(model, rows, written, others, text_row, position, token)


def next_log_p_change_feature_high(model, rows, written, others, text_row, position, token):
    return next_log_p_change_high(model, rows, written, others, text_row, position, token)


def token_kl(model, rows, written, text_row, position):
    plain, changed = (log_p(model, rows, added)[text_row, position] for added in (0.0, written))
    return sum(np.exp(plain) * (plain - changed))


def token_kl_low(model, rows, written, random, text_row, position):
    return _low([token_kl(model, rows, w, text_row, position) for w in _controls(written, random)])


def token_kl_high(model, rows, written, random, text_row, position):
    return _high([token_kl(model, rows, w, text_row, position) for w in _controls(written, random)])


def token_kl_feature_low(model, rows, written, others, text_row, position):
    return token_kl_low(model, rows, written, others, text_row, position)


def token_kl_feature_high(model, rows, written, others, text_row, position):
    return token_kl_high(model, rows, written, others, text_row, position)


def outside_band(shown, low, high):
    return bool(shown < low or shown > high)


def next_p(model, rows, text_row, position, token):
    return np.exp(log_p(model, rows)[text_row, position, token])


def next_p_edited(model, rows, written, text_row, position, token):
    return np.exp(log_p(model, rows, written)[text_row, position, token])


def change_kind(made, W_dec, run):
    """Tell a change by what it writes; `made` are all changes, that with the edit among them first."""
    change, edit = made[run], next(one for one in made if one.any())
    if not change.any():
        return "without the edit"
    if np.allclose(change, edit):
        return "with the edit"
    if np.allclose(change, -edit):
        return "opposite sign"
    longest = max(change.reshape(-1, change.shape[-1]), key=np.linalg.norm)
    return "other feature" if any(abs(cosine(longest, row)) > 1 - 1e-6 for row in W_dec) else "random direction"


def effect(model, rows, written, random, others, run):
    change = _changes(written, random, others)[run]
    return _mean(_log_p_change(model, rows, change), _reached([written]))


def difference_change(model, rows, written, random, others, place, pair, run):
    change = _changes(written, random, others)[run]
    return _of_pair(model, rows, change, place, pair)


def response(model, rows, written_at, measure, place, pair, dose):
    return _response(model, rows, written_at[dose], written_at, measure, place, pair)


def response_opposite(model, rows, written_at, measure, place, pair, dose):
    return _response(model, rows, -written_at[dose], written_at, measure, place, pair)


def response_low(model, rows, written_at, measure, place, pair, random, dose):
    made = _controls(written_at[dose], random)
    return _low([_response(model, rows, one, written_at, measure, place, pair) for one in made])


def response_high(model, rows, written_at, measure, place, pair, random, dose):
    made = _controls(written_at[dose], random)
    return _high([_response(model, rows, one, written_at, measure, place, pair) for one in made])


def response_feature_low(model, rows, written_at, measure, place, pair, others, dose):
    return response_low(model, rows, written_at, measure, place, pair, others, dose)


def response_feature_high(model, rows, written_at, measure, place, pair, others, dose):
    return response_high(model, rows, written_at, measure, place, pair, others, dose)


def run_log_p(model, tensors, factors, random, chosen, n_prompt, run, step, token):
    """Continue by `chosen` (run, position), whose first `n_prompt` tokens are the prompt; run 0 is without the edit.

    The edit multiplies all activations by `factors` (feature) at every token but the first.
    """
    text = chosen[run : run + 1, : n_prompt + step]
    acts, _ = encode(tensors, passing(model, text), input_bias=tensors["b_dec"])
    written = (acts * factors - acts) @ tensors["W_dec"]
    written[:, 0] = 0
    changes = [0 * written, written, *_controls(written, random), -written]
    return log_p(model, text, changes[run])[0, -1, token]


def plain_log_p(model, chosen, n_prompt, run, step, token):
    return log_p(model, chosen[run : run + 1, : n_prompt + step])[0, -1, token]


def _controls(written, directions):
    total = written.sum((0, 1))
    signs = np.where(written @ total < 0, -1.0, 1.0)
    return [(signs * np.sqrt((written**2).sum(-1)))[..., None] * direction for direction in directions]


def _changes(written, random, others):
    return [written, *_controls(written, random), *_controls(written, others), -written]


def _low(effects):
    return sorted(effects)[_k(len(effects)) - 1]


def _high(effects):
    return sorted(effects)[-_k(len(effects))]


def _k(n):
    return max(1, (n + 1) * 5 // 100)


def _log_p_change(model, rows, change):
    return next_log_p_of(model, rows, change) - next_log_p_of(model, rows)


def _reached(all_written):
    edited = np.any([written.any(-1) for written in all_written], axis=0)
    return [(r, p) for r in range(len(edited)) for p in range(edited.shape[1] - 1) if edited[r, : p + 1].any()]


def _mean(values, places):
    return np.mean([values[place] for place in places])


def _of_pair(model, rows, change, place, pair):
    moved = (log_p(model, rows, change) - log_p(model, rows))[place]
    return moved[pair[0]] - moved[pair[1]]


def _response(model, rows, change, written_at, measure, place, pair):
    reached = _reached(list(written_at.values()))
    if measure == "log_likelihood":
        return _mean(_log_p_change(model, rows, change), reached)
    if measure == "divergence":
        return np.mean([token_kl(model, rows, change, *where) for where in reached])
    if measure == "next_token":
        return next_log_p_change(model, rows, change, *place, pair[0])
    return _of_pair(model, rows, change, place, pair)
