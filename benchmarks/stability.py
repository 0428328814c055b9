"""Stability and the life of features, beside their matching passes alone:   python -m benchmarks.stability [--quick]

Synthetic dictionaries share six tenths of their features, with noise. Stability is that of each of five in the four
others, so that ten pairs are matched, each once; life is over twelve layers, which are eleven pairs. Before anything is
timed, every feature must return in a permuted copy, and the chance of a sample must be that of draws.
"""

import argparse
import tempfile
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, report
from benchmarks.matching import planted_pair
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.parsing import parse_config
from core.geometry.neighbors import nearest_between
from core.stability.chance import return_chance, second_moments
from core.stability.life import life
from core.stability.returning import stability
from core.work.artifacts import ArtifactStore

FIVE, LAYERS = 5, 12
_DRAWS = 200


def dictionary(rows: np.ndarray) -> Dictionary:
    """Return a dictionary with these directions on both sides."""
    n, d = rows.shape
    raw = {"architecture": "standard", "d_in": d, "d_sae": n, "dtype": "float32", "apply_b_dec_to_input": True}
    raw |= {"metadata": {"model_name": "synthetic", "hook_name": "blocks.0.hook_resid_pre"}}
    zeros = {"b_enc": np.zeros(n, np.float32), "b_dec": np.zeros(d, np.float32)}
    tensors = {"W_dec": rows, "W_enc": np.ascontiguousarray(rows.T)} | zeros
    config = parse_config(raw, Path("synthetic"))
    return Dictionary(id="synthetic", title="synthetic", config=config, raw_config=raw, tensors=tensors)


def dictionaries(n: int, d: int, count: int) -> list[Dictionary]:
    """Draw dictionaries that share features with the first of their pair."""
    return [dictionary(planted_pair(n, d, seed)[1].decoder) for seed in range(count)]


def check(n: int, d: int) -> float:
    """Return the largest error of a chance, in standard errors of its draws; every feature returns in a copy."""
    rng, one = np.random.default_rng(0), planted_pair(n, d)[0].decoder
    found = stability(dictionary(one), [dictionary(one[rng.permutation(n)])])
    assert found.share.min() == 1.0
    moments, few = second_moments(one), one[:8].astype(float)
    axes = moments.axes * np.sqrt(moments.values)
    hits = np.zeros(len(few))
    t = 2.5 / d**0.5
    for _ in range(_DRAWS):
        drawn = rng.standard_normal((1000, d)) @ axes.T
        hits += (drawn @ few.T > t * np.linalg.norm(drawn, axis=1, keepdims=True)).sum(axis=0)
    p = -np.expm1(np.log1p(-return_chance(few, moments, t)) / moments.n)
    error = float((np.abs(hits / (1000 * _DRAWS) - p) / np.sqrt(p / (1000 * _DRAWS))).max())
    assert error < 5, error
    return error


def passes(pairs: list[tuple[Dictionary, Dictionary]]) -> None:
    """Do the matching passes alone."""
    for a, b in pairs:
        nearest_between(a.W_dec, b.W_dec, k=1)


def all_stabilities(members: list[Dictionary]) -> None:
    """Look for the features of each in all others, with a store that is empty at first."""
    with tempfile.TemporaryDirectory() as folder:
        for one in members:
            stability(one, [other for other in members if other is not one], store=ArtifactStore(Path(folder)))


def measure(n: int, d: int, *, repeats: int) -> list[Record]:
    """Time both beside their passes; everything runs once before."""
    error, records = check(min(n, 2048), d), []
    layers = dictionaries(n, d, LAYERS)
    five = layers[:FIVE]
    jobs = {
        f"stability of each of {FIVE}": (lambda: all_stabilities(five), list(combinations(five, 2))),
        f"life over {LAYERS} layers": (lambda: life(layers), list(pairwise(layers))),
    }
    for name, (job, pairs) in jobs.items():
        peak = peak_gb(job)
        taken = median_seconds({name: job, "passes": lambda pairs=pairs: passes(pairs)}, repeats)
        size = f"{n} features each, d {d}, {len(pairs)} passes"
        records.append(Record(name, size, taken[name], floor_s=taken["passes"], peak_gb=peak, max_error=error))
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller dictionaries, within a minute")
    quick = parser.parse_args().quick
    report(measure(4096, 256, repeats=3) if quick else measure(24576, 768, repeats=1))


if __name__ == "__main__":
    main()
