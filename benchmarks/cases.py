"""The cases of `benchmarks.report`: one analysis at a number of features, on a device, with its floor and a peer.

A peer computes the same numbers as people usually do, in torch on the same device: its time is what a notebook on this
machine would need.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import enrichment as of_enrichment
from benchmarks import logit_weights as of_logit_weights
from benchmarks import match_correlation as of_correlation
from benchmarks import neighbors as of_neighbors
from benchmarks import positions as of_positions
from benchmarks.layout import clustered_directions
from core.activations.token_pass import activation_pass
from core.devices.device import Device
from core.dictionaries.dictionary import Dictionary
from core.enrichment.enrichment import enrichment
from core.geometry.neighbors import nearest_between, nearest_features
from core.logit_weights.statistics import logit_statistics
from core.matching.activations import match_activations
from core.models.language_model import LanguageModel
from core.positions.additive import additive_statistics

D, D_VOCAB, N_POS, N_SETS, N_TOKENS = 768, 50257, 128, 100, 2**17
"""GPT-2's width and vocabulary, the context of most of its dictionaries, and usual numbers of token sets and tokens."""


@dataclass(frozen=True)
class Case:
    """One analysis of one dictionary."""

    what: str
    run: Callable[[Device], Any]
    check: Callable[[Any], float]
    """Return the largest error of a result; raises where it is wrong."""
    product: tuple[np.ndarray, np.ndarray]
    """The matrices, (n, d) and (m, d), whose product every method must compute."""
    products: int
    """The number of such products."""
    peer: str
    peer_run: Callable[[Device, int], None]
    """Run the peer on the first features, whose number is the second argument."""
    peer_scale: int = 1
    """The peer does one part in `peer_scale` of the work; its time is multiplied by this."""


def _kept(*arrays: np.ndarray) -> None:
    """Make arrays read-only, as the app's weights are, so that a device keeps its copy."""
    for array in arrays:
        array.flags.writeable = False


@contextmanager
def positions(n: int) -> Iterator[Case]:
    """Positional statistics of all tokens at all positions."""
    shape = of_positions.Shape(n, D_VOCAB, N_POS, D)
    with tempfile.TemporaryDirectory() as folder:
        model = of_positions.synthetic_model(shape, Path(folder))
        dictionary = of_positions.synthetic_dictionary(shape, model)
        how = {"n_pos": N_POS, "context_size": N_POS}

        def every_pair(device: Device, features: int) -> None:
            """Encode one token in N_POS at all positions, and add up moments."""
            from core.devices.placed import place

            W_E, W_pos = place(model.W_E[::N_POS].copy(), device), place(model.W_pos, device)
            W_enc = place(dictionary.W_enc[:, :features], device)
            bias = place(dictionary.b_enc[:features], device) - place(dictionary.b_dec, device) @ W_enc
            for start in range(0, len(W_E), 4):
                x = W_E[start : start + 4, None] + W_pos
                f = (x @ W_enc + bias).relu_()
                f.sum(0), f.square().sum(0), (f > 0).sum(0)

        yield Case(
            f"positional statistics, {D_VOCAB:,} tokens × {N_POS} positions",
            lambda device: additive_statistics(dictionary, model, device=device, **how),
            lambda stats: of_positions.worst_error(stats, dictionary, model, 6),
            (np.ascontiguousarray(dictionary.W_enc.T), model.W_E),
            1,
            f"every pair encoded by torch (one token in {N_POS}, scaled)",
            every_pair,
            N_POS,
        )


@contextmanager
def logits(n: int) -> Iterator[Case]:
    """Moments of logit weights and 20 extreme tokens."""
    shape = of_logit_weights.Shape(n, D_VOCAB, D)
    unembedding = of_logit_weights.synthetic_unembedding(shape)
    directions = of_logit_weights.synthetic_directions(shape, unembedding)
    _kept(directions, unembedding.rows)

    def in_passes(device: Device, features: int) -> None:
        from core.devices.placed import place

        W, W_U = place(directions[:features], device), place(unembedding.rows, device).T
        for part in W.split(512):
            L = part @ W_U
            x = L - L.mean(1, keepdim=True)
            z = x / x.pow(2).mean(1, keepdim=True).sqrt()
            z.pow(3).mean(1), z.pow(4).mean(1)
            L.topk(of_logit_weights.K, dim=1), (-L).topk(of_logit_weights.K, dim=1)

    yield Case(
        f"moments and extreme tokens of logit weights, {D_VOCAB:,} tokens",
        lambda device: logit_statistics(directions, unembedding, center="mean", k=of_logit_weights.K, device=device),
        lambda stats: of_logit_weights.worst_error(stats, directions, unembedding, 16),
        (directions, unembedding.rows),
        1,
        "torch in several passes",
        in_passes,
    )


@contextmanager
def token_sets(n: int) -> Iterator[Case]:
    """Enrichment in 100 token sets, with p and q."""
    shape = of_enrichment.Shape(n, D_VOCAB, D, N_SETS, 5000)
    unembedding, sets = of_enrichment.synthetic_unembedding(shape), of_enrichment.synthetic_sets(shape)
    directions = of_enrichment.synthetic_directions(shape, unembedding)
    _kept(directions, unembedding.rows)
    inside = np.zeros((D_VOCAB, N_SETS), np.float32)
    for s, item in enumerate(sets.sets):
        inside[item.tokens, s] = 1

    def by_sorting(device: Device, features: int) -> None:
        """Sort each feature's tokens and compute the running sum of each set."""
        from core.devices.placed import place

        W, W_U, hit = place(directions[:features], device), place(unembedding.rows, device), place(inside, device)
        rise, fall = 1 / hit.sum(0), 1 / (1 - hit).sum(0)
        for row in W:
            order = (W_U @ row).argsort(descending=True)
            height = (hit[order] * (rise + fall) - fall).cumsum(0)
            height.amax(0), height.amin(0)

    def error(found: Any) -> float:
        worst = of_enrichment.worst_error(found, directions[:4], unembedding, inside)
        assert worst < 1e-3, worst
        return worst

    yield Case(
        f"scores, AUC, p and q of {N_SETS} token sets, {D_VOCAB:,} tokens",
        lambda device: enrichment(directions, unembedding, sets, device=device),
        error,
        (directions, unembedding.rows),
        1,
        "argsort and cumsum by torch, scores alone",
        by_sorting,
    )


@contextmanager
def nearest(n: int) -> Iterator[Case]:
    """The 100 nearest features."""
    rows = clustered_directions(n, D)
    checked = np.random.default_rng(0).choice(n, 64, replace=False)
    yield Case(
        f"exact {of_neighbors.K} nearest features",
        lambda device: nearest_features(rows, k=of_neighbors.K, device=device),
        lambda found: of_neighbors.check(found, rows, checked),
        (rows, rows),
        1,
        "torch's product and topk in float32, ties and rounding as they fall",
        lambda device, features: _by_topk(rows, rows, features, of_neighbors.K + 1, device),
    )


@contextmanager
def both_ways(n: int) -> Iterator[Case]:
    """The 20 nearest of two dictionaries, both ways: the first step of matching."""
    rows, other = clustered_directions(n, D), clustered_directions(n, D, seed=1)
    checked = np.random.default_rng(0).choice(n, 64, replace=False)

    def error(found: Any) -> float:
        cos, idx = of_neighbors.best_by_float64(rows, other, checked, same=False)
        assert of_neighbors.recall(found.a_in_b_idx[checked], idx[:, :20]) == 1.0, "a match is missing"
        return float(np.abs(found.a_in_b_cos[checked] - cos[:, :20]).max())

    yield Case(
        "20 nearest of two dictionaries, both ways",
        lambda device: nearest_between(rows, other, k=20, device=device),
        error,
        (rows, other),
        1,
        "torch's product and topk in float32, once each way",
        lambda device, features: [_by_topk(*pair, features, 20, device) for pair in ((rows, other), (other, rows))],
    )


def _by_topk(rows: np.ndarray, others: np.ndarray, features: int, k: int, device: Device) -> None:
    from core.devices.placed import place

    a, b = (place(part, device) for part in (rows[:features], others))
    a, b = (part / part.norm(dim=1, keepdim=True) for part in (a, b))
    for part in a.split(1024):
        (part @ b.T).topk(k, dim=1)


@contextmanager
def token_pass(n: int) -> Iterator[Case]:
    """The dictionary's part of a token pass, at layer 0, where the model is only a table."""
    shape = of_positions.Shape(n, 8192, N_POS, D)
    with tempfile.TemporaryDirectory() as folder:
        model = of_positions.synthetic_model(shape, Path(folder))
        # This makes about 80 features active on a token, for any n.
        dictionary = of_positions.synthetic_dictionary(shape, model, log_rate=-7.0 - np.log(n / 24576))
        rows = np.random.default_rng(2).integers(0, shape.d_vocab, (N_TOKENS // N_POS, N_POS))
        yield _of_pass(f"token pass, the dictionary's side, {N_TOKENS:,} tokens, not stored", dictionary, model, rows)


@contextmanager
def token_pass_with_model(n: int) -> Iterator[Case]:
    """A token pass with a model of GPT-2's shape, up to the stream before layer 8."""
    shape = of_positions.Shape(n, D_VOCAB, N_POS, D)
    with tempfile.TemporaryDirectory() as folder:
        model = whole_model(Path(folder))
        given = of_positions.synthetic_dictionary(shape, model, log_rate=-7.0 - np.log(n / 24576))
        config = replace(given.config, hook_name="blocks.8.hook_resid_pre")
        how = {"raw_config": {"architecture": "standard"}, "tensors": given._tensors}
        dictionary = Dictionary(id="deep", title="deep", config=config, **how)
        rows = np.random.default_rng(2).integers(0, D_VOCAB, (N_TOKENS // N_POS, N_POS))
        yield _of_pass(
            f"token pass with a model of GPT-2's shape to layer 8, {N_TOKENS:,} tokens", dictionary, model, rows
        )


def _of_pass(what: str, dictionary: Dictionary, model: LanguageModel, rows: np.ndarray) -> Case:
    few = rows[:2]
    x = model.activations(few, dictionary.config.hook_name).reshape(-1, D)

    def error(found: Any) -> float:
        """Return the largest error of sums of activations on a few rows, against float64, as a share of the largest."""
        f = np.maximum((x.astype(np.float64) - dictionary.b_dec) @ dictionary.W_enc + dictionary.b_enc, 0)
        true = f.sum(axis=0)
        total = activation_pass(dictionary, model, few, None, device=found).total.sum(axis=0)
        return float(np.abs(total - true).max() / true.max())

    def dense(device: Device, features: int) -> None:
        from core.devices.placed import place

        W_enc, W_dec = place(dictionary.W_enc[:, :features], device), place(dictionary.W_dec[:features], device)
        b_enc, b_dec = place(dictionary.b_enc[:features], device), place(dictionary.b_dec, device)
        inputs = place(np.tile(x, (16, 1)), device)
        for part in inputs.split(1024):
            f = ((part - b_dec) @ W_enc + b_enc).relu_()
            active = f != 0
            active.sum(0), f.sum(0), (f**2).sum(0), f.amax(0), f[active], active.nonzero()
            ((part - f @ W_dec - b_dec) ** 2).sum(1)

    def run(device: Device) -> Device:
        activation_pass(dictionary, model, rows, None, device=device)
        return device

    inputs = np.tile(x, (N_TOKENS // len(x), 1))
    peer = "the same sums by torch, dense, without the model (one token in 16, scaled)"
    product = np.ascontiguousarray(dictionary.W_enc.T), inputs
    return Case(what, run, error, product, 1, peer, dense, N_TOKENS // (16 * len(x)))


def whole_model(folder: Path) -> LanguageModel:
    """Write a model of GPT-2's shape with random weights, in TransformerLens' names."""
    from safetensors.numpy import save_file

    rng, heads, d_mlp, layers = np.random.default_rng(4), 12, 4 * D, 9
    config = {"n_layers": layers, "n_heads": heads, "d_head": D // heads, "d_mlp": d_mlp, "model_name": "synthetic"}
    config |= {"d_model": D, "n_ctx": N_POS, "d_vocab": D_VOCAB, "act_fn": "gelu_new", "normalization_type": "LN"}
    config |= {"positional_embedding_type": "standard"}
    shapes = {"embed.W_E": (D_VOCAB, D), "pos_embed.W_pos": (N_POS, D), "unembed.W_U": (D, D_VOCAB)}
    shapes |= {"unembed.b_U": (D_VOCAB,), "ln_final.w": (D,), "ln_final.b": (D,)}
    for layer in range(layers):
        of = {f"ln{i}.{name}": (D,) for i in (1, 2) for name in "wb"}
        of |= {f"attn.W_{name}": (heads, D, D // heads) for name in "QKV"} | {"attn.W_O": (heads, D // heads, D)}
        of |= {f"attn.b_{name}": (heads, D // heads) for name in "QKV"} | {"attn.b_O": (D,)}
        of |= {"mlp.W_in": (D, d_mlp), "mlp.b_in": (d_mlp,), "mlp.W_out": (d_mlp, D), "mlp.b_out": (D,)}
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in of.items()}
    tensors = {name: 0.05 * rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    tensors = {name: array + 1 if name.endswith(".w") else array for name, array in tensors.items()}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return LanguageModel(folder)


@contextmanager
def correlations(n: int) -> Iterator[Case]:
    """Correlation of the activations of two dictionaries, the ten best both ways."""
    a, b = of_correlation.activations(n, N_TOKENS // 8)
    x, y = of_correlation.scipy_matrix(a), of_correlation.scipy_matrix(b)

    def dense(device: Device, features: int) -> None:
        from core.devices.placed import place

        f = place(x[:, :features].toarray(), device)
        f = f - f.mean(0)
        f = f / f.norm(dim=0).clamp_min(1e-12)
        for start in range(0, n, 4096):
            g = place(y[:, start : start + 4096].toarray(), device)
            g = g - g.mean(0)
            (f.T @ (g / g.norm(dim=0).clamp_min(1e-12))).topk(10, dim=1)

    few = np.random.default_rng(0).standard_normal((n, N_TOKENS // 8), dtype=np.float32)
    yield Case(
        f"correlation of activations of two dictionaries, {N_TOKENS // 8:,} tokens, {of_correlation.L0} active each",
        lambda device: match_activations(a, b, device=device),
        lambda found: of_correlation.worst_error(a, b, found),
        (few[:1024], few),
        -(-n // 1024),
        "dense float32 by torch, one way",
        dense,
    )


CASES = (nearest, both_ways, token_pass, token_pass_with_model, correlations, positions, logits, token_sets)
