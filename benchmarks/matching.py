"""Matching two dictionaries by weights:   python -m benchmarks.matching [--quick]

Synthetic dictionaries share six tenths of their features, with noise. Before anything is timed, candidates are checked
against float64 brute force and totals against scipy's dense assignment, and every matching must be proven best. The
peer is that solver alone; its time for a matrix that would be too large is extrapolated from smaller ones. Matching by
activations follows, see benchmarks.match_correlation.
"""

import argparse

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, product_backends, report, seconds
from benchmarks.match_correlation import correlation_records
from benchmarks.neighbors import CHECKED, recall
from core.geometry.neighbors import nearest_between
from core.matching.comparison import Comparison, Weights
from core.matching.pairs import Matching, match

SHARED, SPLIT = 0.6, 0.12
CANDIDATES = (20, 50)


def planted_pair(n: int, d: int, seed: int = 0) -> tuple[Weights, Weights]:
    """Draw two dictionaries. Six tenths of B's features are noisy copies of A's, some of these twice."""
    rng = np.random.default_rng(seed)

    def unit(rows: np.ndarray) -> np.ndarray:
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    a, b = unit(rng.standard_normal((n, d), np.float32)), unit(rng.standard_normal((n, d), np.float32))
    copied, placed = (rng.permutation(n)[: int(SHARED * n)] for _ in range(2))
    noise = rng.uniform(0.05, 1.15, (len(copied), 1)) * rng.standard_normal((len(copied), d)) / np.sqrt(d)
    b[placed] = unit(a[copied] + noise)
    split, at = rng.choice(copied, int(SPLIT * n), replace=False), rng.permutation(n)[: int(SPLIT * n)]
    b[at] = unit(a[split] + 0.7 * rng.standard_normal((len(split), d)) / np.sqrt(d))
    return Weights(a, a), Weights(b, b)


def whole(a: Weights, b: Weights, k: int) -> Matching:
    """Do a whole matching by decoder: nearest features both ways, assignment, proof, and cosines of the pairs."""
    found = nearest_between(a.decoder, b.decoder, k=k)
    matching = match(Comparison(a, b, decoder=found, encoder=found))
    assert matching.gap == 0, matching.gap
    return matching


def check_nearest(a: Weights, b: Weights, k: int) -> float:
    """Return the largest error of a cosine; of the checked rows, every candidate must be found."""
    found = nearest_between(a.decoder, b.decoder, k=k)
    checked = np.random.default_rng(0).choice(len(a.decoder), CHECKED, replace=False)
    exact = [
        rows.astype(np.float64) / np.linalg.norm(rows.astype(float), axis=1)[:, None] for rows in (a.decoder, b.decoder)
    ]
    error = 0.0
    for rows, others, idx, cos in (
        (exact[0], exact[1], found.a_in_b_idx, found.a_in_b_cos),
        (exact[1], exact[0], found.b_in_a_idx, found.b_in_a_cos),
    ):
        dense = rows[checked] @ others.T
        true = np.argsort(-dense, axis=1, kind="stable")[:, :k]
        assert recall(idx[checked], true) == 1.0, "a candidate is missing"
        error = max(error, float(np.abs(np.take_along_axis(dense, true, axis=1) - cos[checked]).max()))
    assert error < 1e-6, error
    return error


def dense_assignment(n: int, d: int) -> tuple[float, float]:
    """Return the seconds of scipy's dense solver alone, and the total that it finds."""
    from scipy.optimize import linear_sum_assignment

    a, b = planted_pair(n, d)
    scores = np.maximum(0, a.decoder @ b.decoder.T)
    found: list = []
    taken = seconds(lambda: found.extend(linear_sum_assignment(scores, maximize=True)))
    return taken, float(scores[found[0], found[1]].sum(dtype=float))


def nearest_record(n: int, d: int, *, repeats: int) -> Record:
    """Check and time the 20 nearest both ways, and time the bare product."""
    a, b = planted_pair(n, d)
    nearest_between(a.decoder[:300], b.decoder[:300], k=20)  # compiled code is fetched from disk here
    peak = peak_gb(lambda: nearest_between(a.decoder, b.decoder, k=20))
    error = check_nearest(a, b, 20)
    block = min(1024, n)
    backends = product_backends(a.decoder, b.decoder[:block])
    times = median_seconds({"nearest": lambda: nearest_between(a.decoder, b.decoder, k=20)} | backends, repeats)
    floor = min(times[name] for name in backends) * n / block
    size = f"{n} x {n} features, d {d}"
    return Record("20 nearest both ways", size, times["nearest"], floor_s=floor, peak_gb=peak, max_error=error)


def one_to_one_records(n: int, d: int, dense_s: float, best: float, *, repeats: int) -> list[Record]:
    """Time the whole matching, whose total must be the dense solver's, beside that solver alone."""
    a, b = planted_pair(n, d)
    records = []
    for k in CANDIDATES:
        total = float(whole(a, b, k).score.sum(dtype=float))
        assert abs(total / best - 1) < 1e-7, (k, total, best)  # the dense solver's scores are float32 products
        taken = median_seconds({"whole": lambda k=k: whole(a, b, k)}, repeats)["whole"]
        title = f"one-to-one, whole, k {k}"
        records.append(Record(title, f"{n} x {n} features, d {d}", taken, peer="dense assignment", peer_s=dense_s))
    return records


def extrapolated(times: dict[int, float], n: int) -> tuple[float, str]:
    """Fit seconds = c size^p to measured times; return the value at n, and the fit in words."""
    sizes, taken = np.log(list(times)), np.log(list(times.values()))
    power, constant = np.polyfit(sizes, taken, 1)
    measured = ", ".join(f"{size}: {value:.2f} s" for size, value in times.items())
    return float(np.exp(constant + power * np.log(n))), f"scaled by n^{power:.2f} from {measured}"


def measure(n: int, d: int, dense_sizes: tuple[int, ...], checked_at: int, *, repeats: int) -> list[Record]:
    """Check and time the search, the matching at a size that the dense solver ran, and the matching at full size."""
    near = nearest_record(n, d, repeats=repeats)
    dense = {size: dense_assignment(size, d) for size in dense_sizes}
    records = [near, *one_to_one_records(checked_at, d, *dense[checked_at], repeats=repeats)]
    a, b = planted_pair(n, d)
    peak = peak_gb(lambda: whole(a, b, 20))
    taken = median_seconds({"whole": lambda: whole(a, b, 20)}, repeats)["whole"]
    dense_s, fit = extrapolated({size: found[0] for size, found in dense.items()}, n)
    size = f"{n} x {n} features, d {d}"
    full = Record(
        "one-to-one, whole, k 20", size, taken, peer=f"dense assignment ({fit})", peer_s=dense_s, peak_gb=peak
    )
    return [*records, full]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller dictionaries, within a minute")
    quick = parser.parse_args().quick
    sizes = (4096, 256, (1024, 2048), 2048) if quick else (24576, 768, (4096, 8192, 16384), 8192)
    correlated = (4096, 4096) if quick else (24576, 16384)
    report(measure(*sizes, repeats=3) + correlation_records(*correlated, repeats=3))


if __name__ == "__main__":
    main()
