"""The feature map, from weights to coordinates:   python -m benchmarks.layout [--quick]

Synthetic decoder directions in planted clusters. Every run is a process of its own that has imported only numpy, as on
the first click after a start. The peer is umap-learn on the same rows, with the same number of neighbours and min_dist.
Compared are seconds, and the share of the 15 nearest features by exact cosine that are near on the map. Our map must
have the same bits in every process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Record, report

FULL, QUICK = (24576, 768), (4096, 256)

OURS = """
import sys, time
import numpy as np
from benchmarks.common import _status_kb
rows = np.load(sys.argv[1])
before, stages, last = _status_kb("VmRSS"), {}, time.perf_counter()
def stage(name):
    global last
    stages[name], last = time.perf_counter() - last, time.perf_counter()
from core.feature_map.layout import LayoutSettings, pca_layout, preservation
from core.geometry.neighbors import nearest_features
from core.feature_map.umap_layout import umap_layout
stage("imports")
neighbors = nearest_features(rows, k=100)
stage("100 nearest")
start = pca_layout(rows)
stage("PCA")
points = umap_layout(neighbors, start, n_neighbors=15, min_dist=0.05, seed=42)
stage("UMAP")
kept = preservation(neighbors, points[:, 0], points[:, 1])
stage("preservation")
import resource
peak = (_status_kb("VmHWM") - before + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024 / 1e9
np.savez(sys.argv[2], points=points, idx=neighbors.idx)
"""

PEER = """
import sys, time
import numpy as np
rows = np.load(sys.argv[1])
last, peak = time.perf_counter(), None
import umap
stages = {"imports": time.perf_counter() - last}
points = umap.UMAP(metric="cosine", n_neighbors=15, min_dist=0.05, random_state=SEED).fit_transform(rows)
stages["fit"] = time.perf_counter() - last - stages["imports"]
np.savez(sys.argv[2], points=points)
"""

SAY = """
import json
print(json.dumps({"stages": stages, "peak": peak}))
"""


def clustered_directions(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Draw directions of length 1 in clusters of about 24, some near their centre and some far from it."""
    rng = np.random.default_rng(seed)

    def unit(m: int) -> np.ndarray:
        rows = rng.standard_normal((m, d), dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    centres, mix = unit(1 + n // 24), rng.random((n, 1), dtype=np.float32)
    rows = unit(n) + 1.2 * mix * centres[rng.integers(0, len(centres), n)]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fresh_process(
    name: str, code: str, folder: Path, *, own_cache: bool = False
) -> tuple[float, float | None, dict[str, np.ndarray]]:
    """Run code in a new process; return its seconds, peak GB and the arrays that it saved.

    With `own_cache`, all compiled code, also umap-learn's, is stored in a folder that is empty at first; otherwise in
    its usual place. The peak includes the process in which our map runs umap-learn.
    """
    environment = os.environ | ({"NUMBA_CACHE_DIR": str(folder / "compiled")} if own_cache else {})
    command = [sys.executable, "-W", "ignore", "-c", code + SAY, str(folder / "rows.npy"), str(folder / "out.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}:", ", ".join(f"{stage} {s:.2f} s" for stage, s in said["stages"].items()), flush=True)
    with np.load(folder / "out.npz") as saved:
        return sum(said["stages"].values()), said["peak"], dict(saved)


def kept(idx: np.ndarray, points: np.ndarray) -> float:
    """Return the share of the 15 nearest by cosine that are among the 15 nearest points, without code of core."""
    from scipy.spatial import cKDTree

    near = cKDTree(points).query(points, 16)[1][:, 1:]
    return float(np.mean([(near == idx[:, rank, None]).any(axis=1) for rank in range(15)]))


def measure(n: int, d: int, *, peers: dict[str, str], peer_runs: int, cold: bool) -> list[Record]:
    """Time our map twice and each peer, with its seed; if `cold`, our first run finds nothing compiled on disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "rows.npy", clustered_directions(n, d))
        begun, _, first = fresh_process("ours", OURS, folder, own_cache=cold)
        warm, peak, second = fresh_process("ours", OURS, folder, own_cache=cold)
        assert first["points"].tobytes() == second["points"].tobytes(), "the map differs between processes"
        shares, seconds = {"ours": kept(first["idx"], first["points"])}, {}
        for peer, seed in peers.items():
            runs = [fresh_process(peer, PEER.replace("SEED", seed), folder) for _ in range(peer_runs)]
            seconds[peer] = min(run[0] for run in runs)
            shares[peer] = max(kept(first["idx"], saved["points"]) for _, _, saved in runs)
    print("share of the 15 nearest kept:", ", ".join(f"{name} {share:.3f}" for name, share in shares.items()))
    assert shares["ours"] >= max(shares.values()) - 0.005, shares
    size, peer = f"{n} features, d {d}", min(seconds, key=seconds.get)
    against = {"peer": f"{peer}, UMAP(metric='cosine') in a fresh process", "peer_s": seconds[peer]}
    title = "feature map with its 100 nearest neighbours, fresh process"
    records = [Record(f"{title}, compiled code on disk", size, warm, peak_gb=peak, **against)]
    return [*records, Record(f"{title}, nothing compiled yet", size, begun, **against)] if cold else records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller shape, within a minute")
    if parser.parse_args().quick:
        report(measure(*QUICK, peers={"umap-learn": "None"}, peer_runs=1, cold=False))
    else:
        report(measure(*FULL, peers={"umap-learn": "None", "umap-learn, seeded": "42"}, peer_runs=2, cold=True))


if __name__ == "__main__":
    main()
