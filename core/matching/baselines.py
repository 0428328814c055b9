"""Baselines for correlations of features: the models' own units, and a rotated basis.

Units (neurons, or dimensions of the stream) are dense: the product of all with all is added up batch by batch of
text. A rotated basis consists of random mixtures of B's features. It shows how well B's activations as a whole predict
a feature of A, without B's own basis (Gurnee et al. 2024, excess correlation).
"""

import threading
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.activations.sparse import SparseActivations
from core.activations.store import counted, left_out_name
from core.errors import DoesNotFitError
from core.models.batches import batches
from core.models.language_model import LanguageModel
from core.models.search import check_same_tokens
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress
from core.work.threads import run_blocks

SEED = 0
_MIXTURES = 32
"""Mixtures drawn from one generator. Another number would give other mixtures, so it is part of the result."""
_CONSTANT = 1e-12


@dataclass(frozen=True)
class UnitMatch:
    """The largest Pearson correlation of every unit at a hook with any unit of the other; NaN if it never varies."""

    a_best: Float[np.ndarray, " unit_a"]
    b_best: Float[np.ndarray, " unit_b"]
    n_tokens: int
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, a: str, b: str, rows_sha256: str, *, with_first: bool, left_out: tuple[int, ...]) -> str:
        """Name it by hashes of model and hook together."""
        inputs = {"a": a, "b": b, "rows": rows_sha256, "with_first": with_first}
        return artifact_key("unit-match", cls.version, **inputs, left_out=left_out_name(left_out))


def match_units(
    a: tuple[LanguageModel, str],
    b: tuple[LanguageModel, str],
    rows: Int[np.ndarray, "row pos"],
    *,
    with_first: bool = True,
    left_out: tuple[int, ...] = (),
    progress: Progress = SILENT,
) -> UnitMatch:
    """Correlate the units at one model's hook with those at another's over the counted tokens of `rows`, in float64.

    Memory: width x width floats. `progress` counts rows. Raises DoesNotFitError if both are the same hook of the same
    model, where each unit would match itself, or if tokenizers differ; also what `LanguageModel.activations` raises.
    """
    check_same_tokens(a[0], b[0])
    if same_units(a, b):
        raise DoesNotFitError(
            f"Both dictionaries read {a[1]} of {a[0].name}: each of its units would match itself. Expected two models "
            "or two hooks; compare with a rotated basis instead."
        )
    first = 0 if with_first else 1
    sums = None
    both = zip(batches(a[0], rows, a[1], progress=progress), batches(b[0], rows, b[1]), strict=True)
    for (part, values_a), (_, values_b) in both:
        kept = counted(rows[part], left_out)
        kept[:, :first] = False
        x, y = (values[kept].astype(np.float64) for values in (values_a, values_b))
        if not len(x):
            continue
        sums = sums or _Sums(x, y)
        sums.add(x, y)
    assert sums is not None, "no rows"
    corr = sums.correlations()
    return UnitMatch(_largest(corr), _largest(corr.T), sums.n)


class _Sums:
    """Running sums for correlations. The mean of the first batch is subtracted, as means may be far from 0."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.n, self.cross = 0, np.zeros((x.shape[1], y.shape[1]))
        self.shift = [values.mean(axis=0) for values in (x, y)]
        self.total, self.square = ([np.zeros(values.shape[1]) for values in (x, y)] for _ in range(2))

    def add(self, x: Float[np.ndarray, "token unit_a"], y: Float[np.ndarray, "token unit_b"]) -> None:
        self.n += len(x)
        moved = [values - shift for values, shift in zip((x, y), self.shift, strict=True)]
        for i, values in enumerate(moved):
            self.total[i] += values.sum(axis=0)
            self.square[i] += (values**2).sum(axis=0)
        self.cross += moved[0].T @ moved[1]

    def correlations(self) -> Float[np.ndarray, "unit_a unit_b"]:
        inverse = []
        for total, square, shift in zip(self.total, self.square, self.shift, strict=True):
            spread = square - total**2 / self.n
            constant = spread <= _CONSTANT * (square + self.n * shift**2)
            inverse.append(np.where(constant, np.nan, 1 / np.sqrt(np.where(constant, 1, spread))))
        covariance = self.cross - np.outer(self.total[0], self.total[1]) / self.n
        return covariance * inverse[0][:, None] * inverse[1]


def same_units(a: tuple[LanguageModel, str], b: tuple[LanguageModel, str]) -> bool:
    """Whether both are the same hook of the same model, centred or not."""
    return (a[0].folder, a[1]) == (b[0].folder, b[1])


@dataclass(frozen=True)
class RotatedMatch:
    """The largest Pearson correlation of each feature of A with random mixtures of B's features.

    NaN for features that are left out.
    """

    a_best: Float[np.ndarray, " d_sae_a"]
    n_mixtures: int
    seed: int
    version: ClassVar[int] = 2

    @classmethod
    def key(
        cls,
        a: str,
        b: str,
        rows_sha256: str,
        *,
        with_first: bool,
        left_out: tuple[int, ...],
        least: int,
        seed: int = SEED,
    ) -> str:
        """Name the result as `ActivationMatch.key` does."""
        inputs = {"a": a, "b": b, "rows": rows_sha256, "with_first": with_first, "least": least, "seed": seed}
        return artifact_key("rotated-match", cls.version, **inputs, left_out=left_out_name(left_out))


def match_rotated(
    a: SparseActivations,
    b: SparseActivations,
    *,
    least: int,
    seed: int = SEED,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> RotatedMatch:
    """Correlate the features of A with random mixtures: as many as B has features active on at least `least` tokens.

    A mixture is the sum of the activations of all features of B, weighted by a Gaussian vector of length 1. Each worker
    needs 256 bytes for every token and for every feature. `progress` counts mixtures.
    """
    from core.activations.pair_kernels import mix

    assert a.n_tokens == b.n_tokens, f"{a.n_tokens} tokens against {b.n_tokens}"
    n = int(b.kept(least).sum())
    feature_ends, tokens, values = a.by_feature
    inverse = a.inverse(least)
    best, turn = np.full(a.d_sae, -np.inf), threading.Lock()

    def work(part: slice) -> None:
        weights = mixtures(b.d_sae, part.start, seed)[:, : n - part.start]
        y = np.empty((b.n_tokens, weights.shape[1]))
        mix(*b.by_token, np.ascontiguousarray(weights), y)
        y -= y.mean(axis=0)
        length = np.sqrt((y**2).sum(axis=0))
        y /= np.where(length > 0, length, np.inf)
        corr = np.empty((a.d_sae, y.shape[1]))
        mix(feature_ends, tokens, values, y, corr)
        largest = corr.max(axis=1) * inverse
        with turn:
            np.maximum(best, largest, out=best)  # keeps NaN, which marks features left out

    run_blocks(work, n, _MIXTURES, workers=workers, progress=progress)
    return RotatedMatch(np.where(np.isfinite(best), best, np.nan).astype(np.float32), n, seed)


def mixtures(d_sae: int, start: int, seed: int) -> Float[np.ndarray, "d_sae mixture"]:
    """Draw mixtures `start` to `start` + 31, one column of length 1 each."""
    weights = np.random.default_rng([seed, start]).standard_normal((d_sae, _MIXTURES))
    return weights / np.linalg.norm(weights, axis=0)


def _largest(corr: Float[np.ndarray, "unit other"]) -> Float[np.ndarray, " unit"]:
    """Return the largest value of each row that is not NaN; NaN if all are."""
    best = np.where(np.isnan(corr), -np.inf, corr).max(axis=1)
    return np.where(np.isfinite(best), np.clip(best, -1, 1), np.nan).astype(np.float32)
