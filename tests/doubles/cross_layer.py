"""A planted cross-layer transcoder, as two libraries save it, and its forward pass by a loop in float64."""

import numpy as np
import yaml

from tests.doubles.foreign import write_arrays

LAYERS, N, D = 3, 5, 4
HOOKS = {"feature_input_hook": "hook_resid_mid", "feature_output_hook": "hook_mlp_out"}


def draw(threshold=False, *, layers=LAYERS, d=D):
    rng = np.random.default_rng(0)
    w = {"W_enc": rng.normal(size=(layers, N, d)), "b_enc": rng.normal(size=(layers, N))}
    w |= {"b_dec": rng.normal(size=(layers, d)), "W_dec": rng.normal(size=(layers, N, layers, d))}
    w |= {"skip": rng.normal(size=(layers, D, d))}
    if threshold:
        w["threshold"] = rng.uniform(0.1, 1, size=(layers, N))
    return {name: array.astype(np.float32) for name, array in w.items()}


def circuit_tracer(folder, w, model="google/gemma-2-2b"):
    """One encoder's file and one decoder's for each layer; the decoder has no rows for earlier layers."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"model_name": model, **HOOKS}))
    for i in range(len(w["W_enc"])):
        names = [name for name in ("W_enc", "b_enc", "b_dec", "threshold") if name in w]
        write_arrays(folder / f"W_enc_{i}.safetensors", {f"{name}_{i}": w[name][i] for name in names})
        write_arrays(folder / f"W_dec_{i}.safetensors", {f"W_dec_{i}": np.ascontiguousarray(w["W_dec"][i][:, i:])})
    return folder


def gemma_scope(folder, w):
    """One file a layer, with decoder rows for all layers, those for earlier ones 0, and a skip connection."""
    folder.mkdir(parents=True)
    for i in range(len(w["W_enc"])):
        W_dec = w["W_dec"][i].copy()
        W_dec[:, :i] = 0
        rest = {"b_enc": w["b_enc"][i], "b_dec": w["b_dec"][i], "threshold": w["threshold"][i]}
        rest |= {"affine_skip_connection": w["skip"][i]}
        write_arrays(
            folder / f"params_layer_{i}.safetensors", {"w_enc": w["W_enc"][i].T.copy(), "w_dec": W_dec, **rest}
        )
    return folder


def acts_of(w, x):
    """Features of every layer, in float64, by a loop."""
    w = {name: array.astype(np.float64) for name, array in w.items()}
    acts = np.zeros((len(x), *w["b_enc"].shape))
    for layer in range(len(w["W_enc"])):
        before = x[:, layer] @ w["W_enc"][layer].T + w["b_enc"][layer]
        threshold = w["threshold"][layer] if "threshold" in w else 0
        acts[:, layer] = np.where(before > threshold, before, 0)
    return acts


def output(w, x, target, *, skip=False):
    """What all layers write to one: the sum over sources, the target's own bias, and its skip connection."""
    acts, x_hat = acts_of(w, x), np.zeros((len(x), x.shape[-1])) + w["b_dec"][target]
    for layer in range(target + 1):
        for feature in range(N):
            x_hat += acts[:, layer, feature, None] * w["W_dec"][layer, feature, target]
    return x_hat + (x[:, target] @ w["skip"][target] if skip else 0)
