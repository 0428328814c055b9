"""The token whose embedding lies nearest to what a feature writes: a name for it where nothing better is known."""

import numpy as np
from jaxtyping import Float, Int

from core.maths.unit_rows import unit_rows

_WITHIN = 1e-4
"""Cosines in float32 choose candidates this close to the best, more than they are wrong by; float64 decides."""


def nearest_embeddings(
    directions: Float[np.ndarray, "d_sae d_model"], W_E: Float[np.ndarray, "d_vocab d_model"], *, block: int = 512
) -> Int[np.ndarray, " d_sae"]:
    """Return for each direction the token whose embedding has the largest cosine with it. Ties: lower id.

    -1 for a direction of zero, one that is not finite, and where no embedding points the same way at all. Memory is
    about block * d_vocab floats.
    """
    ours, theirs = unit_rows(directions, np.float64), unit_rows(W_E, np.float64)
    usable = np.isfinite(ours).all(axis=1) & (ours != 0).any(axis=1)
    ours[~usable], theirs[~np.isfinite(theirs).all(axis=1)] = 0, 0
    found, columns = np.full(len(ours), -1, np.int64), theirs.T.astype(np.float32)
    for start in range(0, len(ours), block):
        near = ours[start : start + block].astype(np.float32) @ columns
        rows, ids = np.nonzero(near >= near.max(axis=1, keepdims=True) - _WITHIN)
        exact = np.einsum("ij,ij->i", ours[start + rows], theirs[ids]).astype(np.float32)
        best = np.lexsort((ids, -exact, rows))
        first = np.unique(rows[best], return_index=True)[1]
        chosen = best[first]
        found[start + rows[chosen]] = np.where(exact[chosen] > 0, ids[chosen], -1)
    found[~usable] = -1
    return found
