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
