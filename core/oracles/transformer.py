"""A small transformer from its raw weights, in float64, with what passes at one place changed.

`model` holds weights under TransformerLens' names, and `layer`: what passes before that block is what a dictionary
reads. Norms, positions and biases that are not among the weights are left out.
"""

from collections.abc import Mapping

import numpy as np

_ADDED_TO_VARIANCE = 1e-5


def passing(model: Mapping, rows: np.ndarray, until: int | None = None) -> np.ndarray:
    """Return what passes before the dictionary's layer, or the layer `until` (row, position, dimension)."""
    x = _of(model, "embed.W_E")[rows]
    if "pos_embed.W_pos" in model:
        x = x + _of(model, "pos_embed.W_pos")[: x.shape[1]]
    for layer in range(model["layer"] if until is None else until):
        x = _block(model, layer, x)
    return x


def logits(model: Mapping, rows: np.ndarray, added: np.ndarray | float = 0.0) -> np.ndarray:
    """Return logits (row, position, token) with `added` on top of what passes before the dictionary's layer."""
    x, layer = passing(model, rows) + added, model["layer"]
    while f"blocks.{layer}.attn.W_Q" in model:
        x, layer = _block(model, layer, x), layer + 1
    return _norm(model, "ln_final", x) @ _of(model, "unembed.W_U") + _of(model, "unembed.b_U")


def log_p(model: Mapping, rows: np.ndarray, added: np.ndarray | float = 0.0) -> np.ndarray:
    """Return log-probabilities of the next token, as `logits`."""
    z = logits(model, rows, added)
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def next_log_p_of(model: Mapping, rows: np.ndarray, added: np.ndarray | float = 0.0) -> np.ndarray:
    """Return ln p of the token that does come next (row, position); the last position has none."""
    return np.take_along_axis(log_p(model, rows, added)[:, :-1], rows[:, 1:, None], axis=-1)[..., 0]


def _of(model: Mapping, name: str) -> np.ndarray:
    return np.asarray(model.get(name, 0.0), np.float64)


def _norm(model: Mapping, name: str, x: np.ndarray) -> np.ndarray:
    if f"{name}.w" not in model:
        return x
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + _ADDED_TO_VARIANCE)
    return x * _of(model, f"{name}.w") + _of(model, f"{name}.b")


def _block(model: Mapping, layer: int, x: np.ndarray) -> np.ndarray:
    at = f"blocks.{layer}"
    x = x + _attention(model, f"{at}.attn", _norm(model, f"{at}.ln1", x))
    inside = _norm(model, f"{at}.ln2", x) @ _of(model, f"{at}.mlp.W_in") + _of(model, f"{at}.mlp.b_in")
    gelu = 0.5 * inside * (1 + np.tanh(np.sqrt(2 / np.pi) * (inside + 0.044715 * inside**3)))
    return x + gelu @ _of(model, f"{at}.mlp.W_out") + _of(model, f"{at}.mlp.b_out")


def _attention(model: Mapping, at: str, x: np.ndarray) -> np.ndarray:
    q, k, v = (x[:, None] @ _of(model, f"{at}.W_{c}") + _of(model, f"{at}.b_{c}")[:, None] for c in "QKV")
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    scores = np.where(np.tri(x.shape[1], dtype=bool), scores, -np.inf)
    share = np.exp(scores - scores.max(axis=-1, keepdims=True))
    share = share / share.sum(axis=-1, keepdims=True)
    return (share @ v @ _of(model, f"{at}.W_O")).sum(axis=1) + _of(model, f"{at}.b_O")
