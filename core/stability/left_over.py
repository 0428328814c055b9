"""What is left over: the span of the features that do not return, in two dictionaries, and whether these spans agree.

Features that no other seed has may still lie in a subspace that every seed has (arXiv 2606.12138). The span of many
features is all of the space, so a span here is that of the principal axes that hold most of their squared length.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.errors import DoesNotFitError
from core.stability.chance import in_own_order, second_moments

HELD = 0.9
"""The share of the squared length that a span holds."""
DRAWS = 20
SEED = 0
_TIE = 1e-6
"""Axes whose eigenvalues differ by less, relative to the largest, belong together: a span holds all or none."""
FOUND, OTHERS, RANDOM = "left over", "as many features of B", "random subspaces"
SERIES = (FOUND, OTHERS, RANDOM)


@dataclass(frozen=True, eq=False)
class LeftOver:
    """The principal angles between the spans of what is left over in A and in B, as cosines, largest first."""

    n_a: int
    n_b: int
    """Features left over."""
    rank_a: int
    rank_b: int
    d: int
    cosines: Float[np.ndarray, " angle"]
    others: Float[np.ndarray, " angle_others"]
    """Of A's span and that of as many features of B, drawn from all of B."""
    random: Float[np.ndarray, "draw angle"]
    """Of A's span and random subspaces of B's rank."""

    @property
    def overlap(self) -> float:
        """The mean squared cosine: 1 where one span holds the other, 0 where they are orthogonal."""
        return _overlap(self.cosines)

    @property
    def overlap_others(self) -> float:
        return _overlap(self.others)

    @property
    def expected(self) -> tuple[float, float]:
        """Mean and standard deviation of the overlap of a random subspace, uniform among all of its rank."""
        r, s, d = self.rank_a, self.rank_b, self.d
        variance = 2 * r * (d - r) * s * (d - s) / (d**2 * (d - 1) * (d + 2))
        return max(r, s) / d, variance**0.5 / min(r, s)

    def numbers(self) -> pd.DataFrame:
        """One row: what is left over, the ranks of the spans, and their overlap beside chance and other features."""
        mean, std = self.expected
        columns = ["leftover_a", "leftover_b", "rank_a", "rank_b", "span_overlap", "random_overlap"]
        values = (self.n_a, self.n_b, self.rank_a, self.rank_b, self.overlap, mean, std, self.overlap_others)
        return pd.DataFrame([values], columns=[*columns, "random_overlap_std", "overlap_of_others"])

    def table(self) -> pd.DataFrame:
        """One row per principal angle and series: span_series, angle_rank, principal_cosine, and the range of draws."""
        low, high = np.percentile(self.random, (2.5, 97.5), axis=0)
        parts = {
            FOUND: (self.cosines, self.cosines, self.cosines),
            OTHERS: (self.others, self.others, self.others),
            RANDOM: (self.random.mean(axis=0), low, high),
        }
        frames = [
            pd.DataFrame(
                {
                    "span_series": name,
                    "angle_rank": np.arange(1, len(middle) + 1),
                    "principal_cosine": middle,
                    "principal_low": low,
                    "principal_high": high,
                }
            )
            for name, (middle, low, high) in parts.items()
        ]
        return pd.concat(frames, ignore_index=True)


def left_over(
    a: Float[np.ndarray, "d_sae_a d"],
    b: Float[np.ndarray, "d_sae_b d"],
    left_a: Int[np.ndarray, " left_a"],
    left_b: Int[np.ndarray, " left_b"],
    *,
    held: float = HELD,
    draws: int = DRAWS,
    seed: int = SEED,
) -> LeftOver:
    """Compare the spans of some features of A and of B, both given by their directions and numbers.

    Raises DoesNotFitError if either has none.
    """
    if not len(left_a) or not len(left_b):
        which = "either" if not len(left_a) and not len(left_b) else "the first" if not len(left_a) else "the second"
        raise DoesNotFitError(
            f"Nothing is left over in {which} of the two dictionaries: all its features return. Raise the threshold, "
            "or choose another dictionary."
        )
    d, rng = a.shape[1], np.random.default_rng(seed)
    spans = [span(rows[chosen], held=held) for rows, chosen in ((a, left_a), (b, left_b))]
    drawn = in_own_order(b)
    drawn = drawn[np.sort(rng.choice(len(drawn), min(len(left_b), len(drawn)), replace=False))]
    ranks = [axes.shape[1] for axes in spans]
    random = [principal_cosines(spans[0], _random_span(d, ranks[1], rng)) for _ in range(draws)]
    return LeftOver(
        len(left_a),
        len(left_b),
        *ranks,
        d,
        cosines=principal_cosines(*spans),
        others=principal_cosines(spans[0], span(b[drawn], held=held)),
        random=np.stack(random),
    )


def span(rows: Float[np.ndarray, "n d"], *, held: float = HELD) -> Float[np.ndarray, "d rank"]:
    """Return the principal axes, about 0, of directions at length 1: as few as hold that share of the squared length.

    Axes with equal eigenvalues are taken together. Raises DoesNotFitError if no row has a direction.
    """
    moments = second_moments(rows)
    values, axes = moments.values[::-1], moments.axes[:, ::-1]
    rank = int(np.searchsorted(np.cumsum(values) / values.sum(), held - 1e-12)) + 1
    while rank < len(values) and values[rank - 1] - values[rank] < _TIE * values[0] and values[rank] > 0:
        rank += 1
    return axes[:, :rank]


def principal_cosines(
    one: Float[np.ndarray, "d rank"], other: Float[np.ndarray, "d rank_other"]
) -> Float[np.ndarray, " angle"]:
    """Return the cosines of the principal angles between two spans of orthonormal axes (Björck & Golub 1973)."""
    return np.clip(np.linalg.svd(one.T @ other, compute_uv=False), 0, 1)


def _random_span(d: int, rank: int, rng: np.random.Generator) -> Float[np.ndarray, "d rank"]:
    return np.linalg.qr(rng.standard_normal((d, rank)))[0]


def _overlap(cosines: Float[np.ndarray, " angle"]) -> float:
    return float((cosines**2).mean())
