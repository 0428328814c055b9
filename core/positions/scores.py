"""Scores of each feature from its positional statistics (Chughtai & Lau 2024, unless said otherwise).

Notation: f(t, p) activation and a(t, p) pre-activation of token (or row of text) t at position p; C the
training context; mu(p) mean over t of f(t, p); r(p) share of t with f(t, p) != 0.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.positions.statistics import PositionStatistics

_ROUNDING = 1e-6
CLEAR = 3.0
"""An elbow is clear if position explains at least this many times as much as chance."""


def position_score(stats: PositionStatistics) -> Float[np.ndarray, " d_sae"]:
    """max over p < C of mu(p), in units of activation."""
    return _inside(stats, stats.mean).max(axis=1)


def peak(stats: PositionStatistics) -> Int[np.ndarray, " d_sae"]:
    """argmax over p < C of mu(p); -1 where no mean activation is above 0."""
    inside = _inside(stats, stats.mean)
    return np.where(inside.max(axis=1) > 0, inside.argmax(axis=1), -1)


def peak_width(stats: PositionStatistics) -> Float[np.ndarray, " d_sae"]:
    """Full width at half maximum of mu(p) about its peak, p < C, in positions; NaN without a peak.

    mu is joined by straight lines between positions. A side that stays above half the maximum ends
    half a position outside the context, so a single firing position at an end has width 1, as it has
    in the middle, and a flat curve has width C.
    """
    inside = _inside(stats, stats.mean)
    top = inside.max(axis=1)
    at = inside.argmax(axis=1)
    width = _half_width(inside, at, top) + _half_width(inside[:, ::-1], inside.shape[1] - 1 - at, top)
    return np.where(top > 0, width, np.nan)


def _half_width(curves: np.ndarray, at: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Distance from the peak rightwards to where a curve first falls to half of its top."""
    n, n_pos = curves.shape
    position = np.arange(n_pos)
    low = (position > at[:, None]) & (curves < top[:, None] / 2)
    crosses, first = low.any(axis=1), np.maximum(low.argmax(axis=1), 1)
    before, after = curves[np.arange(n), first - 1], curves[np.arange(n), first]
    step = np.divide(before - top / 2, before - after, out=np.zeros(n), where=crosses & (before > after))
    return np.where(crosses, first - 1 + step, n_pos - 0.5) - at


def mutual_information(stats: PositionStatistics) -> Float[np.ndarray, " d_sae"]:
    """Mutual information of "the feature fires" and the position, in nats (Gurnee et al. 2024).

    mean over p < C of r(p) ln(r(p)/r) + (1 - r(p)) ln((1 - r(p))/(1 - r)), r = mean of r(p), where
    0 ln 0 = 0: positions count as equally likely, and the largest possible value is ln 2.
    """
    fires = _inside(stats, stats.rate)
    rate = fires.mean(axis=1, keepdims=True)
    return np.maximum((_entropy_term(fires, rate) + _entropy_term(1 - fires, 1 - rate)).mean(axis=1), 0)


def _entropy_term(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """p ln(p / q), 0 where p is 0."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=(p > 0) & (q > 0))
    return p * np.log(ratio)


def t_score(stats: PositionStatistics) -> Float[np.ndarray, " d_sae"]:
    """max over p < C of (mean over t of a) / (standard deviation over t of a); NaN where nothing varies.

    A standard deviation below 1e-6 of the mean is rounding error of a constant, such as a zero column's bias.
    """
    mean, std = _inside(stats, stats.pre_mean), _inside(stats, stats.pre_std)
    ratio = np.divide(mean, std, out=np.full_like(mean, -np.inf), where=std > _ROUNDING * np.abs(mean))
    best = ratio.max(axis=1)
    return np.where(np.isneginf(best), np.nan, best)


def inverse_token_score(stats: PositionStatistics) -> Float[np.ndarray, " d_sae"]:
    """min over t of the standard deviation over p < C of a(t, p); near 0 for token features; NaN from a corpus.

    On an additive grid every token has the same: the standard deviation of the position part.
    """
    return stats.pre_std_over_positions


def inverse_position_score(stats: PositionStatistics) -> Float[np.ndarray, " d_sae"]:
    """min over p < C of the standard deviation over t of a(t, p); near 0 for features that ignore the token."""
    return _inside(stats, stats.pre_std).min(axis=1)


def firing_count(stats: PositionStatistics) -> Int[np.ndarray, " d_sae"]:
    """max over p < C of the number of t with f(t, p) != 0: the largest firing count."""
    return np.rint(_inside(stats, stats.rate).max(axis=1) * stats.n_samples).astype(np.int64)


def positional_r2(stats: PositionStatistics) -> Float[np.ndarray, " d_sae"]:
    """Var over p < C of mu(p) / Var over t and p < C of f(t, p); NaN for features that never vary.

    The same number as share_position; on text, where the other shares are unknown, this is its name.
    """
    return stats.share_position


def beyond_score(stats: PositionStatistics) -> Float[np.ndarray, " d_sae"]:
    """max over p >= C of mu(p) for features with mu(p) = 0 at all p < C; 0 for all others."""
    beyond = stats.mean[:, stats.context_size :].max(axis=1, initial=0).astype(np.float64)
    silent = (_inside(stats, stats.rate) == 0).all(axis=1)
    return np.where(silent, beyond, 0)


def rank(score: Float[np.ndarray, " d_sae"]) -> Int[np.ndarray, " d_sae"]:
    """1 + number of features with a larger score; ties: lower feature first, so no two ranks are equal."""
    ranks = np.empty(len(score), np.int64)
    ranks[np.argsort(-score, kind="stable")] = np.arange(1, len(score) + 1)
    return ranks


def elbow(score: Float[np.ndarray, " d_sae"]) -> int:
    """Suggest how many features are positional: those before the steepest fall of the score-rank curve.

    With scores s(1) >= s(2) >= ..., find the doubling of the rank over which scores fall most, r =
    argmax s(r) / s(2r), and cut where they have fallen halfway: count the scores of at least
    sqrt(s(r) s(2r)). Only r with s(r) of 1 % of the largest score or more are looked at, and scores
    under 0.1 % of it count as that, so that the tail of silent features does not matter. On the scores
    read off figure 3 this gives 40, within its bend from rank 36 to 60 (the authors say about 50, by
    eye). 0 where there is no fall.
    """
    ordered = np.sort(score.astype(np.float64))[::-1]
    if len(ordered) < 2 or ordered[0] <= 0:
        return 0
    logs = np.log(np.maximum(ordered, 1e-3 * ordered[0]))
    ranks = np.arange(1, len(ordered) // 2 + 1)
    fall = np.where(ordered[ranks - 1] >= 1e-2 * ordered[0], logs[ranks - 1] - logs[2 * ranks - 1], 0)
    steepest = ranks[np.argmax(fall)]
    halfway = (logs[steepest - 1] + logs[2 * steepest - 1]) / 2
    return int((logs >= halfway).sum()) if fall.max() > 0 else 0


def suggested_count(stats: PositionStatistics) -> int:
    """Suggested number of positional features: the elbow of the position scores; 0 if it is not clear.

    It is clear if position explains more of the features before it than chance would: their median positional R-squared
    is over CLEAR times `chance_r2`. Otherwise the scores only rank features by how active they are.
    """
    score = position_score(stats)
    count = elbow(score)
    best = np.argsort(-score, kind="stable")[:count]
    explained = np.nan_to_num(positional_r2(stats)[best], nan=0.0)
    return count if count and np.median(explained) > CLEAR * chance_r2(stats) else 0


def chance_r2(stats: PositionStatistics) -> float:
    """Mean positional R-squared of values shuffled over n samples and C positions: (C - 1) / (n C - 1).

    It holds for any distribution of the values; about 1 / n.
    """
    n_pos = min(stats.context_size, stats.mean.shape[1])
    return (n_pos - 1) / max(1, stats.n_samples * n_pos - 1)


def score_table(stats: PositionStatistics) -> pd.DataFrame:
    """Return every score, one row per feature in the order of feature numbers."""
    score = position_score(stats)
    return pd.DataFrame(
        {
            "feature": np.arange(len(score)),
            "rank": rank(score),
            "position_score": score,
            "peak": peak(stats),
            "peak_width": peak_width(stats),
            "mutual_information": mutual_information(stats),
            "positional_r2": positional_r2(stats),
            "share_position": stats.share_position,
            "share_token": stats.share_token,
            "share_interaction": stats.share_interaction,
            "token_score": stats.token_score,
            "token_best": stats.token_best,
            "t_score": t_score(stats),
            "inverse_token_score": inverse_token_score(stats),
            "inverse_position_score": inverse_position_score(stats),
            "firing_count": firing_count(stats),
            "variance": stats.variance,
            "only_beyond": stats.only_beyond,
            "beyond_score": beyond_score(stats),
        }
    )


def peaks_per_position(stats: PositionStatistics, features: Sequence[int]) -> pd.DataFrame:
    """Count the chosen features that peak at each p < C: columns position, features."""
    peaks = peak(stats)[np.asarray(features, dtype=int)]
    counts = np.bincount(peaks[peaks >= 0], minlength=stats.context_size)
    return pd.DataFrame({"position": np.arange(stats.context_size), "features": counts})


def _inside(stats: PositionStatistics, values: np.ndarray) -> Float[np.ndarray, "d_sae context"]:
    """Cut off positions from C on, in float64."""
    return values[:, : stats.context_size].astype(np.float64)
