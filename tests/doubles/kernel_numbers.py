"""Numbers that must not depend on the processor, computed in a process of its own and printed as JSON.

    OPENBLAS_CORETYPE=Prescott python -m tests.doubles.kernel_numbers

numpy's and scipy's matrix products obey that setting: it stands for the processors that other people have. `exact`
holds a hash of the bits of each result, `near` numbers that may differ by rounding.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from core.enrichment.enrichment import enrichment
from core.feature_map.clusters import medoids
from core.feature_map.start import map_start
from core.feature_map.tables import true_neighbors
from core.geometry.composed import composed_features
from core.geometry.neighbors import nearest_features
from core.logit_weights.statistics import logit_statistics, logit_weights
from core.logit_weights.unembedding import Unembedding
from core.maths.unit_rows import unit_rows
from core.positions.additive import additive_statistics
from core.positions.statistics import PositionStatistics
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.token_set_scores import token_sets

V, D_MODEL, D_SAE = 1013, 32, 67
NEVER_TRAINED = tuple(range(5, 200, 3)) + tuple(range(600, V, 7))
"""Tokens with one row of W_U."""


def tokens(*, off: float = 0.0, scale: float = 1.0) -> Unembedding:
    """A W_U whose mean is so many deviations off 0, with a token of norm 3,000 and rows that are equal."""
    rng = np.random.default_rng(3)
    rows = scale * (rng.standard_normal((V, D_MODEL)) + off)
    rows[NEVER_TRAINED[0] : NEVER_TRAINED[0] + 1] = rows[list(NEVER_TRAINED)].mean(axis=0)
    rows[300] *= 3000 / np.linalg.norm(rows[300]) if not off else 1
    rows = rows.astype(np.float32)
    rows[list(NEVER_TRAINED)] = rows[NEVER_TRAINED[0]]
    return Unembedding(rows, np.arange(V))


def directions() -> np.ndarray:
    """Rows shorter than 1 and of 50,000, a few equal ones, one opposite another."""
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((D_SAE, D_MODEL)) * 10.0 ** rng.uniform(-6, 0, (D_SAE, 1))
    rows[7] *= 50_000 / np.linalg.norm(rows[7])
    rows[[20, 41]] = rows[11]
    rows[12] = -rows[13] + 1e-4 * np.abs(rows[13]).max() * rng.standard_normal(D_MODEL)
    return rows.astype(np.float32)


def clustered() -> np.ndarray:
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((15, D_MODEL)).repeat(9, axis=0)
    return (rows + 0.7 * rng.standard_normal(rows.shape)).astype(np.float32)


def results(workers: int) -> Iterator[tuple[str, str, object]]:
    """Yield kind, name and value of every number."""
    rows = directions()
    near = nearest_features(rows, k=30, workers=workers)
    yield "exact", "neighbours", (near.cos, near.idx)
    composed = composed_features(rows, near, workers=workers)
    yield "exact", "composed", (composed.first, composed.second, composed.cosine)
    common = (rows / np.abs(rows).max(axis=1, keepdims=True) + 3000 * np.eye(D_MODEL)[1]).astype(np.float32)
    place = np.zeros(D_SAE, np.float32)
    beside = true_neighbors(common, place, place, 11, k=D_SAE - 1)
    yield "exact", "beside the map", (beside["row"], beside["neighbor_cosine"])
    yield "exact", "start of maps", (map_start(common, 4), map_start(clustered(), 10))
    yield "exact", "medoids", (medoids(np.arange(D_SAE) % 5, unit_rows(common)),)
    for off in (0.0, 3000.0):
        stats = logit_statistics(rows, tokens(off=off), center="none", k=V, workers=workers)
        yield "near", f"moments {off:g}", (stats.mean, stats.std, stats.skewness, stats.kurtosis)
        ranks = np.argsort(stats.top_tokens, axis=1)
        apart = np.ptp(np.take_along_axis(stats.top_values, ranks, 1)[:, list(NEVER_TRAINED)], axis=1)
        in_order = (np.diff(ranks[:, list(NEVER_TRAINED)], axis=1) > 0).all(axis=1)
        yield "exact", f"ties of logit weights {off:g}", (apart, in_order)
        full = logit_weights(rows, tokens(off=off), [0, 7, 11], center="none")
        yield "exact", f"ties in full {off:g}", (np.ptp(full[:, list(NEVER_TRAINED)], axis=1),)
        yield "ties", f"largest difference {off:g}", float(apart.max())
        yield "ties", f"lower first {off:g}", bool(in_order.all())
    found = positions(workers)
    yield "near", "positions", (found.mean, found.std, found.rate, found.pre_std)
    yield "ties", "best token is first", not bool(np.isin(found.token_best, NEVER_TRAINED[1:]).any())
    yield "near", "enrichment", scores(rows, workers)


def positions(workers: int) -> PositionStatistics:
    """Statistics over all tokens and positions of a model with equal tokens, for features of all lengths."""
    rng = np.random.default_rng(7)
    W_E = rng.standard_normal((V, D_MODEL))
    W_E[400] *= 3000 / np.linalg.norm(W_E[400])
    W_E[list(NEVER_TRAINED)] = 20 * W_E[NEVER_TRAINED[0]]
    weights = {"W_enc": directions().T, "W_dec": directions()}
    found = planted_dictionary(d_in=D_MODEL, d_sae=D_SAE, tensors=weights, fold_decoder_norms=False)
    with TemporaryDirectory() as folder:
        model = planted_model(Path(folder), d_model=D_MODEL, d_vocab=V, n_ctx=9, tensors={"embed.W_E": W_E})
        return additive_statistics(found, model, n_pos=9, context_size=6, workers=workers)


def scores(rows: np.ndarray, workers: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(5)
    never = np.array(NEVER_TRAINED)
    sets = token_sets(
        half=never[::2], last=never[-30:], any=rng.choice(V, 100, replace=False), mixed=[*never[:40], 300]
    )
    found = enrichment(rows, tokens(), sets, draws=50, workers=workers)
    return found.es_high, found.es_low, found.auc


if __name__ == "__main__":
    out = {"exact": {}, "near": {}, "ties": {}}
    for workers in (1, 2, 4):
        for kind, name, value in results(workers):
            if kind != "ties":
                bits = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in value)).hexdigest()
                out["exact"][name if kind == "exact" else f"{name}, {workers} workers"] = bits
                if kind == "near" and workers == 1:
                    out["near"][name] = [np.asarray(part, float).ravel().tolist() for part in value]
            else:
                out["ties"][name] = value
    json.dump(out, sys.stdout)
