"""Find features that fire differently in two texts, token by token, by a rank test that allows for many zeros.

This test assumes that tokens are independent. Neighbouring tokens are not, so that it finds too many differences.
core.text.unit_difference assumes only that lines, sentences or documents are independent.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.activations.sparse import SparseActivations
from core.errors import DoesNotFitError
from core.maths.significance import benjamini_hochberg, log10_normal_tails
from core.work.progress import SILENT, Progress

_FEATURES_PER_PART = 256


def active_in_either(a: SparseActivations, b: SparseActivations) -> Int[np.ndarray, " feature"]:
    """Return the features that are active in either text: those that are tested, and for which q corrects."""
    return np.flatnonzero(a.count + b.count)


def token_differences(a: SparseActivations, b: SparseActivations, progress: Progress = SILENT) -> pd.DataFrame:
    """Compare every feature that is active in either text, token by token; one row per feature.

    The p-value is two-sided, of Mann and Whitney's U, from the normal approximation with corrections for ties and
    continuity. Raises DoesNotFitError if either text has fewer than two tokens.
    """
    check_sizes(a.n_tokens, b.n_tokens, "tokens", 2)
    features = active_in_either(a, b)
    auc, z = np.empty(len(features)), np.empty(len(features))
    for start in range(0, len(features), _FEATURES_PER_PART):
        part = features[start : start + _FEATURES_PER_PART]
        auc[start : start + len(part)], z[start : start + len(part)] = rank_test(a, b, part)
        progress.update(start + len(part), len(features))
    log10_p = log10_normal_tails(z)
    mean_a, mean_b = (side.moments[0][features] for side in (a, b))
    rate_a, rate_b = (side.count[features] / side.n_tokens for side in (a, b))
    columns = {
        "feature": features,
        "higher_in": np.select([auc > 0.5, auc < 0.5], ["A", "B"], "neither"),
        "rank_biserial": 2 * auc - 1,
        "text_auc": auc,
        "text_p": 10.0**log10_p,
        "text_q": q_values(log10_p),
        "minus_log10_p": -log10_p + 0.0,
        "mean_a": mean_a,
        "mean_b": mean_b,
        "mean_difference": mean_a - mean_b,
        "rate_a": rate_a,
        "rate_b": rate_b,
        "rate_difference": rate_a - rate_b,
        "tokens_a": a.count[features],
        "tokens_b": b.count[features],
    }
    return pd.DataFrame(columns)


def rank_test(
    a: SparseActivations, b: SparseActivations, features: Int[np.ndarray, " feature"]
) -> tuple[Float[np.ndarray, " feature"], Float[np.ndarray, " feature"]]:
    """Return the common language effect size P(f in A > in B) + P(equal) / 2 and Mann-Whitney's |z| of features.

    Only non-zero values are sorted. All zeros are one tie, between the negative and the positive values.
    """
    (owner_a, values_a), (owner_b, values_b) = (_entries(side, features) for side in (a, b))
    owner, values = np.concatenate([owner_a, owner_b]), np.concatenate([values_a, values_b])
    in_a = np.arange(len(owner)) < len(owner_a)
    order = np.lexsort((values, owner))
    owner, values, in_a = owner[order], values[order], in_a[order]
    n, k = len(features), np.bincount(owner, minlength=len(features))
    zeros, below = a.n_tokens + b.n_tokens - k, np.bincount(owner[values < 0], minlength=n)

    new = np.ones(len(owner), bool)
    new[1:] = (owner[1:] != owner[:-1]) | (values[1:] != values[:-1])
    first = np.flatnonzero(new)
    size = np.diff(first, append=len(owner))
    rank = first - (k.cumsum() - k)[owner[first]] + (size + 1) / 2 + np.where(values[first] > 0, zeros[owner[first]], 0)
    ranks = np.bincount(owner[in_a], np.repeat(rank, size)[in_a], minlength=n)
    active_a = np.bincount(owner[in_a], minlength=n)
    ranks = ranks + (a.n_tokens - active_a) * (below + (zeros + 1) / 2)
    ties = np.bincount(owner[first], _ties(size), minlength=n) + _ties(zeros)

    n_a, n_b = float(a.n_tokens), float(b.n_tokens)
    u, both = ranks - n_a * (n_a + 1) / 2, n_a + n_b
    variance = n_a * n_b / 12 * (both + 1 - ties / (both * (both - 1)))
    distance = np.maximum(np.abs(u - n_a * n_b / 2) - 0.5, 0)
    z = np.divide(distance, np.sqrt(np.maximum(variance, 0)), out=np.zeros(n), where=variance > 0)
    return u / (n_a * n_b), z


def _ties(size: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return size.astype(np.float64) ** 3 - size


def _entries(side: SparseActivations, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the non-zero activations of features, and for each the index of its feature in `features`."""
    ends, _, values = side.by_feature
    counts = side.count[features]
    parts = [values[end - count : end] for end, count in zip(ends[features], counts, strict=True)]
    return np.repeat(np.arange(len(features)), counts), np.concatenate(parts)


def q_values(log10_p: Float[np.ndarray, " feature"]) -> Float[np.ndarray, " feature"]:
    """Return Benjamini and Hochberg's q, with all features as one family."""
    return 10.0 ** benjamini_hochberg(log10_p[:, None])[:, 0]


def check_sizes(n_a: int, n_b: int, what: str, least: int) -> None:
    """Raise DoesNotFitError unless both texts have at least `least` tokens or units (`what`)."""
    if min(n_a, n_b) < least:
        raise DoesNotFitError(
            f"Text A has {n_a:,} {what} and text B {n_b:,}, expected at least {least} in each to test for differences. "
            f"Use longer texts{', or shorter units' if what == 'units' else ''}."
        )
