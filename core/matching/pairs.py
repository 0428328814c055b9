"""Pair the features of two dictionaries by their weights.   python -m core.matching A B -o match.json

Similarities are cosines between the directions that features write (decoder) and read (encoder); definitions after Cho
2025, Cunningham et al. 2023, Song et al. 2025 and Paulo & Belrose 2025. The pairs are the best of all possible pairs,
as core/matching/proof.py proves.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from core.dictionaries.spaces import DictionarySide
from core.geometry.neighbors import Between
from core.matching.comparison import SIDES, Comparison, geometric_mean, pair_cosines
from core.matching.proof import Method, proven
from core.maths.assignment import Edges
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

Similarity = Literal["decoder", "encoder", "both"]
"""The cosine that is compared; 'both' is the geometric mean of decoder and encoder cosine, negative ones as 0."""
SIMILARITIES: tuple[Similarity, ...] = ("decoder", "encoder", "both")
THRESHOLD = 0.7
"""Two features count as the same if their cosine is over this (Cho 2025; Paulo & Belrose 2025)."""


@dataclass(frozen=True)
class Matching:
    """Pairs of features of A and B, ordered by A's feature. Each feature is in at most one pair."""

    similarity: str
    method: str
    k: int
    d_sae_a: int
    d_sae_b: int
    a: Int[np.ndarray, " pair"]
    b: Int[np.ndarray, " pair"]
    score: Float[np.ndarray, " pair"]
    """The similarity; always over 0, as features with a similarity of 0 or less make no pair."""
    decoder: Float[np.ndarray, " pair"]
    """Cosine of the decoder rows, for any similarity."""
    encoder: Float[np.ndarray, " pair"]
    """Cosine of the encoder columns, for any similarity."""
    left_out_a: Int[np.ndarray, " left_out_a"]
    """Features without a direction on one side: zero, NaN or infinite."""
    left_out_b: Int[np.ndarray, " left_out_b"]
    gap: float = 0.0
    """How much larger, at most, the total similarity of the best one-to-one pairs is than the total of these pairs.

    0 if these pairs are proven to be those that the method chooses from all pairs. NaN if not known, as in a file of
    an earlier version.
    """
    version: ClassVar[int] = 2

    @classmethod
    def key(cls, a_sha256: str, b_sha256: str, similarity: Similarity, method: Method, k: int) -> str:
        return artifact_key("matching", cls.version, a=a_sha256, b=b_sha256, similarity=similarity, method=method, k=k)

    @property
    def unmatched_a(self) -> Int[np.ndarray, " unmatched"]:
        return _rest(self.d_sae_a, self.a, self.left_out_a)

    @property
    def unmatched_b(self) -> Int[np.ndarray, " unmatched"]:
        return _rest(self.d_sae_b, self.b, self.left_out_b)

    @property
    def alignment(self) -> Float[np.ndarray, " pair"]:
        """Mean of encoder and decoder cosine (Paulo & Belrose 2025)."""
        return (self.decoder.astype(float) + self.encoder) / 2

    @property
    def proof(self) -> str:
        """Say in words whether these are proven to be the method's pairs."""
        if math.isnan(self.gap):
            return f"of the {self.k:,} nearest of each feature, perhaps not the best of all pairs"
        if self.gap == 0:
            return "proven to be the best of all pairs" if self.method == "one-to-one" else "of all pairs"
        return f"not proven to be the best of all pairs: those have a total at most {self.gap:.2g} larger"

    @property
    def said_proof(self) -> dict[str, str | float | None]:
        """Say for the provenance of a file whether the pairs are proven, and the gap; None if that is not known."""
        return {"proof": self.proof, "gap": float(self.gap) if math.isfinite(self.gap) else None}


@dataclass(frozen=True, eq=False)
class Nearest:
    """Each feature's nearest in the other dictionary: similarity (`a`, `b`) and feature (`of_a`, `of_b`; -1: none)."""

    a: Float[np.ndarray, " d_sae_a"]
    b: Float[np.ndarray, " d_sae_b"]
    of_a: Int[np.ndarray, " d_sae_a"]
    of_b: Int[np.ndarray, " d_sae_b"]


def candidates(comparison: Comparison, similarity: Similarity, *, progress: Progress = SILENT) -> Edges:
    """Return the first candidates: pairs in the list of nearest of either feature, with a similarity over 0.

    For 'both', a pair in the lists by decoder or in those by encoder counts. Features left out are in no pair.
    """
    d_sae_a, d_sae_b = len(comparison.a.decoder), len(comparison.b.decoder)
    sides = sides_of(similarity)
    lists = [_listed(comparison.between(side), d_sae_b) for side in sides]
    pair, first = np.unique(np.concatenate([pair for pair, _ in lists]), return_index=True)
    a, b = pair // d_sae_b, pair % d_sae_b
    if similarity == "both":
        score = geometric_mean(*(pair_cosines(comparison, a, b, side, progress=progress) for side in sides))
    else:
        score = np.concatenate([cos for _, cos in lists])[first]
    kept = score > 0
    ends = (end[kept].astype(np.int32) for end in (a, b))
    return Edges(*ends, score[kept], d_sae_a, d_sae_b)


def match(
    comparison: Comparison,
    similarity: Similarity = "decoder",
    method: Method = "one-to-one",
    *,
    progress: Progress = SILENT,
) -> Matching:
    """Pair the features of A with those of B, one to one.

    'one-to-one' has the largest total similarity (linear assignment). 'greedy' repeatedly takes the best remaining
    pair. 'mutual' keeps pairs in which each is the other's nearest. All choose from all pairs with a similarity over 0,
    and always choose the same among ties. With more than `proof.CERTAIN` possible pairs, a one-to-one matching may
    stay unproven: see `Matching.gap`.
    """
    progress.note(f"matching by {similarity}, {method}")
    edges = candidates(comparison, similarity, progress=progress)
    edges, chosen, gap = proven(comparison, edges, sides_of(similarity), method, progress=progress)
    a, b = edges.a[chosen], edges.b[chosen]
    cosines = {side: pair_cosines(comparison, a, b, side) for side in SIDES}
    left_out = {f"left_out_{end}": np.flatnonzero(~getattr(comparison, end).finite) for end in "ab"}
    k = comparison.between(sides_of(similarity)[0]).a_in_b_idx.shape[1]
    parts = {"a": a, "b": b, "score": edges.score[chosen]} | cosines | left_out
    return Matching(similarity, method, k, edges.n_a, edges.n_b, **parts, gap=gap)


def nearest(comparison: Comparison, similarity: Similarity, *, progress: Progress = SILENT) -> Nearest:
    """Return, for each feature, the most similar of all features of the other dictionary.

    The similarity is NaN for features left out. By 'both', it is 0 if all similarities are 0.
    """
    if similarity != "both":
        between = comparison.between(similarity)
        columns = between.a_in_b_cos, between.b_in_a_cos, between.a_in_b_idx, between.b_in_a_idx
        return Nearest(*(column[:, 0] for column in columns))
    edges = candidates(comparison, similarity, progress=progress)
    edges, _, _ = proven(comparison, edges, sides_of(similarity), "mutual", progress=progress)
    best = edges.best()
    scores = [
        np.where(weights.finite, np.append(edges.score, np.float32(0))[edge], np.float32(np.nan))
        for edge, weights in zip(best, (comparison.a, comparison.b), strict=True)
    ]
    others = [np.append(end, np.int32(-1))[edge] for edge, end in zip(best, (edges.b, edges.a), strict=True)]
    return Nearest(*scores, *others)


def sides_of(similarity: Similarity) -> tuple[DictionarySide, ...]:
    """Return the sides whose cosines make up a similarity."""
    return SIDES if similarity == "both" else (similarity,)


def shared(decoder: Matching, encoder: Matching, *, threshold: float = THRESHOLD) -> Bool[np.ndarray, " pair"]:
    """Return True for those pairs of the decoder's matching that are shared (Paulo & Belrose 2025).

    A pair is shared if matching by encoder makes it too, and both cosines are over the threshold.
    """
    same = np.isin(_numbers(decoder), _numbers(encoder), assume_unique=True)
    return same & (decoder.decoder > threshold) & (decoder.encoder > threshold)


def _listed(between: Between, d_sae_b: int) -> tuple[Int[np.ndarray, " listed"], Float[np.ndarray, " listed"]]:
    """Return all pairs in the lists, each as one number (a * d_sae_b + b), and their cosines; some come twice."""
    a = np.repeat(np.arange(len(between.a_in_b_idx)), between.a_in_b_idx.shape[1])
    b = np.repeat(np.arange(len(between.b_in_a_idx)), between.b_in_a_idx.shape[1])
    there, back = between.a_in_b_idx.ravel(), between.b_in_a_idx.ravel()
    pair = np.concatenate([a * d_sae_b + there, back * np.int64(d_sae_b) + b])
    kept = np.concatenate([there, back]) >= 0
    return pair[kept], np.concatenate([between.a_in_b_cos.ravel(), between.b_in_a_cos.ravel()])[kept]


def _numbers(matching: Matching) -> Int[np.ndarray, " pair"]:
    return matching.a.astype(np.int64) * matching.d_sae_b + matching.b


def _rest(n: int, matched: Int[np.ndarray, " pair"], left_out: Int[np.ndarray, " out"]) -> Int[np.ndarray, " rest"]:
    return np.setdiff1d(np.arange(n), np.concatenate([matched, left_out]))
