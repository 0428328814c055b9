"""Match features of two dictionaries by their activations on the same tokens (Bricken et al. 2023), not by weights.

Activations are sparse. For one feature of A at a time, its products with the features of B are added up over the
tokens where both are active. The matrix of all correlations is never held in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.activations.sparse import SparseActivations
from core.activations.store import left_out_name
from core.devices.device import CPU, Device
from core.errors import BadSettingError, OutOfRangeError
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress
from core.work.threads import run_all, run_blocks

K = 10
LEAST = 10
"""Least number of tokens on which a feature must be active. Two that fire once, on the same token, correlate at 1."""
EDGE = 0.4
"""Features are joined if their masked cosine is over this (Bricken et al. 2023)."""
_BLOCK = 64


@dataclass(frozen=True)
class ActivationMatch:
    """For each feature, the k features of the other dictionary with the largest Pearson correlation, best first.

    The correlation is over tokens. Features active on fewer than `least` tokens, or constant, are left out on both
    sides: their rows, and places beyond the number of candidates, hold NaN and -1.
    """

    a_in_b_corr: Float[np.ndarray, "d_sae_a k"]
    a_in_b_idx: Int[np.ndarray, "d_sae_a k"]
    b_in_a_corr: Float[np.ndarray, "d_sae_b k"]
    b_in_a_idx: Int[np.ndarray, "d_sae_b k"]
    a_count: Int[np.ndarray, " d_sae_a"]
    b_count: Int[np.ndarray, " d_sae_b"]
    """Tokens on which each feature is active."""
    n_tokens: int
    least: int
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
        k: int = K,
        least: int = LEAST,
    ) -> str:
        """Name the result by the origin of the activations: `a` and `b` are hashes of dictionary and model together.

        They also name the device of the token pass (core.activations.store.on_device). The device that correlates does
        not change the numbers.
        """
        inputs = {"a": a, "b": b, "rows": rows_sha256, "with_first": with_first, "k": k, "least": least}
        return artifact_key("activation-match", cls.version, **inputs, left_out=left_out_name(left_out))


def match_activations(
    a: SparseActivations,
    b: SparseActivations,
    *,
    k: int = K,
    least: int = LEAST,
    progress: Progress = SILENT,
    workers: int | None = None,
    device: Device = CPU,
) -> ActivationMatch:
    """Correlate all features of A with all of B over tokens and keep the k best of each, both ways.

    Sums are float64, so that values and order do not depend on `workers`; ties: lower feature first. Each worker needs
    about d_sae_b x (12 k + 24) bytes. A device that runs kernels adds 64-bit whole numbers instead
    (core.matching.on_device). `progress` counts features of A. Raises BadSettingError unless k is at least 1, and
    DeviceError.
    """
    assert a.n_tokens == b.n_tokens, f"{a.n_tokens} tokens against {b.n_tokens}"
    if k < 1:
        raise BadSettingError(f"{k} matches for each feature leave nothing to show; expected 1 or more, such as {K}.")
    if device.runs_kernels:
        from core.matching.on_device import correlate_on_device

        best = correlate_on_device(a, b, device, k=k, least=least, progress=progress)
        rows, columns = (_Best.of(*best[side : side + 2]) for side in (0, 2))
    else:
        rows, columns = _by_loops(a, b, k, least, progress, workers)
    return ActivationMatch(*rows.finish(), *columns.finish(), a.count, b.count, a.n_tokens, least)


def _by_loops(
    a: SparseActivations, b: SparseActivations, k: int, least: int, progress: Progress, workers: int | None
) -> "tuple[_Best, _Best]":
    """Return the best matches of A's features and of B's, from loops on the CPU."""
    from core.activations.pair_kernels import correlate

    rows = _Best(a.d_sae, k)
    a_side = a.by_feature, a.moments[0], a.inverse(least)
    b_side = b.by_token, b.moments[0], b.inverse(least)
    idle: list[tuple[_Best, np.ndarray]] = []
    made: list[_Best] = []

    def work(features: slice) -> None:
        try:
            columns, scratch = idle.pop()
        except IndexError:
            columns, scratch = _Best(b.d_sae, k), np.full((3, b.d_sae), -np.inf)
            made.append(columns)
        best = rows.corr, rows.idx, columns.corr, columns.idx
        correlate(features.start, features.stop, *a_side, *b_side, scratch, *best)
        idle.append((columns, scratch))

    run_blocks(work, a.d_sae, _BLOCK, workers=workers, progress=progress)
    return rows, _merged(made, k)


class _Best:
    """The k best matches of every feature: -inf and -1 where there is no match yet."""

    def __init__(self, n: int, k: int):
        self.corr, self.idx = np.full((n, k), -np.inf), np.full((n, k), -1, np.int32)

    @classmethod
    def of(cls, corr: Float[np.ndarray, "n k"], idx: Int[np.ndarray, "n k"]) -> "_Best":
        best = cls(0, 0)
        best.corr, best.idx = corr, idx
        return best

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the correlations (NaN without a match) and the numbers of the matched features (-1 without)."""
        return np.where(self.idx < 0, np.nan, np.clip(self.corr, -1, 1)).astype(np.float32), self.idx


def _merged(parts: Sequence[_Best], k: int) -> _Best:
    """Return the k best of what several workers found."""
    corr, idx = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("corr", "idx"))
    order = np.lexsort((idx, -corr))[:, :k]
    best = _Best(len(corr), k)
    best.corr, best.idx = np.take_along_axis(corr, order, axis=1), np.take_along_axis(idx, order, axis=1)
    return best


@dataclass(frozen=True)
class MaskedEdges:
    """Pairs of features whose masked cosine is over `edge`, ordered by A's feature, then by B's."""

    a: Int[np.ndarray, " pair"]
    b: Int[np.ndarray, " pair"]
    score: Float[np.ndarray, " pair"]
    n_tokens: int
    least: int
    edge: float
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
        least: int = LEAST,
        edge: float = EDGE,
    ) -> str:
        """Name the result as `ActivationMatch.key` does."""
        inputs = {"a": a, "b": b, "rows": rows_sha256, "with_first": with_first, "least": least, "edge": edge}
        return artifact_key("masked-edges", cls.version, **inputs, left_out=left_out_name(left_out))


def masked_cosine_edges(
    a: SparseActivations,
    b: SparseActivations,
    *,
    edge: float = EDGE,
    least: int = LEAST,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> MaskedEdges:
    """Find all pairs with a masked cosine over `edge` (Bricken et al. 2023): a feature and those that it splits into.

    The masked cosine is the larger of two cosines of activations: one over the tokens where A's feature is active, one
    over those where B's is. Features active on fewer than `least` tokens are left out. `progress` counts features of A.
    """
    features = np.flatnonzero(a.kept(least))
    kept_b = b.kept(least)

    def work(i: int) -> tuple[np.ndarray, np.ndarray]:
        score = masked_cosines(a, b, i)
        others = np.flatnonzero((score > edge) & kept_b)
        return others, score[others]

    _ = a.by_feature, a.square, b.square  # compute these once, before the threads need them
    partners = run_all(work, features.tolist(), workers=workers, progress=progress)
    b_idx, score = ([pair[part] for pair in partners] for part in (0, 1))
    return MaskedEdges(
        a=np.repeat(features, [len(others) for others in b_idx]).astype(np.int32),
        b=np.concatenate([np.zeros(0, np.int32), *b_idx]).astype(np.int32),
        score=np.concatenate([np.zeros(0), *score]).astype(np.float32),
        n_tokens=a.n_tokens,
        least=least,
        edge=edge,
    )


def masked_cosines(a: SparseActivations, b: SparseActivations, feature: int) -> Float[np.ndarray, " d_sae_b"]:
    """Return the masked cosine of one feature of A with all of B; 0 where the two are never active together.

    Raises OutOfRangeError for a feature that does not exist.
    """
    from core.activations.pair_kernels import masked

    assert a.n_tokens == b.n_tokens, f"{a.n_tokens} tokens against {b.n_tokens}"
    if not 0 <= feature < a.d_sae:
        raise OutOfRangeError("Feature", feature, a.d_sae)
    score, scratch = np.empty(b.d_sae), np.empty((3, b.d_sae))
    masked(feature, a.by_feature, b.by_token, a.square, b.square, scratch, score)
    return score
