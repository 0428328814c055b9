"""t-SNE of features from their exact nearest neighbours (van der Maaten 2014, by scikit-learn).

It takes minutes and offers no way to stop it, so it runs in a process of its own (see core.feature_map.embedder).
"""

import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from jaxtyping import Float

from core.errors import DoesNotFitError
from core.feature_map.embedder import run_embedder, serve
from core.geometry.neighbors import Neighbors
from core.work.progress import SILENT, Progress

ITERATIONS = 1000


def tsne_layout(
    neighbors: Neighbors,
    start: Float[np.ndarray, "d_sae 2"],
    *,
    perplexity: float,
    seed: int,
    progress: Progress = SILENT,
) -> Float[np.ndarray, "d_sae 2"]:
    """Lay out features by t-SNE of their directions at length 1; `start` holds the first positions.

    Features without neighbours get NaN. Raises DoesNotFitError if there are too few neighbours for the perplexity.
    `progress.update(done, total)` counts iterations; if it raises, the work ends.
    """
    placed = np.flatnonzero(neighbors.idx[:, 0] >= 0)
    n = len(placed)
    wanted = min(n - 1, int(3 * perplexity + 1))  # the number that scikit-learn uses
    if wanted > neighbors.k or perplexity >= n:
        raise DoesNotFitError(
            f"Perplexity {perplexity:g} is too large for {n:,} features with {neighbors.k} stored neighbours each. "
            "Choose a smaller perplexity (a third of the neighbours always works), or the PCA map."
        )
    number = np.full(len(neighbors.idx), -1, np.int32)
    number[placed] = np.arange(n, dtype=np.int32)
    middle = start[placed]
    inputs = {
        "idx": number[neighbors.idx[placed, :wanted]],
        "cos": neighbors.cos[placed, :wanted],
        "start": 1e-4 * middle / max(float(middle[:, 0].std()), 1e-12),
        "perplexity": perplexity,
        "seed": seed,
    }
    points = np.full(start.shape, np.nan, np.float32)
    # Two threads give two partial sums, whose order does not matter. With more, bits would differ from run to run.
    threads = {"OMP_NUM_THREADS": "2" if n > 1000 else "1"}
    points[placed] = run_embedder(__name__, inputs, progress=progress, environment=threads)
    return points


def fit(inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Run scikit-learn's t-SNE on prepared inputs and print its iterations."""
    from sklearn.manifold import TSNE

    tsne = TSNE(
        perplexity=float(inputs["perplexity"]),
        metric="precomputed",
        init=inputs["start"],
        random_state=int(inputs["seed"]),
        max_iter=ITERATIONS,
        verbose=2,
    )
    with redirect_stdout(_Steps(sys.stdout)):
        return tsne.fit_transform(distances(inputs["idx"], inputs["cos"]))


class _Steps:
    """An output that turns scikit-learn's report of an iteration into `step N of M`."""

    def __init__(self, target):
        self._target = target

    def write(self, text: str) -> int:
        return self._target.write(re.sub(r"Iteration (\d+)", rf"step \1 of {ITERATIONS}", text))

    def flush(self) -> None:
        self._target.flush()


def distances(idx: np.ndarray, cos: np.ndarray):
    """Return the distances of points on a sphere to their nearest (scipy CSR; in each row the point itself first)."""
    from scipy.sparse import csr_matrix

    n, k = idx.shape
    columns = np.concatenate([np.arange(n, dtype=np.int32)[:, None], idx], axis=1)
    chords = np.sqrt(np.clip(2 - 2 * cos.astype(np.float64), 0, None)).astype(np.float32)
    chords = np.concatenate([np.zeros((n, 1), np.float32), chords], axis=1)
    return csr_matrix((chords.ravel(), columns.ravel(), np.arange(0, n * (k + 1) + 1, k + 1)), shape=(n, n))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), fit)
