"""Positional statistics: every feature's moments at every position, and how its variance splits.

Definitions follow Chughtai & Lau 2024 (Understanding positional features in layer-0 SAEs). Averages
over tokens weigh all vocabulary entries (on a grid) or all rows of text (from a corpus) alike;
everything called score or share looks at positions p < C only, C being the dictionary's training context."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.corpus.streams import rows_sha256
from core.devices.device import CPU, Device
from core.work.artifacts import artifact_key

NO_SPREAD = 1e-11
"""A variance below this share of the mean square is what rounding leaves of a constant, whatever its size."""


@dataclass(frozen=True)
class PositionSettings:
    """Settings that change the numbers, and the memory budget."""

    n_pos: int | None = None
    """Positions covered; None means all the model has (or the rows have)."""
    grid_tokens: int = 4096
    """Plain grid only: draw this many tokens (seed 0) where the vocabulary is larger."""
    budget_bytes: int = 128 * 2**20
    """Memory for one block of activations; results do not depend on it."""

    def __post_init__(self):
        for name in ("n_pos", "grid_tokens", "budget_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1 (n_pos may be None).")


@dataclass(frozen=True)
class PositionStatistics:
    """Every feature's moments at every position, and how its variance splits (see the field notes).

    f(t, p) is the activation on sample t (a token, or a row of text) at position p, a(t, p) the
    pre-activation. Means are over t unless said otherwise; standard deviations are of the population.
    """

    method: str
    context_size: int
    """C: scores and shares look at positions 0 to C - 1."""
    n_samples: int
    """Tokens (grid) or rows (corpus) behind each position's numbers."""
    mean: Float[np.ndarray, "d_sae n_pos"]
    """mu(p), the mean of f."""
    std: Float[np.ndarray, "d_sae n_pos"]
    """Standard deviation of f."""
    rate: Float[np.ndarray, "d_sae n_pos"]
    """Share of samples with f != 0."""
    pre_mean: Float[np.ndarray, "d_sae n_pos"]
    """Mean of a; NaN for architectures without pre-activations."""
    pre_std: Float[np.ndarray, "d_sae n_pos"]
    pre_std_over_positions: Float[np.ndarray, " d_sae"]
    """Smallest over tokens of the standard deviation of a over p < C; NaN from a corpus."""
    grand_mean: Float[np.ndarray, " d_sae"]
    """Mean of f over samples and p < C."""
    variance: Float[np.ndarray, " d_sae"]
    """Variance of f over samples and p < C."""
    share_position: Float[np.ndarray, " d_sae"]
    """Var_p(mu(p)) / variance: the positional R^2. NaN, like all shares, where nothing varies (see NO_SPREAD)."""
    share_token: Float[np.ndarray, " d_sae"]
    """Var_t(mean over p < C of f) / variance; NaN from a corpus, where no token is seen everywhere."""
    share_interaction: Float[np.ndarray, " d_sae"]
    """1 - share_position - share_token."""
    token_score: Float[np.ndarray, " d_sae"]
    """Largest over tokens of s(t) = mean over p < C of f; NaN from a corpus."""
    token_best: Int[np.ndarray, " d_sae"]
    """The token of the largest s(t); -1 where the feature is silent at all p < C, or from a corpus."""
    only_beyond: Int[np.ndarray, " d_sae"]
    """Tokens with f = 0 at all p < C and f != 0 at some p >= C; -1 from a corpus."""
    version: ClassVar[int] = 3

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        *,
        settings: PositionSettings,
        rows: Int[np.ndarray, "row pos"] | None = None,
        device: Device = CPU,
    ) -> str:
        """Name the result by its inputs. No method: it follows from dictionary and model."""
        return artifact_key(
            "position-statistics",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            n_pos=settings.n_pos,
            grid_tokens=settings.grid_tokens,
            rows=None if rows is None else rows_sha256(rows),
            **device.inputs,
        )


def grid_tokens(d_vocab: int, limit: int) -> Int[np.ndarray, " token"]:
    """Return all token ids, or `limit` of them drawn without replacement (seed 0), in order."""
    if d_vocab <= limit:
        return np.arange(d_vocab)
    return np.sort(np.random.default_rng(0).choice(d_vocab, limit, replace=False))


def variance_split(
    mean: Float[np.ndarray, "d_sae pos"],
    square: Float[np.ndarray, "d_sae pos"],
    token_square: Float[np.ndarray, " d_sae"] | None,
) -> dict[str, Float[np.ndarray, " d_sae"]]:
    """Two-way analysis of variance of f over samples x positions, from moments (float64).

    `mean` and `square` are the means over samples of f and f^2 at each p < C, `token_square` the mean
    over tokens of (mean over p of f)^2 or None where unknown. One value per cell, so interaction is
    what the two main effects leave. Features that do not vary (see NO_SPREAD) have no shares.
    """
    grand = mean.mean(axis=1)
    whole = square.mean(axis=1)
    variance = np.maximum(whole - grand**2, 0)
    varies = variance > NO_SPREAD * whole

    def share(part: np.ndarray) -> np.ndarray:
        return np.divide(part, variance, out=np.full_like(variance, np.nan), where=varies)

    position = share(mean.var(axis=1))
    unknown = np.full_like(variance, np.nan)
    token = unknown if token_square is None else share(np.maximum(token_square - grand**2, 0))
    return {
        "grand_mean": grand,
        "variance": variance,
        "share_position": position,
        "share_token": token,
        "share_interaction": np.maximum(1 - position - token, 0),
    }


def empty_fields(d_sae: int, n_pos: int) -> dict[str, np.ndarray]:
    """Return arrays to fill for every array field: matrices in float32, one number per feature in float64."""
    matrices = ("mean", "std", "rate", "pre_mean", "pre_std")
    vectors = ("pre_std_over_positions", "grand_mean", "variance", "share_position", "share_token")
    vectors += ("share_interaction", "token_score")
    counts = ("token_best", "only_beyond")
    return (
        {name: np.empty((d_sae, n_pos), np.float32) for name in matrices}
        | {name: np.empty(d_sae) for name in vectors}
        | {name: np.empty(d_sae, np.int64) for name in counts}
    )
