"""Positional statistics of a layer-0 dictionary:   python -m benchmarks.positions [--quick]

Synthetic weights of GPT-2's shape: planted decoder clusters, heavy-tailed densities, smooth position vectors with an
outlier at 0. The result is checked against float64 brute force before anything is timed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, product_backends, report, seconds
from core.dictionaries.config import DictionaryConfig
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.positions.additive import additive_parts, additive_statistics
from core.positions.encoded import plain_grid_statistics
from core.positions.statistics import PositionStatistics


@dataclass(frozen=True)
class Shape:
    d_sae: int
    d_vocab: int
    n_pos: int
    d_in: int

    def __str__(self) -> str:
        return f"{self.d_sae} features, {self.d_vocab} tokens, {self.n_pos} positions, d {self.d_in}"


GPT2 = Shape(24576, 50257, 128, 768)
QUICK = Shape(4096, 16384, 128, 768)
DEMO = Shape(2048, 4096, 256, 128)


def synthetic_model(shape: Shape, folder: Path, seed: int = 1) -> LanguageModel:
    """Write a model of embeddings only: tokens in clusters (standard deviation 0.14), positions on a smooth curve.

    Position 0 is an outlier.
    """
    from safetensors.numpy import save_file

    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((1 + shape.d_vocab // 33, shape.d_in), dtype=np.float32)
    W_E = 0.6 * centres[rng.integers(0, len(centres), shape.d_vocab)]
    W_E += 0.8 * rng.standard_normal(W_E.shape, dtype=np.float32)
    W_E *= np.float32(0.14) / W_E.std()
    phase = 2 * np.pi * np.arange(shape.n_pos)[:, None] * np.arange(1, 11) / 1024
    waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / np.tile(np.arange(1, 11), 2)
    W_pos = 0.12 * waves @ rng.standard_normal((20, shape.d_in)) + 0.02 * rng.standard_normal((shape.n_pos, shape.d_in))
    W_pos[0] *= 3
    names = ("n_layers", "n_heads", "d_head", "d_mlp")
    config = dict.fromkeys(names, 1) | {"model_name": "synthetic", "positional_embedding_type": "standard"}
    config |= {"d_model": shape.d_in, "n_ctx": shape.n_pos, "d_vocab": shape.d_vocab}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"embed.W_E": W_E, "pos_embed.W_pos": W_pos.astype(np.float32)}
    tensors |= {"unembed.W_U": np.zeros_like(W_E.T), "unembed.b_U": np.zeros(shape.d_vocab, np.float32)}
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, folder / "model.safetensors")
    return LanguageModel(folder)


def synthetic_dictionary(shape: Shape, model: LanguageModel, seed: int = 0, log_rate: float = -7.6) -> Dictionary:
    """Draw decoder rows in clusters and encoders near them; set biases so that densities are heavy-tailed.

    `log_rate` is the logarithm of the median density.
    """
    rng = np.random.default_rng(seed)

    def directions(n: int) -> np.ndarray:
        rows = rng.standard_normal((n, shape.d_in), dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    centres, mix = directions(1 + shape.d_sae // 24), rng.random((shape.d_sae, 1), dtype=np.float32)
    W_dec = directions(shape.d_sae) + 1.2 * mix * centres[rng.integers(0, len(centres), shape.d_sae)]
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    noise = rng.standard_normal(W_dec.shape, dtype=np.float32) / np.sqrt(np.float32(shape.d_in))
    W_enc = 0.9 * W_dec + np.float32(0.35) * noise
    b_dec = model.W_E.mean(axis=0) + model.W_pos.mean(axis=0)
    x = model.W_E[rng.integers(0, shape.d_vocab, 1000)] + model.W_pos[rng.integers(0, shape.n_pos, 1000)] - b_dec
    z = x @ W_enc.T
    rate = np.clip(np.exp(rng.standard_normal(shape.d_sae) * 1.6 + log_rate), 1e-5, 0.6)
    quantile = np.array([NormalDist().inv_cdf(1 - r) for r in rate])
    tensors = {"W_enc": W_enc.T, "W_dec": W_dec, "b_dec": b_dec, "b_enc": -(z.mean(axis=0) + quantile * z.std(axis=0))}
    sizes = {"d_in": shape.d_in, "d_sae": shape.d_sae}
    hook = "blocks.0.hook_resid_pre"
    return Dictionary(
        id="synthetic",
        title="synthetic",
        config=DictionaryConfig("standard", d_out=shape.d_in, model_name="synthetic", hook_name=hook, **sizes),
        raw_config={"architecture": "standard", **sizes, "metadata": {"hook_name": hook}},
        tensors={name: np.ascontiguousarray(array, dtype=np.float32) for name, array in tensors.items()},
    )


def worst_error(stats: PositionStatistics, dictionary: Dictionary, model: LanguageModel, n_features: int) -> float:
    """Return the largest error of mean and standard deviation against float64 brute force.

    Errors are shares of the feature's largest activation. Half of the features are the densest, half are spread over
    all that ever fire. Shares of the variance must be right to 1e-5, and densities to one token. It also prints the
    error as a share of the largest mean, which shows float32's rounding for features that hardly fire.
    """
    by_rate = np.argsort(-stats.rate.mean(axis=1))
    alive = by_rate[stats.rate[by_rate].max(axis=1) > 0]
    spread = np.linspace(0, len(alive) - 1, n_features // 2).astype(int)
    chosen = np.unique(np.concatenate([alive[: n_features // 2], alive[spread]]))
    W_E, worst, strict = model.W_E.astype(np.float64), 0.0, 0.0
    for i in chosen.tolist():
        parts = additive_parts(dictionary, model.W_pos, slice(i, i + 1))
        f = np.maximum((W_E @ parts.weights[0].astype(np.float64))[:, None] + parts.position, 0)
        mean, std = f.mean(axis=0), f.std(axis=0)
        errors = np.abs(stats.mean[i] - mean).max(), np.abs(stats.std[i] - std).max()
        worst = max(worst, max(errors) / f.max())
        strict = max(strict, errors[0] / mean.max(), errors[1] / std.max())
        assert np.abs(stats.rate[i] - (f > 0).mean(axis=0)).max() < 1.5 / len(f), f"firing rate of feature {i}"
        variance = f.var()
        shares = np.array([mean.var(), f.mean(axis=1).var()]) / (variance if variance > 1e-12 else np.nan)
        got = [stats.share_position[i], stats.share_token[i]]
        assert np.allclose(got, shares, atol=1e-5, equal_nan=True), f"shares of feature {i}: {got}, not {shares}"
    print(f"error of {len(chosen)} features: {worst:.1e} of the largest activation, {strict:.1e} of the largest mean")
    return float(worst)


def measure(shape: Shape, *, repeats: int, peer_tokens: int) -> Record:
    """Check the additive grid, then time it, its floor, and the plain grid on a few tokens."""
    with tempfile.TemporaryDirectory() as folder:
        model = synthetic_model(shape, Path(folder))
        dictionary = synthetic_dictionary(shape, model)
        found = {}

        def work() -> None:
            found["stats"] = additive_statistics(dictionary, model, n_pos=shape.n_pos, context_size=shape.n_pos)

        _ = model.W_E
        peak = peak_gb(work)  # also the warm-up
        error = worst_error(found["stats"], dictionary, model, 32)
        assert error < 1e-5, error
        block = np.ascontiguousarray(dictionary.W_enc[:, :1024].T)
        backends = product_backends(model.W_E, block)
        times = median_seconds({"job": work} | backends, repeats)
        scale = shape.d_sae / len(block)
        floors = {name: round(scale * times[name], 3) for name in backends}
        print("seconds of the bare product by backend:", floors)
        peer = min(plain_grid_seconds(dictionary, model, shape, peer_tokens, budget) for budget in (2**27, 2**30))
    return Record(
        "positional statistics, additive grid",
        str(shape),
        times["job"],
        floor_s=min(floors.values()),
        peer=f"plain grid (every pair encoded; {peer_tokens} tokens measured and scaled)",
        peer_s=peer,
        peak_gb=peak,
        max_error=error,
    )


def plain_grid_seconds(
    dictionary: Dictionary, model: LanguageModel, shape: Shape, n_tokens: int, budget_bytes: int
) -> float:
    """Time the plain grid on the first tokens, and scale to the vocabulary."""
    common = {"n_pos": shape.n_pos, "context_size": shape.n_pos, "budget_bytes": budget_bytes}
    plain_grid_statistics(dictionary, model, np.arange(2), **common)
    return seconds(lambda: plain_grid_statistics(dictionary, model, np.arange(n_tokens), **common)) * (
        shape.d_vocab / n_tokens
    )


COLD = """
import time
start = time.perf_counter()
from pathlib import Path
from benchmarks.positions import DEMO, synthetic_dictionary, synthetic_model
import tempfile
with tempfile.TemporaryDirectory() as folder:
    model = synthetic_model(DEMO, Path(folder))
    dictionary = synthetic_dictionary(DEMO, model)
    start = time.perf_counter()
    from core.positions.methods import position_statistics
    position_statistics(dictionary, model)
    print(time.perf_counter() - start)
"""


def cold_seconds(cache: str) -> float:
    """Time the first statistics of a fresh process (demo shape) that stores compiled code in the folder `cache`."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run([sys.executable, "-c", COLD], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller shape, within a minute")
    quick = parser.parse_args().quick
    if quick:
        records = [measure(QUICK, repeats=3, peer_tokens=16)]
    else:
        records = [measure(GPT2, repeats=3, peer_tokens=32), measure(DEMO, repeats=5, peer_tokens=64)]
    with tempfile.TemporaryDirectory() as cache:
        first, second = cold_seconds(cache), cold_seconds(cache)
    records.append(Record("first statistics of a process, nothing compiled yet", str(DEMO), first))
    records.append(Record("first statistics of a process, compiled code on disk", str(DEMO), second))
    report(records)


if __name__ == "__main__":
    main()
