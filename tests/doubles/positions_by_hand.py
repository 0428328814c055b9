"""Slow doubles for positional statistics: every definition written out on the whole array, in float64."""

import numpy as np

from core.oracles.encode import encode


def by_hand(dictionary, x):
    """Activations and pre-activations of inputs (..., d_in), from the architecture's definition in float64."""
    config = dictionary.config
    return encode(
        dictionary._tensors,
        x,
        architecture=config.architecture,
        k=getattr(config, "k", None) or 0,
        input_bias=dictionary.input_bias,
        layer_norm=config.normalize_activations == "layer_norm",
    )


def brute_force(dictionary, x, context_size):
    """Every field of PositionStatistics from the whole array of activations of x (sample, pos, d_in)."""
    f, a = by_hand(dictionary, x)
    inside, beyond = f[:, :context_size], f[:, context_size:]
    variance = inside.var((0, 1))
    with np.errstate(all="ignore"):
        position = np.where(variance > 1e-12, inside.mean(0).var(0) / variance, np.nan)
        token = np.where(variance > 1e-12, inside.mean(1).var(0) / variance, np.nan)
    silent = (inside == 0).all(1)
    return {
        "mean": f.mean(0).T,
        "std": f.std(0).T,
        "rate": (f != 0).mean(0).T,
        "pre_mean": a.mean(0).T,
        "pre_std": a.std(0).T,
        "pre_std_over_positions": a[:, :context_size].std(1).min(0),
        "grand_mean": inside.mean((0, 1)),
        "variance": variance,
        "share_position": position,
        "share_token": token,
        "share_interaction": 1 - position - token,
        "token_score": np.where(silent, -np.inf, inside.mean(1)).max(0),
        "token_best": np.where(silent.all(0), -1, np.where(silent, -np.inf, inside.mean(1)).argmax(0)),
        "only_beyond": (silent & (beyond != 0).any(1)).sum(0),
    }


def assert_same(stats, expected, *, only=None):
    scale = max(1.0, np.abs(expected["pre_mean"]).max())
    for name in only or expected:
        got, want = getattr(stats, name), expected[name]
        if name == "token_score":
            want = np.where(np.isneginf(want), 0, want)
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=5e-6 * scale, err_msg=name)


def grid_inputs(model, n_pos):
    return model.W_E[:, None].astype(np.float64) + model.W_pos[:n_pos]
