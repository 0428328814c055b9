"""What other libraries compute with their dictionaries, in float64, from the arrays in their files' names.

Each function is written from its library's own definition (encode and decode of dictionary_learning's
classes, sparsify's SparseCoder, OpenAI's Autoencoder, Gemma Scope's JumpReLU): (arrays, x) -> (acts, x_hat).
"""

from collections.abc import Callable

import numpy as np

D_IN, D_SAE, K = 8, 12, 3
Run = Callable[[dict[str, np.ndarray], np.ndarray], tuple[np.ndarray, np.ndarray]]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def largest(x: np.ndarray, k: int = K) -> np.ndarray:
    """Keep the k largest of each row, others 0."""
    kept = np.zeros_like(x)
    for row, out in zip(x, kept, strict=True):
        best = sorted(range(len(row)), key=lambda i: -row[i])[:k]
        out[best] = row[best]
    return kept


def auto_encoder(w, x):
    acts = relu((x - w["bias"]) @ w["encoder.weight"].T + w["encoder.bias"])
    return acts, acts @ w["decoder.weight"].T + w["bias"]


def auto_encoder_new(w, x):
    acts = relu(x @ w["encoder.weight"].T + w["encoder.bias"])
    return acts, acts @ w["decoder.weight"].T + w["decoder.bias"]


def gated(w, x):
    both = (x - w["decoder_bias"]) @ w["encoder.weight"].T
    acts = (both + w["gate_bias"] > 0) * relu(np.exp(w["r_mag"]) * both + w["mag_bias"])
    norms = np.linalg.norm(w["decoder.weight"], axis=0)
    return acts * norms, acts @ w["decoder.weight"].T + w["decoder_bias"]


def auto_encoder_topk(w, x):
    acts = largest(relu((x - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]))
    return acts, acts @ w["decoder.weight"].T + w["b_dec"]


def batch_topk(w, x):
    acts = relu((x - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"])
    acts = acts * (acts > w["threshold"])
    return acts, acts @ w["decoder.weight"].T + w["b_dec"]


def matryoshka(w, x):
    acts = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    acts = acts * (acts > w["threshold"])
    return acts, acts @ w["W_dec"] + w["b_dec"]


def jump_relu(w, x):
    before = x @ w["W_enc"] + w["b_enc"]
    acts = relu(before * (before > w["threshold"]))
    return acts * np.linalg.norm(w["W_dec"], axis=1), acts @ w["W_dec"] + w["b_dec"]


def gemma(w, x):
    before = x @ w["w_enc"] + w["b_enc"]
    acts = (before > w["threshold"]) * relu(before)
    return acts, acts @ w["w_dec"] + w["b_dec"]


def gemma_skip(w, x):
    acts, x_hat = gemma(w, x)
    return acts, x_hat + x @ w["affine_skip_connection"]


def gemma_embedding(w, x):
    # Trained on embeddings as stored; at hook_embed they are sqrt(d_in) times as long.
    acts, x_hat = gemma(w, x / np.sqrt(D_IN))
    return acts, x_hat * np.sqrt(D_IN)


def openai_relu(w, x):
    acts = relu((x - w["pre_bias"]) @ w["encoder.weight"].T + w["latent_bias"])
    return acts, acts @ w["decoder.weight"].T + w["pre_bias"]


def openai_topk(w, x):
    mean = x.mean(axis=-1, keepdims=True)
    std = (x - mean).std(axis=-1, ddof=1, keepdims=True)
    before = ((x - mean) / (std + 1e-5) - w["pre_bias"]) @ w["encoder.weight"].T + w["latent_bias"]
    acts = relu(largest(before))
    return acts, (acts @ w["decoder.weight"].T + w["pre_bias"]) * std + mean


def sparse_coder(*, transcode: bool = False, signed: bool = False) -> Run:
    def run(w, x):
        before = (x if transcode else x - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]
        acts = (
            largest(np.abs(before)) / np.where(before, np.abs(before), 1) * before if signed else largest(relu(before))
        )
        skip = x @ w["W_skip"].T if "W_skip" in w else 0
        return acts, acts @ w["W_dec"] + w["b_dec"] + skip

    return run


def plain(w, x):
    acts = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    return acts, acts @ w["W_dec"] + w["b_dec"]


def _llama_scope(w, x, *, length: tuple[float, float] | None, subtracts: bool = False, k: int | None = None):
    """Encode and decode of Llamascopium with inputs and outputs scaled, and features judged by their decoder norms."""
    read, written = (1.0, 1.0) if length is None else (D_IN**0.5 / length[0], D_IN**0.5 / length[1])
    inside = read * x - (w["b_D"] if subtracts else 0)
    norms = np.linalg.norm(w["W_D"], axis=1)
    before = (inside @ w["W_E"] + w["b_E"]) * norms
    if k is None:
        acts = before * (before > np.exp(w["activation_function.log_jumprelu_threshold"])) / norms
    else:
        acts = largest(relu(before), k) / norms
    return acts, (acts @ w["W_D"] + w["b_D"]) / written


def llama_scope(length: tuple[float, float] | None = None, *, subtracts: bool = False) -> Run:
    return lambda w, x: _llama_scope(w, x, length=length, subtracts=subtracts)


def llama_scope_topk(length: tuple[float, float]) -> Run:
    def run(w, x):
        acts, x_hat = _llama_scope(w, x, length=length, k=K)
        return acts * np.linalg.norm(w["W_D"], axis=1), x_hat  # here activations take up the norms

    return run


def llama_scope_published(read: float, written: float, threshold: float) -> Run:
    """What the library of 2024 makes of hyperparams.json: numbers in units of the input, rows of length 1."""

    def run(w, x):
        W_dec = w["decoder.weight"] * (read / written)
        norms = np.linalg.norm(W_dec, axis=0)
        before = x @ (w["encoder.weight"] * norms[:, None]).T + w["encoder.bias"] / read * norms
        acts = np.where(before > threshold, before, 0)
        return acts, acts @ (W_dec / norms).T + w["decoder.bias"] / written

    return run


_RUNNING = ("running_mean", "running_var")


def overcomplete(kind: str = "relu", *, archetypal: bool = False) -> Run:
    """SAE, TopKSAE and JumpSAE after eval(): batch norm by its running numbers, directions normalised."""

    def run(w, x):
        before = x @ w["encoder.final_block.0.weight"].T + w["encoder.final_block.0.bias"]
        if "encoder.final_block.1.weight" in w:
            scale, shift, mean, var = (w[f"encoder.final_block.1.{n}"] for n in ("weight", "bias", *_RUNNING))
            before = (before - mean) / np.sqrt(var + 1e-5) * scale + shift
        acts = relu(before)
        if kind == "topk":
            acts = largest(acts)
        if kind == "jump":
            acts = np.where(acts < np.exp(w["thresholds"]), 0, acts)
        if archetypal:
            rows = w["dictionary.W"] @ w["dictionary.C"] + w["dictionary.Relax"]
        else:
            rows = w["dictionary._weights"]
            rows = rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-8)
        return acts, acts @ (rows * np.exp(w["dictionary.multiplier"]))

    return run
