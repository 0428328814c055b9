"""Positional statistics by encoding every input: for dictionaries that are not additive, and for text.

Both methods send blocks of samples (tokens, or rows of text) through sae-lens and add up moments of
activations and pre-activations in float64.
"""

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.dictionary import Dictionary
from core.models.batches import batches
from core.models.language_model import LanguageModel
from core.positions.statistics import PositionStatistics, variance_split
from core.work.progress import SILENT, Progress

# What sae-lens and our sums hold of one activation at the same time: input to output of the encoder,
# a mask or an index, and the pre-activation, in float32.
_BYTES_PER_ACTIVATION = 24


def plain_grid_statistics(
    dictionary: Dictionary,
    model: LanguageModel,
    tokens: Int[np.ndarray, " token"],
    *,
    n_pos: int,
    context_size: int,
    budget_bytes: int,
    progress: Progress = SILENT,
) -> PositionStatistics:
    """Compute PositionStatistics over the given token ids x positions by encoding each pair.

    Blocks hold as many tokens (at least one) at all positions as fit into `budget_bytes`; the sums
    take n_pos x d_sae x 48 bytes. `progress.update(done, total)` counts tokens.
    """
    sums = _Sums(n_pos, dictionary.d_sae, context_size)
    W_E, W_pos = model.W_E, model.W_pos[:n_pos]
    step = samples_per_block(n_pos, dictionary.d_sae, budget_bytes)
    for start in range(0, len(tokens), step):
        block = tokens[start : start + step]
        sums.add(*_encode(dictionary, W_E[block][:, None] + W_pos), block)
        progress.update(min(start + step, len(tokens)), len(tokens))
    return sums.statistics("plain grid")


def corpus_statistics(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    n_pos: int,
    context_size: int,
    budget_bytes: int,
    progress: Progress = SILENT,
) -> PositionStatistics:
    """Compute PositionStatistics over the first n_pos tokens of rows of text.

    Only the positional share of the variance is known: no token is seen at all positions, and what
    stands before it matters. `progress.update(done, total)` counts rows.
    """
    sums = _Sums(n_pos, dictionary.d_sae, context_size)
    step = samples_per_block(n_pos, dictionary.d_sae, budget_bytes)
    for _, x in batches(model, rows[:, :n_pos], dictionary.config.hooks_in, step=step, progress=progress):
        sums.add(*_encode(dictionary, x))
    return sums.statistics("corpus")


def samples_per_block(n_pos: int, d_sae: int, budget_bytes: int) -> int:
    """Number of samples (at n_pos positions each) whose activations may be held at once; at least 1."""
    return max(1, budget_bytes // (n_pos * d_sae * _BYTES_PER_ACTIVATION))


def _encode(
    dictionary: Dictionary, x: Float[np.ndarray, "sample pos d_in"]
) -> tuple[Float[np.ndarray, "sample pos d_sae"], Float[np.ndarray, "sample pos d_sae"]]:
    """Return activations and pre-activations, contiguous for the kernels."""
    return tuple(np.ascontiguousarray(part) for part in dictionary.encode_with_pre_acts(x))


class _Sums:
    """Moments over samples at each position and, on a grid, of each token over positions."""

    def __init__(self, n_pos: int, d_sae: int, context_size: int):
        self.context_size = context_size
        self.n_samples = 0
        # Sum, sum of squares and non-zero count.
        self.acts, self.pre = np.zeros((3, n_pos, d_sae)), np.zeros((3, n_pos, d_sae))
        self.token_square = np.zeros(d_sae)
        self.token_score = np.zeros(d_sae)
        self.token_best = np.full(d_sae, -1)
        self.only_beyond = np.zeros(d_sae, np.int64)
        self.pre_spread = np.full(d_sae, np.inf)

    def add(
        self,
        acts: Float[np.ndarray, "sample pos d_sae"],
        pre: Float[np.ndarray, "sample pos d_sae"],
        tokens: Int[np.ndarray, " sample"] | None = None,
    ) -> None:
        """Add a block; with `tokens` its samples are those tokens of a grid, else rows of text."""
        from core.positions.kernels import add_moments

        n, n_pos, d_sae = acts.shape
        C = self.context_size
        inside, beyond, spread = np.zeros((3, 3, n, d_sae))
        add_moments(acts, 0, C, self.acts, inside)
        add_moments(acts, C, n_pos, self.acts, beyond)
        add_moments(pre, 0, C, self.pre, spread)
        add_moments(pre, C, n_pos, self.pre, np.zeros_like(spread))
        self.n_samples += n
        if tokens is not None:
            variance = np.maximum(spread[1] / C - (spread[0] / C) ** 2, 0)
            self.pre_spread = np.minimum(self.pre_spread, np.sqrt(variance).min(axis=0))
            self.only_beyond += ((inside[2] == 0) & (beyond[2] > 0)).sum(axis=0)
            self._add_token_means(inside[0] / C, inside[2] > 0, tokens)

    def _add_token_means(self, means: np.ndarray, fires: np.ndarray, tokens: np.ndarray) -> None:
        """Add each token's mean over positions, (token, d_sae), and keep the largest of those that fire."""
        self.token_square += (means**2).sum(axis=0)
        means = np.where(fires, means, -np.inf)
        best = means.argmax(axis=0)
        value = means[best, np.arange(len(best))]
        better = np.isfinite(value) & ((self.token_best < 0) | (value > self.token_score))
        self.token_score = np.where(better, value, self.token_score)
        self.token_best = np.where(better, tokens[best], self.token_best)

    def statistics(self, method: str) -> PositionStatistics:
        """Divide by the number of samples."""
        mean, square, rate = self.acts / self.n_samples
        pre_mean, pre_square, _ = self.pre / self.n_samples
        known = method == "plain grid"
        at = slice(self.context_size)
        token_square = self.token_square / self.n_samples if known else None
        matrices = {
            "mean": mean,
            "std": np.sqrt(np.maximum(square - mean**2, 0)),
            "rate": rate,
            "pre_mean": pre_mean,
            "pre_std": np.sqrt(np.maximum(pre_square - pre_mean**2, 0)),
        }
        unknown, none = np.full_like(self.token_score, np.nan), np.full_like(self.token_best, -1)
        return PositionStatistics(
            method=method,
            context_size=self.context_size,
            n_samples=self.n_samples,
            **{name: np.ascontiguousarray(value.T, dtype=np.float32) for name, value in matrices.items()},
            **variance_split(mean[at].T, square[at].T, token_square),
            pre_std_over_positions=self.pre_spread if known else unknown,
            token_score=self.token_score if known else unknown,
            token_best=self.token_best if known else none,
            only_beyond=self.only_beyond if known else none,
        )
