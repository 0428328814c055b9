"""How close random directions are to each other: the baseline for the features of a dictionary.

Take n independent, uniformly distributed directions in d dimensions. The cosine c of two of them has a known
distribution: (c + 1) / 2 is Beta((d - 1) / 2, (d - 1) / 2). The r-th largest of the n - 1 cosines of one direction is
an order statistic. All results follow from these formulas; no random numbers are drawn.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.errors import DoesNotFitError
from core.maths.unit_rows import inverse_lengths


@dataclass(frozen=True)
class RandomDirections:
    """n random directions in d dimensions. Raises DoesNotFitError unless both are at least 2."""

    n: int
    d: int

    def __post_init__(self):
        if self.n < 2 or self.d < 2:
            raise DoesNotFitError(
                f"{self.n} random directions in {self.d} dimensions have no meaningful distances; expected at least "
                "2 of each. Choose a wider dictionary."
            )

    def above(self, c: Float[np.ndarray, " value"]) -> Float[np.ndarray, " value"]:
        """Probability that the cosine of two directions exceeds c, accurate where it is tiny."""
        from scipy.special import betainc

        half = (self.d - 1) / 2
        return betainc(half, half, np.clip((1 - c) / 2, 0, 1))

    def rth_below(self, c: Float[np.ndarray, " value"], r: int) -> Float[np.ndarray, " value"]:
        """Probability that the r-th largest cosine of a direction with the n - 1 others is at most c."""
        from scipy.special import betainc

        self._check(r)
        return 1 - betainc(r, self.n - r, self.above(c))

    def rth_quantile(self, q: Float[np.ndarray, " q"], r: int) -> Float[np.ndarray, " q"]:
        """Return the r-th largest cosine below which the share q (0 to 1) of all directions lies."""
        from scipy.special import betaincinv

        self._check(r)
        half = (self.d - 1) / 2
        return 1 - 2 * betaincinv(half, half, betaincinv(r, self.n - r, 1 - q))

    def rth_mean_std(self, r: int, *, points: int = 2048) -> tuple[float, float]:
        """Mean and standard deviation of the r-th largest cosine, over evenly spaced quantiles."""
        values = self.rth_quantile((np.arange(points) + 0.5) / points, r)
        return float(values.mean()), float(values.std())

    def expected_counts(self, edges: Float[np.ndarray, " edges"], r: int) -> Float[np.ndarray, " bins"]:
        """Return how many of the n directions have their r-th largest cosine in each bin."""
        return self.n * np.diff(self.rth_below(edges, r))

    def largest(self) -> float:
        """Return the median of the largest cosine of any two (the pairs taken as independent)."""
        from scipy.special import betaincinv

        half = (self.d - 1) / 2
        return float(1 - 2 * betaincinv(half, half, -np.expm1(np.log(0.5) / (self.n * (self.n - 1) / 2))))

    @property
    def interference(self) -> float:
        """Root mean square of a cosine, 1 / sqrt(d)."""
        return self.d**-0.5

    @property
    def welch_bound(self) -> float:
        """No n directions keep all |cosine| below this (Welch 1974); 0 where n <= d lets them be orthogonal."""
        return max(0.0, (self.n - self.d) / (self.d * (self.n - 1))) ** 0.5

    def _check(self, r: int) -> None:
        if not 0 < r < self.n:
            raise DoesNotFitError(
                f"The {r}-th nearest of {self.n:,} directions does not exist; expected a number from 1 to "
                f"{self.n - 1:,}. Choose one in that range."
            )


@dataclass(frozen=True)
class Crowding:
    """Terms of an orthogonality penalty (Bussmann's reply to Drori 2024), all cosines of different features."""

    mean_cosine: float
    """Over all pairs."""
    mean_nearest_cosine: float
    largest_cosine: float

    @property
    def penalty(self) -> float:
        return self.mean_cosine + self.mean_nearest_cosine + self.largest_cosine


def crowding(directions: Float[np.ndarray, "d_sae d"], nearest: Float[np.ndarray, " d_sae"]) -> Crowding:
    """Return the penalty's terms. `nearest` is each feature's largest cosine, NaN for features that are left out.

    The mean over all pairs follows from the sum of the unit rows alone.
    """
    rows = directions[np.isfinite(nearest)]
    total, n = np.einsum("i,ij->j", inverse_lengths(rows), rows), len(rows)
    mean = (total @ total - n) / (n * (n - 1))
    return Crowding(float(mean), float(np.nanmean(nearest, dtype=np.float64)), float(np.nanmax(nearest)))


def expected_crowding(random: RandomDirections) -> Crowding:
    """Return the terms for random directions."""
    return Crowding(0.0, random.rth_mean_std(1)[0], random.largest())
