"""Exact nearest features:   python -m benchmarks.neighbors [--quick]

Synthetic decoder directions in planted clusters. Neighbours and cosines are checked against float64 brute force before
anything is timed. One peer is scikit-learn's brute force, on a part of the rows and scaled. The other is pynndescent:
there, both run in processes of their own that have imported only numpy.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, product_backends, report, seconds
from benchmarks.layout import clustered_directions
from core.geometry.composed import composed_features
from core.geometry.neighbors import K, Neighbors, nearest_between, nearest_features

CHECKED = 200
OURS = """
from core.geometry.neighbors import nearest_features
idx = nearest_features(rows, k=k).idx
"""
PYNNDESCENT = """
import pynndescent
index = pynndescent.NNDescent(rows, metric="cosine", n_neighbors=k + 1, random_state=0)
idx = index.neighbor_graph[0][:, 1:]
"""
FRESH = """
import sys, time
import numpy as np
rows, k = np.load(sys.argv[1]), int(sys.argv[2])
start = time.perf_counter()
{code}
taken = time.perf_counter() - start
np.save(sys.argv[1] + ".idx.npy", idx)
print(taken)
"""


def best_by_float64(rows: np.ndarray, others: np.ndarray, checked: np.ndarray, *, same: bool) -> tuple[np.ndarray, ...]:
    """Return cosines and numbers of the K best of `others` for the checked rows, in float64."""
    a, b = (
        x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
        for x in (rows[checked], others)
    )
    cos = a @ b.T
    if same:
        cos[np.arange(len(checked)), checked] = -2
    idx = np.argsort(-cos, axis=1, kind="stable")[:, :K]
    return np.take_along_axis(cos, idx, axis=1), idx


def recall(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), true.tolist(), strict=True)]))


def check(found: Neighbors, rows: np.ndarray, checked: np.ndarray) -> float:
    """Return the largest error of a cosine; of the checked rows, every neighbour must be found."""
    cos, idx = best_by_float64(rows, rows, checked, same=True)
    assert recall(found.idx[checked], idx) == 1.0, "a nearest neighbour is missing"
    error = float(np.abs(found.cos[checked] - cos).max())
    assert error < 1e-6, error
    return error


def fresh_seconds(code: str, rows: np.ndarray, checked: np.ndarray) -> tuple[float, float]:
    """Return the seconds (with imports) and the recall of a search in a new process."""
    _, true = best_by_float64(rows, rows, checked, same=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, rows)
        script = FRESH.format(code=code)
        done = subprocess.run([sys.executable, "-c", script, path, str(K)], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1]), recall(np.load(f"{path}.idx.npy")[checked], true)


def brute_force_seconds(rows: np.ndarray, queries: int) -> float:
    """Time scikit-learn on the first rows, and scale to all."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=K + 1, metric="cosine", algorithm="brute", n_jobs=-1).fit(rows)
    index.kneighbors(rows[:16])
    return seconds(lambda: index.kneighbors(rows[:queries])) * len(rows) / queries


def measure(n: int, d: int, *, repeats: int) -> list[Record]:
    """Check, then time: the search, also in a fresh process and between two dictionaries, and sums of features."""
    rows, other = clustered_directions(n, d), clustered_directions(n, d, seed=1)
    checked = np.random.default_rng(0).choice(n, CHECKED, replace=False)
    nearest_features(rows[:300], k=K)  # compiled code is fetched from disk here
    jobs = {
        "near": lambda: nearest_features(rows, k=K),
        "both": lambda: nearest_between(rows, other, k=20),
    }
    found: dict = {}
    peaks = {name: peak_gb(lambda name=name: found.update({name: jobs[name]()})) for name in jobs}
    error = check(found["near"], rows, checked)
    true = best_by_float64(rows, other, checked, same=False)[1][:, :20]
    assert recall(found["both"].a_in_b_idx[checked], true) == 1.0, "a match is missing"
    jobs["sums"] = lambda: composed_features(rows, found["near"])
    block = min(1024, n)
    backends = product_backends(rows, rows[:block])
    times = median_seconds(jobs | backends, repeats)
    common = {"size": f"{n} features, d {d}", "floor_s": min(times[name] for name in backends) * n / block}
    title = f"exact {K} nearest features"
    queries = n // 10
    peer = f"scikit-learn brute force ({queries} rows measured and scaled)"
    peer_s = brute_force_seconds(rows, queries)
    return [
        Record(
            title, **common, median_s=times["near"], peer=peer, peer_s=peer_s, peak_gb=peaks["near"], max_error=error
        ),
        fresh(f"{title}, fresh process, imports included", common, rows, checked),
        Record("20 nearest each way, two dictionaries", **common, median_s=times["both"], peak_gb=peaks["both"]),
        Record("best sum of two of the 20 nearest", **common, median_s=times["sums"]),
    ]


def fresh(title: str, common: dict, rows: np.ndarray, checked: np.ndarray) -> Record:
    """Time the search and pynndescent's, each in a process of its own."""
    ours, ours_recall = fresh_seconds(OURS, rows, checked)
    theirs, their_recall = fresh_seconds(PYNNDESCENT, rows, checked)
    assert ours_recall == 1.0
    peer = f"pynndescent in a fresh process (recall {their_recall:.3f} on {CHECKED} rows)"
    return Record(title, **common, median_s=ours, peer=peer, peer_s=theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller dictionary, within a minute")
    quick = parser.parse_args().quick
    report(measure(4096, 256, repeats=3) if quick else measure(24576, 768, repeats=3))


if __name__ == "__main__":
    main()
