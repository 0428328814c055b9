"""Numbers of matchings that must not depend on the processor, printed as JSON like those of `kernel_numbers`.

OPENBLAS_CORETYPE=Prescott python -m tests.doubles.matching_kernels
"""

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from core.activations.sparse import SparseActivations
from core.activations.store import FeatureActivations
from core.matching.activations import masked_cosine_edges, match_activations
from core.matching.baselines import match_rotated, match_units
from core.matching.comparison import Comparison, Weights, compare_weights
from core.matching.null import own_nearest
from core.matching.numbers import null_numbers, pair_numbers
from core.matching.pairs import SIMILARITIES, match, nearest
from core.matching.proof import METHODS
from core.matching.two_features import pair_activations, pair_cosine
from tests.doubles.planted import planted_dictionary, planted_model

D, WIDTHS, N_TOKENS = 37, (67, 90), 400


def related(off: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two dictionaries whose mean is so many deviations off 0: copies of one another, near ones, short, long.

    Off 3,000, all cosines are 1 but for the seventh digit.
    """
    rng = np.random.default_rng(8)
    a, b = (rng.standard_normal((n, D)) for n in WIDTHS)
    b[:40] = a[:40] + 0.3 * rng.standard_normal((40, D))
    b[40:48] = a[:8]
    a[50:55] = a[0]
    a, b = (rows + off * np.eye(D)[2] for rows in (a, b))
    b[60:70] *= 10.0 ** rng.uniform(-6, 0, (10, 1))
    b[71] *= 50_000 / np.linalg.norm(b[71])
    return a.astype(np.float32), b.astype(np.float32)


def compared(off: float, workers: int) -> Comparison:
    (a, b), (a_enc, b_enc) = related(off), related(0.5)
    # Few candidates, so that all pairs must be looked through for missing ones.
    return compare_weights(Weights(a, a_enc[::-1].copy()), Weights(b, b_enc[::-1].copy()), k=3, workers=workers)


def sparse(d_sae: int, seed: int) -> SparseActivations:
    rng = np.random.default_rng(seed)
    f = (3000 + rng.standard_normal((N_TOKENS, d_sae))) * (rng.random((N_TOKENS, d_sae)) < 0.2)
    f[:, 3] = f[:, 1]
    tokens, features = np.nonzero(f)
    ends = np.bincount(tokens, minlength=N_TOKENS).cumsum()
    return SparseActivations(ends, features.astype(np.int32), f[tokens, features].astype(np.float32), d_sae)


def results(workers: int) -> Iterator[tuple[str, str, object]]:
    """Yield kind, name and value of every number."""
    for off in (0.0, 3000.0):
        comparison = compared(off, workers)
        for similarity in SIMILARITIES:
            for method in METHODS:
                found = match(comparison, similarity, method)
                parts = (found.a, found.b, found.score, found.decoder, found.encoder, np.array(found.gap))
                yield "exact", f"{method} by {similarity}, {off:g}", parts
            each = nearest(comparison, similarity)
            yield "exact", f"nearest by {similarity}, {off:g}", (each.a, each.b, each.of_a, each.of_b)
        numbers = [pair_numbers(comparison, "both"), *null_numbers(comparison, "encoder", k=3).values()]
        yield "exact", f"numbers, {off:g}", (np.array(json.dumps(numbers)),)
        yield "exact", f"control, {off:g}", (own_nearest(comparison.a, "decoder"), own_nearest(comparison.b, "encoder"))
    a, b = sparse(31, 1), sparse(45, 2)
    found = match_activations(a, b, least=5, workers=workers)
    yield "exact", "by activations", (found.a_in_b_corr, found.a_in_b_idx, found.b_in_a_corr, found.b_in_a_idx)
    edges = masked_cosine_edges(a, b, edge=0.2, least=5, workers=workers)
    yield "exact", "masked edges", (edges.a, edges.b, edges.score)
    yield "exact", "rotated basis", (match_rotated(a, b, least=5, workers=workers).a_best,)
    yield "near", "units", units()
    yield "near", "two features", two_features()


def units() -> tuple[np.ndarray, ...]:
    """Correlations of the units of two models, whose means are far from 0."""
    rows, hook = np.random.default_rng(9).integers(0, 57, (12, 8)), "blocks.0.hook_resid_pre"
    with TemporaryDirectory() as folder:
        models = []
        for seed, d_model in ((1, 16), (2, 24)):
            W_E = 300 + np.random.default_rng(seed).standard_normal((57, d_model))
            where = Path(folder) / str(seed)
            models.append(planted_model(where, d_model=d_model, d_vocab=57, n_ctx=8, tensors={"embed.W_E": W_E}))
        found = match_units(*((model, hook) for model in models), rows)
    return found.a_best, found.b_best


def two_features() -> tuple[np.ndarray, ...]:
    a, b = (planted_dictionary(d_in=D, d_sae=WIDTHS[0], tensors={"W_dec": rows[: WIDTHS[0]]}) for rows in related(3000))
    cosines = [pair_cosine(a, b, i, j, "decoder") for i, j in ((0, 0), (1, 41), (50, 0))]
    rng, where = np.random.default_rng(10), np.arange(60)
    values = (3000 + rng.standard_normal(60)).astype(np.float32)
    acts = [FeatureActivations(*np.divmod(where[::step], 10), values[::step] + step) for step in (1, 2)]
    pair = pair_activations(rng.integers(0, 57, (6, 10)), *acts)
    return (np.array([*cosines, pair.correlation, pair.masked_cosine]),)


if __name__ == "__main__":
    out: dict[str, dict] = {"exact": {}, "near": {}}
    for workers in (1, 2, 4):
        for kind, name, value in results(workers):
            bits = sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in value)).hexdigest()
            if kind == "exact":
                out["exact"][f"{name}, {workers} workers"] = bits
            else:
                out["near"][name] = [np.asarray(part, float).ravel().tolist() for part in value]
    json.dump(out, sys.stdout)
