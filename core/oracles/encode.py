"""Activations of a dictionary from its raw tensors, by the definition of its architecture, in float64."""

from collections.abc import Mapping

import numpy as np

_ADDED_TO_SPREAD = 1e-5


def encode(
    tensors: Mapping[str, np.ndarray],
    x: np.ndarray,
    *,
    architecture: str = "standard",
    k: int = 0,
    input_bias: np.ndarray | float = 0.0,
    layer_norm: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return activations and pre-activations (..., d_sae) of inputs x (..., d_in).

    `tensors` are W_enc, b_enc and what else the architecture has; `input_bias` is subtracted from x first.
    """
    w = {name: np.asarray(array, np.float64) for name, array in tensors.items()}
    x = np.asarray(x, np.float64)
    if layer_norm:
        x = x - x.mean(-1, keepdims=True)
        x = x / (x.std(-1, ddof=1, keepdims=True) + _ADDED_TO_SPREAD)
    z = (x - input_bias) @ w["W_enc"]
    if architecture == "gated":
        pre = z * np.exp(w["r_mag"]) + w["b_mag"]
        return np.maximum(pre, 0) * (z + w["b_gate"] > 0), pre
    pre = z + w["b_enc"]
    if architecture in ("topk", "abstopk"):
        strength = np.abs(pre) if architecture == "abstopk" else pre
        kept = np.where(strength >= np.sort(strength, axis=-1)[..., -k, None], pre, 0)
        return (kept if architecture == "abstopk" else np.maximum(kept, 0)), pre
    return np.maximum(pre, 0) * (pre > w.get("threshold", 0.0)), pre
