"""UMAP of features from their exact nearest neighbours (McInnes, Healy & Melville 2018, by umap-learn).

umap-learn gets the neighbours and does not search: its own search is approximate and compiles for half a minute in
every process. Its other compiled code is kept on disk. It runs in a process of its own (see core.feature_map.embedder).
With one thread and a seed, the result has the same bits each time, on every x86 processor.
"""

import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from core.errors import DoesNotFitError
from core.feature_map.embedder import run_embedder, serve
from core.geometry.neighbors import Neighbors
from core.work.progress import SILENT, Progress

_NOISE = 1e-4
_ANY_X86 = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
"""Compile umap-learn's loops for any x86 processor. Compiled for one, they would round differently on each; the time
is the same."""


def umap_layout(
    neighbors: Neighbors,
    start: Float[np.ndarray, "d_sae axis"],
    *,
    n_neighbors: int,
    min_dist: float,
    seed: int,
    progress: Progress = SILENT,
) -> Float[np.ndarray, "d_sae axis"]:
    """Lay out features from their neighbours, in as many axes as `start` (principal components), the first positions.

    `n_neighbors` counts the feature itself. Features without neighbours get NaN. Raises DoesNotFitError if there are
    too few neighbours; `progress.update(done, total)` counts epochs and may raise.
    """
    placed = np.flatnonzero(neighbors.idx[:, 0] >= 0)
    idx, cos = first_neighbors(neighbors, placed, n_neighbors - 1)
    inputs = {
        "idx": idx,
        "cos": cos,
        "start": jittered(start[placed], seed),
        "n_neighbors": n_neighbors,
        "min_dist": min_dist,
        "seed": seed,
    }
    points = np.full(start.shape, np.nan, np.float32)
    points[placed] = run_embedder(__name__, inputs, progress=progress, environment=_ANY_X86)
    return points


def first_neighbors(
    neighbors: Neighbors, placed: Int[np.ndarray, " placed"], k: int
) -> tuple[Int[np.ndarray, "placed k"], Float[np.ndarray, "placed k"]]:
    """Return the k nearest of each feature in `placed`, as indices into `placed`, and their cosines.

    Raises DoesNotFitError if fewer are stored.
    """
    if neighbors.k < k:
        raise DoesNotFitError(
            f"n_neighbors {k + 1} needs {k} other features; {neighbors.k} are stored for each of {len(placed):,}. "
            f"Choose n_neighbors of at most {neighbors.k + 1}, or the PCA map."
        )
    number = np.full(len(neighbors.idx), -1, np.int32)
    number[placed] = np.arange(len(placed), dtype=np.int32)
    return number[neighbors.idx[placed, :k]], neighbors.cos[placed, :k]


def jittered(start: Float[np.ndarray, "n axis"], seed: int) -> Float[np.ndarray, "n axis"]:
    """Add a little noise to a start, so that no two points coincide and no axis is flat."""
    scale = _NOISE * max(float(np.abs(start).max(initial=0)), 1e-6)
    return start + np.random.default_rng(seed).normal(scale=scale, size=start.shape)


def with_self(
    idx: Int[np.ndarray, "n k"], cos: Float[np.ndarray, "n k"]
) -> tuple[Int[np.ndarray, "n k_plus_1"], Float[np.ndarray, "n k_plus_1"]]:
    """Return neighbours and cosine distances in umap-learn's form: each point itself comes first, at distance 0."""
    own = np.arange(len(idx), dtype=np.int32)[:, None]
    distances = np.clip(1 - cos.astype(np.float64), 0, None).astype(np.float32)
    return np.concatenate([own, idx], axis=1), np.concatenate([np.zeros_like(distances[:, :1]), distances], axis=1)


def keep_compiled() -> None:
    """Let numba keep its compiled code of umap-learn on disk. This saves five seconds in each process after the first.

    umap-learn does not set `njit(cache=True)`, which would do the same. Without a folder to write to, nothing is kept.
    """
    from numba.core.dispatcher import Dispatcher
    from umap import layouts, umap_, utils

    for module in (layouts, umap_, utils):
        for function in vars(module).values():
            if isinstance(function, Dispatcher) and function.py_func.__module__ == module.__name__:
                with suppress(RuntimeError):
                    function.enable_caching()


def fit(inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Run umap-learn on prepared inputs and print its epochs."""
    warnings.filterwarnings("ignore")  # umap-learn warns that it cannot place new points later
    from umap import UMAP

    keep_compiled()
    start = inputs["start"]
    umap = UMAP(
        n_components=start.shape[1],
        metric="cosine",
        n_neighbors=int(inputs["n_neighbors"]),
        min_dist=float(inputs["min_dist"]),
        init=start,
        random_state=int(inputs["seed"]),
        n_jobs=1,
        precomputed_knn=with_self(inputs["idx"], inputs["cos"]),
        force_approximation_algorithm=True,  # else it searches neighbours again if points are few
        verbose=True,
        tqdm_kwds={"bar_format": "step {n_fmt} of {total_fmt}", "file": sys.stdout, "mininterval": 0.2},
    )
    # As neighbours and start are given, umap-learn uses only the number of these rows.
    return umap.fit_transform(start.astype(np.float32))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), fit)
