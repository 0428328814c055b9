"""Planted crosscoders as three libraries save them, and their forward pass in float64.

Written from each library's own `encode` and `decode`: x is (token, side, d); acts are (token, side, feature), which
differ from side to side only where features compete on each side by itself.
"""

import json

import numpy as np

from tests.doubles.foreign import write_arrays

SIDES, D, N = 2, 4, 6
LENGTHS = {"CROSSCODER": 1, "SAE": 2, "MIXED": 3, "NONE": 4, "DECOUPLED": 5}


def draw(*, sides=SIDES, d=D):
    rng = np.random.default_rng(0)
    w = {"W_enc": rng.normal(size=(sides, d, N)), "b_enc": 0.3 * rng.normal(size=N)}
    w |= {"W_dec": rng.normal(size=(sides, N, d)), "b_dec": rng.normal(size=(sides, d))}
    w["W_dec"][0, 2] = 0  # of the other side alone
    return {name: array.astype(np.float32) for name, array in w.items()}


def normaliser(d=D, sides=SIDES):
    rng = np.random.default_rng(2)
    mean, std = rng.normal(size=(sides, d)), rng.uniform(0.5, 2, size=(sides, d))
    scale = 1 / np.sqrt((std**2).sum(-1) + 1e-8)
    found = {"activation_mean": mean, "activation_std": std, "activation_global_scale": scale}
    return {name: array.astype(np.float32) for name, array in found.items()}


def dictionary_learning(folder, w, *, how="CROSSCODER", threshold=None, norm=None, layer=None):
    """config.json and ae.pt of CrossCoder, or of BatchTopKCrossCoder where there is a threshold."""
    folder.mkdir()
    none = {name: np.full_like(array, np.nan) for name, array in normaliser(w["W_enc"].shape[1]).items()}
    arrays = {"encoder.weight": w["W_enc"], "encoder.bias": w["b_enc"], "decoder.weight": w["W_dec"]}
    arrays |= {"decoder.bias": w["b_dec"], "code_normalization_id": np.array(LENGTHS[how])} | (norm or none)
    arrays |= {"target_rms": np.array(1.0, np.float32)}
    said = {"dict_class": "CrossCoder", "activation_dim": D, "dict_size": N, "layer": layer, "lm_name": "a-b"}
    if threshold is not None:
        arrays |= {"threshold": np.array(threshold, np.float32), "k": np.array(3)}
        said |= {"dict_class": "BatchTopKCrossCoder", "k": 3}
    (folder / "config.json").write_text(json.dumps({"trainer": said}))
    write_arrays(folder / "ae.pt", arrays)
    return folder


def lengths(w, how):
    """By what each feature's activation is multiplied before it is held against the threshold, on each side."""
    norms = np.linalg.norm(w["W_dec"].astype(np.float64), axis=-1)
    both = np.sqrt((norms**2).sum(0))
    ways = {"CROSSCODER": norms.sum(0), "SAE": both, "MIXED": both + 0.1 * norms.sum(0), "NONE": np.ones(N)}
    return norms if how == "DECOUPLED" else np.stack([ways[how]] * SIDES)


def run_dictionary_learning(w, x, *, how="CROSSCODER", threshold=None, norm=None):
    w = {name: array.astype(np.float64) for name, array in w.items()}
    if norm:
        norm = {name: array.astype(np.float64) for name, array in norm.items()}
        x = (x - norm["activation_mean"]) * norm["activation_global_scale"][:, None]
    before = sum(x[:, side] @ w["W_enc"][side] for side in range(len(w["W_enc"]))) + w["b_enc"]
    acts = np.stack([np.maximum(before, 0)] * len(w["W_enc"]), axis=1)
    if threshold is not None:
        acts = acts * (acts * lengths(w, how) > np.reshape(threshold, (-1, 1)))
    x_hat = np.einsum("tsf,sfd->tsd", acts, w["W_dec"]) + w["b_dec"]
    if norm:
        x_hat = x_hat / (norm["activation_global_scale"][:, None] + 1e-8) + norm["activation_mean"]
    return acts, x_hat


def llamascopium(folder, w, *, act_fn="jumprelu", averages=None):
    """config.json and sae_weights.safetensors of Crosscoder; every side has a bias, which are added up."""
    folder.mkdir()
    arrays = {"W_E": w["W_enc"], "b_E": np.stack([w["b_enc"], 2 * w["b_enc"]]), "W_D": w["W_dec"], "b_D": w["b_dec"]}
    points = ["blocks.2.hook_resid_post", "blocks.5.hook_resid_post"]
    said = {"sae_type": "crosscoder", "hook_points": points, "d_model": D, "act_fn": act_fn, "top_k": 3}
    said |= {"norm_activation": "dataset-wise" if averages else "inference", "expansion_factor": 1.5}
    if act_fn == "jumprelu":
        arrays["activation_function.log_jumprelu_threshold"] = np.full(N, np.log(0.8), np.float32)
    for point, average in zip(points, averages or (), strict=False):
        arrays[f"dataset_average_activation_norm.{point}"] = np.array(average, np.float32)
    (folder / "config.json").write_text(json.dumps(said))
    write_arrays(folder / "sae_weights.safetensors", arrays)
    return folder


def run_llamascopium(w, x, *, act_fn="jumprelu", averages=None):
    w = {name: array.astype(np.float64) for name, array in w.items()}
    factors = D**0.5 / np.array(averages or [D**0.5] * SIDES)
    before = sum(factors[side] * x[:, side] @ w["W_enc"][side] for side in range(SIDES)) + 3 * w["b_enc"]
    norms = np.linalg.norm(w["W_dec"], axis=-1)
    scaled = before[:, None] * norms
    if act_fn == "jumprelu":
        acts = np.where(scaled > 0.8, scaled, 0)
    else:
        scaled = np.maximum(scaled, 0)
        acts = scaled * (scaled >= -np.sort(-scaled, axis=-1)[..., 2:3])
    acts = np.divide(acts, norms, out=np.zeros_like(acts), where=norms > 0)
    return acts, (np.einsum("tsf,sfd->tsd", acts, w["W_dec"]) + w["b_dec"]) / factors[:, None]


def kissane(folder, w):
    """NAME.pt and NAME_cfg.json of crosscoder-model-diff: the decoder's axes are feature, model, width."""
    folder.mkdir()
    arrays = w | {"W_dec": np.ascontiguousarray(np.moveaxis(w["W_dec"], 0, 1))}
    said = {"hook_point": "blocks.14.hook_resid_pre", "d_in": D, "dict_size": N, "dec_init_norm": 0.08}
    (folder / "7_cfg.json").write_text(json.dumps(said))
    write_arrays(folder / "7.pt", arrays)
    return folder / "7.pt"
