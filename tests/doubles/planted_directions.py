"""Directions in clusters, for tests of maps and clusters."""

import numpy as np
from jaxtyping import Float, Int


def planted_clusters(
    *, n_clusters: int, size: int, d: int, spread: float = 0.3, seed: int = 0
) -> tuple[Float[np.ndarray, "row d"], Int[np.ndarray, " row"]]:
    """Return `size` directions around each of `n_clusters` orthogonal centres, shuffled, and their clusters."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(n_clusters), size))
    centres = np.linalg.qr(rng.normal(size=(d, d)))[0][:n_clusters]
    rows = centres[label] + spread * rng.normal(size=(len(label), d)) / np.sqrt(d)
    return (rows * rng.uniform(0.5, 2, size=(len(rows), 1))).astype(np.float32), label
