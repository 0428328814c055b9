"""Logit-weight statistics of a whole dictionary:   python -m benchmarks.logit_weights [--quick]

Synthetic weights of GPT-2's shape: an unembedding that is stronger in some directions than in others, and
some features that promote a few tokens. Checked against float64 brute force before anything is timed.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, product_backends, report, seconds
from core.logit_weights.statistics import LogitStatistics, logit_statistics, random_directions
from core.logit_weights.unembedding import Unembedding

K = 20


@dataclass(frozen=True)
class Shape:
    d_sae: int
    d_vocab: int
    d_model: int

    def __str__(self) -> str:
        return f"{self.d_sae} features, {self.d_vocab} tokens, d {self.d_model}"


GPT2 = Shape(24576, 50257, 768)
QUICK = Shape(2048, 50257, 768)
GEMMA = Shape(1024, 256_000, 2304)
QUICK_GEMMA = Shape(256, 32_768, 2304)


def synthetic_unembedding(shape: Shape, *, offset: float = 0.0, dtype=np.float32, seed: int = 3) -> Unembedding:
    """Draw token rows, tile by tile, and add a common row of `offset` times their size; with offset 0, centre them."""
    rng = np.random.default_rng(seed)
    strength = 0.1 * np.exp(0.5 * rng.standard_normal(shape.d_model, dtype=np.float32))
    common = offset * np.float32(0.1) * rng.standard_normal(shape.d_model, dtype=np.float32)
    rows = np.empty((shape.d_vocab, shape.d_model), dtype)
    for start in range(0, shape.d_vocab, 4096):
        part = rows[start : start + 4096]
        part[:] = strength * rng.standard_normal(part.shape, dtype=np.float32) + common
    if not offset and dtype == np.float32:
        rows -= rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    return Unembedding(rows, np.arange(shape.d_vocab))


def synthetic_directions(shape: Shape, unembedding: Unembedding, seed: int = 0) -> np.ndarray:
    """Draw directions of length 1; every eighth points towards eight tokens, so that it promotes them."""
    rng = np.random.default_rng(seed)
    directions = random_directions(shape.d_sae, shape.d_model, seed=seed)
    chosen = rng.integers(0, shape.d_vocab, size=(len(directions[::8]), 8))
    towards = unembedding.rows[chosen].astype(np.float32).mean(axis=1)
    directions[::8] += 1.2 * towards / np.linalg.norm(towards, axis=1, keepdims=True)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def worst_error(stats: LogitStatistics, directions: np.ndarray, unembedding: Unembedding, n_features: int) -> float:
    """Return the largest relative error of kurtosis and skewness against float64 brute force.

    If a skewness is below 1, its error counts as an absolute one. Half of the features promote tokens. Mean, standard
    deviation and extremes must be right to 1e-5 of the row's largest value, and so must the values of the extreme
    tokens.
    """
    some = np.linspace(0, len(directions) - 1, n_features // 2).astype(int) // 8 * 8
    chosen = np.unique(np.concatenate([some, np.minimum(some + 3, len(directions) - 1)]))
    W, rows = directions[chosen].astype(np.float64), unembedding.rows
    parts = [W @ rows[start : start + 4096].astype(np.float64).T for start in range(0, len(rows), 4096)]
    worst = 0.0
    for i, L in zip(chosen.tolist(), np.concatenate(parts, axis=1), strict=True):
        mean, std, limit = L.mean(), L.std(), 1e-5 * np.abs(L).max()
        z = (L - mean) / std
        skewness, kurtosis = (z**3).mean(), (z**4).mean()
        worst = max(worst, abs(stats.kurtosis[i] / kurtosis - 1))
        worst = max(worst, abs(stats.skewness[i] - skewness) / max(1, abs(skewness)))
        found = [stats.mean[i], stats.std[i], stats.minimum[i], stats.maximum[i]]
        assert np.abs(np.subtract(found, [mean, std, L.min(), L.max()])).max() < limit, i
        for tokens, order in ((stats.top_tokens[i], -L), (stats.bottom_tokens[i], L)):
            assert np.abs(order[tokens] - np.sort(order)[:K]).max() < limit, i
    print(
        f"error of {len(chosen)} features, |mean| / std up to {np.abs(stats.mean / stats.std).max():.3g}: {worst:.1e}"
    )
    return float(worst)


def torch_in_passes(directions: np.ndarray, rows: np.ndarray, block: int = 512) -> None:
    """Compute as notebooks usually do: the matrix in blocks, one pass for each number, topk for either end."""
    import torch

    from core.work.torch_library import as_tensor

    W, W_U = as_tensor(directions), as_tensor(rows).T
    for start in range(0, len(W), block):
        L = W[start : start + block] @ W_U
        x = L - L.mean(1, keepdim=True)
        z = x / x.pow(2).mean(1, keepdim=True).sqrt()
        z.pow(3).mean(1), z.pow(4).mean(1)
        torch.topk(L, K, dim=1), torch.topk(-L, K, dim=1)


def scipy_and_argsort(directions: np.ndarray, rows: np.ndarray) -> None:
    """Compute in the simplest way: the whole matrix, scipy's moments, and every row sorted."""
    from scipy import stats

    L = directions @ rows.T
    L.mean(axis=1), L.std(axis=1), stats.skew(L, axis=1), stats.kurtosis(L, axis=1), np.argsort(L, axis=1)


def measure(shape: Shape, *, repeats: int) -> list[Record]:
    """Check the statistics, then time them, their floor and both peers."""
    unembedding = synthetic_unembedding(shape)
    directions = synthetic_directions(shape, unembedding)
    found = {}

    def work() -> None:
        found["stats"] = logit_statistics(directions, unembedding, center="mean", k=K)

    peak = peak_gb(work)  # also the warm-up
    error = worst_error(found["stats"], directions, unembedding, 32)
    assert error < 1e-5, error
    backends = product_backends(unembedding.rows, directions[:1024])
    few, fewer = min(2048, shape.d_sae), min(256, shape.d_sae)
    torch_in_passes(directions[:512], unembedding.rows)
    jobs = {"job": work, "torch": lambda: torch_in_passes(directions[:few], unembedding.rows)} | backends
    times = median_seconds(jobs, repeats)
    floors = {name: times[name] * shape.d_sae / min(1024, shape.d_sae) for name in backends}
    print("seconds of the bare product by backend:", {name: round(s, 3) for name, s in floors.items()})
    sorting = seconds(lambda: scipy_and_argsort(directions[:fewer], unembedding.rows)) * shape.d_sae / fewer
    name, floor = "moments and extreme tokens of logit weights", min(floors.values())
    slow = f"torch in several passes ({few} features measured and scaled)"
    slower = f"scipy.stats and argsort ({fewer} features measured and scaled)"
    first = Record(name, str(shape), times["job"], floor, slow, times["torch"] * shape.d_sae / few, peak, error)
    return [first, Record(name, str(shape), times["job"], floor, slower, sorting)]


def measure_far_mean(shape: Shape) -> Record:
    """Check and time the statistics if every mean is about 25 standard deviations from 0."""
    few = Shape(256, shape.d_vocab, shape.d_model)
    unembedding = synthetic_unembedding(few, offset=1.3)
    directions = synthetic_directions(few, unembedding)
    # All directions now have a part along the common offset, each at another angle.
    towards = unembedding.rows.mean(axis=0) / np.linalg.norm(unembedding.rows.mean(axis=0))
    directions = (directions + towards).astype(np.float32)
    found = {}
    taken = seconds(lambda: found.update(stats=logit_statistics(directions, unembedding, center="none", k=K)))
    error = worst_error(found["stats"], directions, unembedding, 32)
    assert error < 1e-5, error
    return Record("the same, means far off 0", str(few), taken, max_error=error)


def gemma(shape: Shape) -> None:
    """Print seconds, floor, error and the process's largest memory of a Gemma-sized job (half-precision rows)."""
    import resource

    unembedding = synthetic_unembedding(shape, dtype=np.float16)
    directions = synthetic_directions(shape, unembedding)
    logit_statistics(directions[:2], Unembedding(unembedding.rows[:512], np.arange(512)), center="none")
    found = {}
    taken = seconds(lambda: found.update(stats=logit_statistics(directions, unembedding, center="none", k=K)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    few = unembedding.rows[:8192].astype(np.float32)
    out = np.empty((len(directions), len(few)), np.float32)
    product = min(seconds(lambda: np.matmul(directions, few.T, out=out)) for _ in range(3))
    error = worst_error(found["stats"], directions, unembedding, 16)
    print(json.dumps([taken, product * shape.d_vocab / len(few), peak, error]))


def measure_gemma(shape: Shape) -> Record:
    """Run the Gemma-sized job in a process of its own, to measure its memory alone."""
    script = f"from benchmarks.logit_weights import Shape, gemma; gemma({shape!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    taken, product, peak, error = json.loads(done.stdout.splitlines()[-1])
    assert peak < 2, f"{peak:.2f} GB"
    return Record(
        "the same; peak is the whole process, inputs and all", str(shape), taken, product, None, None, peak, error
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer features, within a minute")
    quick = parser.parse_args().quick
    records = measure(QUICK if quick else GPT2, repeats=3)
    report([*records, measure_far_mean(QUICK), measure_gemma(QUICK_GEMMA if quick else GEMMA)])


if __name__ == "__main__":
    main()
