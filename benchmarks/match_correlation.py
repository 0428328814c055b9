"""The part of benchmarks.matching on activations: all correlations of two dictionaries, keeping the ten best of each.

Synthetic activations of two dictionaries have about 79 active features on a token, with densities that span orders of
magnitude; half of B's features are A's with noise. One peer is only the dense float32 product, measured on some columns
and scaled; the other is only scipy's sparse product. Neither computes means and roots or chooses the best.
"""

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb
from core.activations.sparse import SparseActivations
from core.matching.activations import ActivationMatch, K, match_activations

L0, SHARED = 79, 0.5
DENSE_COLUMNS, CHECKED = 2048, 16


def activations(d_sae: int, n_tokens: int, seed: int = 0) -> tuple[SparseActivations, SparseActivations]:
    """Draw the activations of A and of B. Half of B's features are A's with noise, in another order."""
    rng = np.random.default_rng(seed)
    rates = np.minimum(0.5, np.exp(rng.normal(0, 1.6, d_sae)))
    rates *= L0 / rates.sum()
    drawn = [_column(rng, min(0.9, rate), n_tokens) for rate in rates]
    order = rng.permutation(d_sae)
    other = [
        _noisy(rng, *drawn[i]) if place < SHARED * d_sae else _column(rng, min(0.9, rates[i]), n_tokens)
        for place, i in enumerate(order)
    ]
    return _by_token(drawn, n_tokens), _by_token(other, n_tokens)


def _column(rng: np.random.Generator, rate: float, n_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.flatnonzero(rng.random(n_tokens, np.float32) < rate)
    return tokens, rng.exponential(1, len(tokens)).astype(np.float32)


def _noisy(rng: np.random.Generator, tokens: np.ndarray, acts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept = rng.random(len(tokens)) < rng.uniform(0.4, 1)
    return tokens[kept], acts[kept] * rng.uniform(0.5, 1.5, kept.sum()).astype(np.float32)


def _by_token(columns: list[tuple[np.ndarray, np.ndarray]], n_tokens: int) -> SparseActivations:
    tokens = np.concatenate([tokens for tokens, _ in columns])
    features = np.repeat(np.arange(len(columns), dtype=np.int32), [len(tokens) for tokens, _ in columns])
    order = np.argsort(tokens, kind="stable")
    acts = np.concatenate([acts for _, acts in columns])[order]
    return SparseActivations(np.bincount(tokens, minlength=n_tokens).cumsum(), features[order], acts, len(columns))


def scipy_matrix(found: SparseActivations):
    """Return the activations as scipy's CSR matrix, (token, feature)."""
    from scipy.sparse import csr_matrix

    return csr_matrix((found.acts, found.features, np.append(0, found.ends)), (found.n_tokens, found.d_sae))


def worst_error(a: SparseActivations, b: SparseActivations, match: ActivationMatch) -> float:
    """Return the largest error in the ten best correlations of a few of A's features, against dense float64."""
    x, y = scipy_matrix(a).tocsc(), scipy_matrix(b).tocsc()
    features = np.random.default_rng(0).choice(np.flatnonzero(match.a_in_b_idx[:, 0] >= 0), CHECKED, replace=False)
    f = x[:, features].toarray().astype(np.float64)
    f = (f - f.mean(axis=0)) / np.sqrt(((f - f.mean(axis=0)) ** 2).sum(axis=0))
    kept = np.flatnonzero(match.b_count >= match.least)
    corr = np.empty((len(kept), CHECKED))
    for start in range(0, len(kept), 512):
        g = y[:, kept[start : start + 512]].toarray().astype(np.float64)
        g -= g.mean(axis=0)
        corr[start : start + 512] = (g.T @ f) / np.sqrt((g**2).sum(axis=0))[:, None]
    true = -np.sort(-corr, axis=0)[: match.a_in_b_corr.shape[1]].T
    return float(np.abs(true - match.a_in_b_corr[features]).max())


def correlation_records(d_sae: int, n_tokens: int, *, repeats: int) -> list[Record]:
    """Check the correlations, then time them and the bare products that other methods would need."""
    few = activations(256, 512)
    match_activations(*few)  # compiled code is fetched from disk here
    a, b = activations(d_sae, n_tokens)
    found: list[ActivationMatch] = []

    def work() -> None:
        # Made anew each time, so that sorting the activations is part of the job.
        fresh = [SparseActivations(*side.by_token, d_sae) for side in (a, b)]
        found[:] = [match_activations(*fresh)]

    peak = peak_gb(work)
    error = worst_error(a, b, found[0])
    assert error < 1e-5, error
    x, y = scipy_matrix(a).T.tocsr(), scipy_matrix(b)
    columns = min(DENSE_COLUMNS, d_sae)
    left, right = (np.ascontiguousarray(matrix[:columns].toarray()) for matrix in (x, y.T.tocsr()))
    out = np.empty((columns, columns), np.float32)
    jobs = {"ours": work, "scipy": lambda: x @ y, "dense": lambda: np.matmul(left, right.T, out=out)}
    jobs["dense"]()
    times = median_seconds(jobs, repeats)
    dense_s = times["dense"] * (d_sae / columns) ** 2
    million = 1e6 / n_tokens
    print(f"seconds for a million tokens, scaled: {times['ours'] * million:.1f}, dense {dense_s * million:.0f}")
    size = f"{d_sae} x {d_sae} features, {n_tokens:,} tokens, {len(a.acts) / n_tokens:.0f} active a token"
    title = f"activation correlation, {K} best both ways"
    scaled = f"dense float32 product ({columns} x {columns} features measured and scaled)"
    return [
        Record(title, size, times["ours"], peer=scaled, peer_s=dense_s, peak_gb=peak, max_error=error),
        Record(title, size, times["ours"], peer="scipy sparse product alone", peer_s=times["scipy"]),
    ]
