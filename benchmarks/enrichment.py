"""Enrichment of all features in 100 token sets:   python -m benchmarks.enrichment [--quick]

Synthetic weights of GPT-2's shape: an unembedding with unequal directions, decoder rows of which some promote a few
tokens, and sets of 20 to 5,000 random tokens. Before anything is timed, the scores of some features are checked against
running sums of float64 logit weights, sorted by numpy, and AUC against scipy.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, product_backends, report, seconds
from core.enrichment.enrichment import Enrichment, enrichment, prepare
from core.logit_weights.unembedding import Unembedding
from core.token_sets.sets import TokenSet, TokenSets


@dataclass(frozen=True)
class Shape:
    d_sae: int
    d_vocab: int
    d_model: int
    n_sets: int
    largest: int

    def __str__(self) -> str:
        size = f"{self.d_sae} features, {self.d_vocab} tokens, d {self.d_model}"
        return f"{size}, {self.n_sets} sets of 20 to {self.largest}"


GPT2 = Shape(24576, 50257, 768, 100, 5000)
QUICK = Shape(2048, 16384, 768, 100, 1600)


def synthetic_unembedding(shape: Shape, seed: int = 3) -> Unembedding:
    """Draw rows with unequal spread over d_model, centred over tokens."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((shape.d_vocab, shape.d_model), dtype=np.float32) * np.float32(0.1)
    rows *= np.exp(0.5 * rng.standard_normal(shape.d_model, dtype=np.float32))
    rows -= rows.mean(axis=0)
    return Unembedding(rows, np.arange(shape.d_vocab))


def synthetic_directions(shape: Shape, unembedding: Unembedding, seed: int = 0) -> np.ndarray:
    """Draw rows of length 1; an eighth of them point towards eight tokens each."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((shape.d_sae, shape.d_model), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for i in range(shape.d_sae // 8):
        towards = unembedding.rows[rng.integers(0, shape.d_vocab, 8)].mean(axis=0)
        rows[i] += 1.2 * towards / np.linalg.norm(towards)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def synthetic_sets(shape: Shape, seed: int = 0) -> TokenSets:
    """Draw random sets; their sizes are log-uniform."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(20), np.log(shape.largest), shape.n_sets)).astype(int)
    drawn = [np.sort(rng.choice(shape.d_vocab, k, replace=False)) for k in sizes]
    return TokenSets(tuple(TokenSet(f"set {i}", "random", f"{len(s)} random", s) for i, s in enumerate(drawn)))


def by_sorting(logits: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the largest and least running sum of each row in each set, by argsort and cumsum, as notebooks do.

    inside (token, set) float32: 1 for members; returns (row, 2, set). Equal logits stay in the order of the sort.
    """
    k, n = inside.sum(axis=0), len(inside)
    result = np.empty((len(logits), 2, inside.shape[1]))
    for i, row in enumerate(logits):
        hits = inside[np.argsort(-row)]
        sums = np.cumsum(hits, axis=0) / k - np.cumsum(1 - hits, axis=0) / (n - k)
        result[i] = sums.max(axis=0), sums.min(axis=0)
    return result


def worst_error(found: Enrichment, directions: np.ndarray, unembedding: Unembedding, inside: np.ndarray) -> float:
    """Return the largest error of ES and AUC on these rows, against float64 logit weights.

    It is not 0, as float32 swaps the ranks of a few nearly equal tokens.
    """
    from scipy.stats import mannwhitneyu

    logits = directions.astype(np.float64) @ unembedding.rows.T.astype(np.float64)
    extremes = by_sorting(logits, inside.astype(np.float64))
    rows = slice(len(directions))
    errors = [found.es_high[rows] - np.maximum(extremes[:, 0], 0), found.es_low[rows] - np.minimum(extremes[:, 1], 0)]
    for s in range(0, inside.shape[1], 10):
        member, pairs = inside[:, s] > 0, inside[:, s].sum() * (1 - inside[:, s]).sum()
        u = mannwhitneyu(logits[:, member], logits[:, ~member], axis=1).statistic
        errors.append(found.auc[rows, s] - u / pairs)
    return float(max(np.abs(error).max() for error in errors))


def measure(shape: Shape, *, repeats: int, peer_features: int) -> list[Record]:
    """Check the enrichment, then time it on all features, its floor, and its peers on some features."""
    unembedding, sets = synthetic_unembedding(shape), synthetic_sets(shape)
    directions, found = synthetic_directions(shape, unembedding), {}
    inside = np.zeros((shape.d_vocab, shape.n_sets), np.float32)
    for s, item in enumerate(sets.sets):
        inside[item.tokens, s] = 1
    prepare()

    def work() -> None:
        found["scores"] = enrichment(directions, unembedding, sets)

    peak = peak_gb(work)  # also the warm-up
    few = np.ascontiguousarray(directions[:: shape.d_sae // peer_features][:peer_features])
    error = worst_error(enrichment(few, unembedding, sets), few, unembedding, inside)
    assert error < 1e-3, error
    block = np.ascontiguousarray(directions[:512])
    times = median_seconds({"job": work} | product_backends(unembedding.rows, block), repeats)
    job, scale = times.pop("job"), shape.d_sae / len(block)
    floors = {name: round(scale * value, 3) for name, value in times.items()}
    print("seconds of the bare product by backend:", floors)
    common = {"size": str(shape), "median_s": job, "floor_s": min(floors.values()), "peak_gb": peak}
    peers = notebook(shape, few, unembedding, inside), mann_whitney(shape, few, unembedding, sets)
    return [Record("AUC and signed ES of all features", max_error=error, **common, **peer) for peer in peers]


def notebook(shape: Shape, few: np.ndarray, unembedding: Unembedding, inside: np.ndarray) -> dict:
    """Time argsort and cumsum on some features, with their product, and scale to all."""
    taken = seconds(lambda: by_sorting(few @ unembedding.rows.T, inside))
    name = f"argsort + cumsum, ES alone ({len(few)} of {shape.d_sae} features measured and scaled)"
    return {"peer": name, "peer_s": taken * shape.d_sae / len(few)}


def mann_whitney(shape: Shape, few: np.ndarray, unembedding: Unembedding, sets: TokenSets) -> dict:
    """Time scipy.stats.mannwhitneyu on one feature and every tenth set, and scale to all."""
    from scipy.stats import mannwhitneyu

    row = few[0] @ unembedding.rows.T
    samples = [(row[item.tokens], np.delete(row, item.tokens)) for item in sets.sets[::10]]
    taken = seconds(lambda: [mannwhitneyu(*pair) for pair in samples]) * shape.n_sets / len(samples) * shape.d_sae
    name = f"scipy.stats.mannwhitneyu, AUC alone (1 of {shape.d_sae} features x {len(samples)} sets measured, scaled)"
    return {"peer": name, "peer_s": taken}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller shape, within a minute")
    quick = parser.parse_args().quick
    report(measure(QUICK, repeats=3, peer_features=8) if quick else measure(GPT2, repeats=3, peer_features=16))


if __name__ == "__main__":
    main()
