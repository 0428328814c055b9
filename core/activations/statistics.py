"""Statistics of a dictionary's features and reconstruction on text, summed block by block.

Sums are integers (see core.maths.exact_sums), so it does not matter in which order, or in how many parts, tokens
are added: two partial passes together give the very bits of one.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.activations.measures import LOWEST_EXPONENT, MEASURES, N_BINS, OF_X_HAT, Measure
from core.activations.reconstruction import ErrorByPosition, error_of, mean_over, ratio, square_about_mean
from core.activations.store import ActivationBlock, device_inputs, left_out_name
from core.devices.device import CPU, Device
from core.maths.exact_sums import FRACTION_BITS, ExactSum
from core.work.artifacts import artifact_key

TOTALS = ("fve", "nmse", "mse", "l0", "l1", "cosine", "l2_ratio", "reconstruction_bias", "dead_share")
"""The totals of a dictionary on a text."""


@dataclass(frozen=True)
class ActivationStatistics:
    """Activations f of all features on rows of text, and the reconstruction by position.

    The first axis of length 2 is 0 for position 0 (in deep layers an outlier, and BOS where there is
    one) and 1 for all later positions, so that both views can be had.
    """

    count: Int[np.ndarray, "2 d_sae"]
    """Tokens with f != 0."""
    total: Float[np.ndarray, "2 d_sae"]
    square: Float[np.ndarray, "2 d_sae"]
    """Sums of f and f^2."""
    largest: Float[np.ndarray, "2 d_sae"]
    smallest: Float[np.ndarray, "2 d_sae"]
    """Of the non-zero f; NaN where there is none."""
    histogram: Int[np.ndarray, "2 d_sae bin"]
    """Non-zero |f| in half octaves, see `bin_edges`."""
    position_count: Int[np.ndarray, " pos"]
    position_total: Float[np.ndarray, " pos"]
    position_square: Float[np.ndarray, " pos"]
    """Non-zero activations of all features at a position, sum of f, sum of f^2."""
    measures: Float[np.ndarray, "measure pos"]
    """Means over counted tokens of what core.activations.measures.Measure names; NaN where none is counted."""
    shifted: Float[np.ndarray, "pos d_out"]
    """Means over counted tokens of x - b_dec; NaN where none is counted."""
    position_rows: Int[np.ndarray, " pos"]
    """Counted tokens at a position: rows, without those whose token there is left out."""
    n_rows: int
    version: ClassVar[int] = 2

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        *,
        left_out: tuple[int, ...] = (),
        device: Device = CPU,
    ) -> str:
        """Name it; `device` is what the token pass ran on."""
        return artifact_key(
            "activation-statistics",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            left_out=left_out_name(left_out),
            **device_inputs(device),
        )

    @property
    def n_pos(self) -> int:
        return len(self.position_count)

    def without_x_hat(self) -> "ActivationStatistics":
        """Return the same without what compares x with x_hat, for a dictionary that has no output to reconstruct."""
        measures = self.measures.copy()
        measures[list(OF_X_HAT)] = np.nan
        return replace(self, measures=measures)

    def n_tokens(self, *, with_first: bool = True) -> int:
        """Number of counted tokens, with or without those at position 0."""
        return int(self.position_rows[0 if with_first else 1 :].sum())

    def feature_table(self, *, with_first: bool = True) -> pd.DataFrame:
        """Return one row per feature over all tokens, or those after position 0; NaN for what is never active."""
        parts = slice(0 if with_first else 1, None)
        count = self.count[parts].sum(axis=0)
        mean, std = mean_std(count, self.total[parts].sum(axis=0), self.square[parts].sum(axis=0))
        n_tokens = self.n_tokens(with_first=with_first)
        columns = {
            "feature": np.arange(len(count)),
            "active_tokens": count,
            "density": count / n_tokens if n_tokens else np.full(len(count), np.nan),
            "mean_active": mean,
            "std_active": std,
            "largest_activation": np.fmax.reduce(self.largest[parts]),
            "smallest_activation": np.fmin.reduce(self.smallest[parts]),
        }
        return pd.DataFrame(columns)

    def position_table(self) -> pd.DataFrame:
        """Return one row per position: size of activations there, and the reconstruction beside `errors`."""
        mean, std = mean_std(self.position_count, self.position_total, self.position_square)
        by_measure = dict(zip(MEASURES, self.measures, strict=True))
        columns = {
            "position": np.arange(self.n_pos),
            "mean_active": mean,
            "std_active": std,
            "active_share": ratio(self.position_count.astype(float), self.position_rows * float(self.count.shape[1])),
            "l2_ratio": by_measure["l2_ratio"],
            "reconstruction_bias": ratio(by_measure["square_hat"], by_measure["dot"]),
        }
        return pd.DataFrame(columns)

    def errors(self, *, context_size: int | None = None, first: int = 0) -> ErrorByPosition:
        """Return what core.activations.reconstruction computes, for any context (by default all) and first position."""
        inside = slice(first, min(context_size or self.n_pos, self.n_pos))
        assert 0 <= inside.start < inside.stop, f"no position from {inside.start} to {inside.stop - 1}"
        return error_of(self.measures, self.shifted, self.position_rows, inside)

    def spread(self, *, with_first: bool = True) -> float:
        """Return the mean of |x - mean of x|^2 over all tokens, or those after position 0; NaN without any."""
        part, n = slice(0 if with_first else 1, None), self.position_rows
        square = square_about_mean(self.measures[Measure.SPREAD], self.shifted, n, part)
        return float(mean_over(square[None, part], n[part])[0])

    def written_variance(self, W_dec: Float[np.ndarray, "d_sae d_out"]) -> Float[np.ndarray, " d_sae"]:
        """Return the variance over tokens after position 0 of what each feature writes, as a share of the spread of x.

        Features that overlap each count fully, so the shares may add up to more than 1. NaN without such tokens.
        """
        n = float(self.n_tokens(with_first=False))
        if not n:
            return np.full(len(W_dec), np.nan)
        mean = self.total[1] / n
        variance = np.maximum(self.square[1] / n - mean**2, 0)
        length = np.einsum("id,id->i", W_dec, W_dec, dtype=np.float64)
        return ratio(variance * length, np.full(len(length), self.spread(with_first=False)))

    def totals(self, *, with_first: bool = True) -> dict[str, float]:
        """Return TOTALS of all tokens, or those after position 0; nmse is 1 - fve.

        Ratios of sums are divided once; NaN where there are no tokens, or nothing to divide by.
        """
        part, n = slice(0 if with_first else 1, None), self.position_rows
        if not self.n_tokens(with_first=with_first):
            return dict.fromkeys(TOTALS, np.nan)
        means = mean_over(self.measures[:, part], n[part])
        by_measure = dict(zip(MEASURES, means[:, None], strict=True))
        nmse = ratio(by_measure["error"], np.array([self.spread(with_first=with_first)]))[0]
        totals = {"fve": 1 - nmse, "nmse": nmse, "mse": by_measure["error"][0] / self.shifted.shape[1]}
        totals |= {name: by_measure[name][0] for name in ("l0", "l1", "cosine", "l2_ratio")}
        totals["reconstruction_bias"] = ratio(by_measure["square_hat"], by_measure["dot"])[0]
        totals["dead_share"] = (self.count[part.start :].sum(axis=0) == 0).mean()
        return {name: float(value) for name, value in totals.items()}


class Tally:
    """The sums behind ActivationStatistics. Memory does not grow with the number of tokens."""

    def __init__(self, n_pos: int, d_sae: int, d_out: int):
        self.n_pos, self.n_rows = n_pos, 0
        self.count = np.zeros((2, d_sae), np.int64)
        self.sums = ExactSum((2, 2, d_sae))
        self.largest = np.full((2, d_sae), -np.inf, np.float32)
        self.smallest = np.full((2, d_sae), np.inf, np.float32)
        self.histogram = np.zeros((2, d_sae, N_BINS), np.int32)
        self.by_position = np.zeros((n_pos, 5), np.int64)
        self.position_rows = np.zeros(n_pos, np.int64)
        self.measures = ExactSum((len(MEASURES), n_pos))
        self.shifted = ExactSum((n_pos, d_out))

    def add(self, block: ActivationBlock) -> None:
        """Add a block of rows of n_pos tokens."""
        from core.activations.kernels import add_activations

        self.add_tokens(block)
        extremes = self.largest, self.smallest, self.histogram, self.by_position
        sums = self.sums.whole, self.sums.part
        add_activations(block.ends, block.features, block.acts, self.n_pos, self.count, *sums, *extremes)
        self.sums.carry()

    def add_tokens(self, block: ActivationBlock) -> None:
        """Add what a block holds of rows and positions, without its activations."""
        assert block.n_pos == self.n_pos, f"rows of {block.n_pos} tokens added to rows of {self.n_pos}"
        self.measures.add(block.measures)
        self.shifted.add(block.shifted)
        self.position_rows += block.counted.sum(axis=0)
        self.n_rows += len(block.rows)

    def here(self) -> "Tally":
        """Return itself; a tally on a device (core.activations.counts_on_device) returns what it counted."""
        return self

    def merge(self, other: "Tally") -> None:
        """Add the sums of another part of the rows."""
        assert other.n_pos == self.n_pos
        self.n_rows += other.n_rows
        self.position_rows += other.position_rows
        self.count += other.count
        self.histogram += other.histogram
        np.maximum(self.largest, other.largest, out=self.largest)
        np.minimum(self.smallest, other.smallest, out=self.smallest)
        positions = self._positions()
        positions.merge(other._positions())
        self.by_position[:, 0] += other.by_position[:, 0]
        self.by_position[:, 1:3], self.by_position[:, 3:5] = positions.whole, positions.part
        for name in ("sums", "measures", "shifted"):
            getattr(self, name).merge(getattr(other, name))

    def _positions(self) -> ExactSum:
        sums = ExactSum((self.n_pos, 2))
        sums.whole, sums.part = self.by_position[:, 1:3].copy(), self.by_position[:, 3:5].copy()
        return sums

    def finish(self) -> ActivationStatistics:
        """Return the statistics of all that was added, at least one row."""
        assert self.n_rows
        rows = self.position_rows.astype(np.float64)
        sums, positions, silent = self.sums.value, self._positions().value, self.count == 0
        return ActivationStatistics(
            count=self.count.copy(),
            total=sums[:, 0].copy(),
            square=sums[:, 1].copy(),
            largest=np.where(silent, np.float32(np.nan), self.largest),
            smallest=np.where(silent, np.float32(np.nan), self.smallest),
            histogram=self.histogram.copy(),
            position_count=self.by_position[:, 0].copy(),
            position_total=positions[:, 0].copy(),
            position_square=positions[:, 1].copy(),
            measures=ratio(self.measures.value, rows),
            shifted=ratio(self.shifted.value, rows[:, None]),
            position_rows=self.position_rows.copy(),
            n_rows=self.n_rows,
        )


def bin_edges() -> Float[np.ndarray, " edge"]:
    """Return the edges of the bins of `histogram`; the outer bins also hold all that is beyond."""
    return 2.0 ** (np.arange(N_BINS + 1) / 2 + LOWEST_EXPONENT)


def mean_std(
    count: Int[np.ndarray, " n"], total: Float[np.ndarray, " n"], square: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Mean and standard deviation of the counted values; NaN if there are none.

    Each value and each square entered its sum with an error of up to 2^-41 (core.maths.exact_sums): a variance that may
    be rounding alone is 0.
    """
    n = count.astype(np.float64)
    mean = ratio(total, n)
    variance = ratio(square, n) - mean**2
    noise = 0.5**FRACTION_BITS * (1 + 2 * np.abs(mean)) + 4 * np.finfo(np.float64).eps * mean**2
    return mean, np.sqrt(np.where(variance <= noise, 0 * mean, variance))
