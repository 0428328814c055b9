"""Enrichment as tables: the best sets of a feature, the best features of a set, one running sum."""

from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.enrichment.enrichment import Enrichment, signed_extreme
from core.errors import DoesNotFitError, OutOfRangeError, UnknownNameError
from core.maths.samples import drawn_places

Side = Literal["both", "promoted", "suppressed"]
HIGHEST_DISPLAY = 16.0
"""Largest display score. A larger one would need 1 - |ES| below 1e-7, which is 0 in float32."""

REACH = 0.99
"""The reach of random directions is the absolute score that this share of them does not exceed."""


def display_score(es: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return -ln(1 - |ES|) with the sign of ES: Bloom & Lin's Manhattan score, signed; cut at HIGHEST_DISPLAY."""
    with np.errstate(divide="ignore"):
        size = -np.log1p(-np.abs(np.asarray(es, dtype=np.float64)))
    return np.sign(es) * np.minimum(size, HIGHEST_DISPLAY)


def set_number(enrichment: Enrichment, name: str) -> int:
    """Return the column of a set. Raises UnknownNameError."""
    if name not in enrichment.set_names:
        raise UnknownNameError("token set", name, enrichment.set_names)
    return enrichment.set_names.index(name)


def best_sets(enrichment: Enrichment, feature: int, *, random: Enrichment | None = None) -> pd.DataFrame:
    """Return one row for each token set, the smallest p first; blank features have no rows.

    Rows are sorted by p, as scores of sets of different sizes cannot be compared; then by |ES|, then in the order of
    the sets. `random`, the enrichment of random directions in the same sets, adds a column es_random, their reach.
    Raises OutOfRangeError.
    """
    if not 0 <= feature < len(enrichment.auc):
        raise OutOfRangeError("Feature", feature, len(enrichment.auc))
    cells = _cells(enrichment, (feature, slice(None)))
    table = pd.DataFrame({"token_set": enrichment.set_names, "set_size": enrichment.sizes} | cells)
    if random is not None:
        assert random.set_names == enrichment.set_names
        table["es_random"] = np.nanquantile(np.abs(random.es), REACH, axis=0)
    return _ranked(table)


def best_set_of_each(enrichment: Enrichment) -> pd.DataFrame:
    """Return one row per feature with the set that `best_sets` lists first: token_set, enrichment_score, log10_q.

    Blank features have None and NaN.
    """
    es = signed_extreme(enrichment.es_high, enrichment.es_low).astype(np.float64)
    known = ~np.isnan(enrichment.log10_p).all(axis=1)
    p = np.where(np.isnan(enrichment.log10_p), np.inf, enrichment.log10_p)
    lowest = p == p.min(axis=1, keepdims=True)
    best = np.where(lowest, np.nan_to_num(np.abs(es)), -1).argmax(axis=1)
    row = np.arange(len(best))
    return pd.DataFrame(
        {
            "feature": row,
            "token_set": np.where(known, np.array(enrichment.set_names, object)[best], None),
            "enrichment_score": np.where(known, es[row, best], np.nan),
            "log10_q": np.where(known, enrichment.log10_q[row, best], np.nan),
        }
    )


def random_reach(random: Enrichment, name: str, column: str = "enrichment_score") -> float:
    """Return the reach of random directions: the absolute value in a column of `feature_scores` that 99 % stay within.

    Tokens of a class have much in common, so that even random directions promote or suppress them more than random
    tokens. A small p says that the tokens are not drawn at random; a score beyond the reach says that the feature is
    not a random direction.
    """
    return float(np.nanquantile(feature_scores(random, name)[column].abs(), REACH))


def best_features(enrichment: Enrichment, name: str, *, side: Side = "both") -> pd.DataFrame:
    """Return one row for each feature that is not blank, smallest p first; ties: largest |ES|, then lower feature.

    `side` keeps only features that promote the set, or only those that suppress it.
    """
    table = feature_scores(enrichment, name).dropna(subset=["enrichment_score"])
    if side != "both":
        table = table[table["enrichment_score"] > 0 if side == "promoted" else table["enrichment_score"] < 0]
    return _ranked(table)


def feature_scores(enrichment: Enrichment, name: str) -> pd.DataFrame:
    """Return one row for each feature, in order; blank ones have NaN."""
    cells = _cells(enrichment, (slice(None), set_number(enrichment, name)))
    return pd.DataFrame({"feature": np.arange(len(enrichment.auc))} | cells)


def _cells(enrichment: Enrichment, at: tuple) -> dict[str, np.ndarray]:
    """Return the columns of some features in some sets."""
    es = signed_extreme(enrichment.es_high[at], enrichment.es_low[at]).astype(np.float64)
    columns = {"enrichment_score": es, "display_score": display_score(es)}
    for name in ("es_high", "es_low", "auc", "log10_p", "log10_q"):
        columns[name] = getattr(enrichment, name)[at].astype(np.float64)
    columns["auc_z"] = (columns["auc"] - 0.5) / enrichment.auc_spread[at[1]]
    return columns


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    known = table.dropna(subset=["log10_p"])
    order = np.lexsort((-known["enrichment_score"].abs(), known["log10_p"]))
    return known.iloc[order].reset_index(drop=True)


def set_against_set(enrichment: Enrichment, x: str, y: str) -> pd.DataFrame:
    """Return the display scores of every feature in two sets, and their difference; without blank features.

    Columns: feature, score_x, score_y, score_difference (x - y). The largest absolute difference comes first.
    """
    columns = [feature_scores(enrichment, name)["display_score"] for name in (x, y)]
    table = pd.DataFrame({"score_x": columns[0], "score_y": columns[1]})
    table.insert(0, "feature", np.arange(len(table)))
    table["score_difference"] = table["score_x"] - table["score_y"]
    table = table.dropna()
    return table.iloc[np.argsort(-table["score_difference"].abs(), kind="stable")].reset_index(drop=True)


def drawn_features(
    scores: Float[np.ndarray, " n"], *, most: int = 4000, seed: int = 0
) -> tuple[Int[np.ndarray, " drawn"], float | None]:
    """Choose at most `most` scores for a chart; return their indices, ascending, without NaN.

    If there are more, half of `most` are those with the largest absolute values, and the rest is a seeded sample. Also
    returns the absolute value from which on all scores are chosen; None if all are.
    """
    known = np.flatnonzero(~np.isnan(scores))
    if len(known) <= most:
        return known, None
    largest = known[np.argsort(-np.abs(scores[known]), kind="stable")]
    places = drawn_places(largest, whole=most // 2, most=most, seed=seed)
    return places, float(np.abs(scores[largest[most // 2 - 1]]))


def members_by_rank(
    values: Float[np.ndarray, " n_tokens"], members: Bool[np.ndarray, " n_tokens"], *, bins: int = 200
) -> pd.DataFrame:
    """Return the number of tokens of the set in each stretch of the ranking (ties: lower token first).

    Columns: low and high (ranks at which the stretch begins and ends), members.
    """
    n = len(values)
    edges = np.unique(np.linspace(0, n, min(bins, n) + 1).astype(int))
    inside = np.append(0, np.cumsum(members[np.argsort(-values, kind="stable")]))[edges]
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "members": np.diff(inside)})


def spaced_out(positions: Float[np.ndarray, "n axes"], *, gaps: tuple[float, ...], most: int) -> list[int]:
    """Choose at most `most` positions, in the order given, and return their rows.

    A position is skipped if it is within the gap of a chosen one on every axis.
    """
    chosen: list[int] = []
    for i, position in enumerate(positions):
        if len(chosen) == most:
            break
        if (np.abs(positions[chosen] - position) > gaps).any(axis=1).all():
            chosen.append(i)
    return chosen


def running_sum(
    values: Float[np.ndarray, " n_tokens"], members: Bool[np.ndarray, " n_tokens"], *, most: int | None = 2000
) -> pd.DataFrame:
    """Return the running sum of one feature in one set, at the ranks where the logit weight changes.

    Columns: tokens_passed (p, from 0), running_sum, and logit_weight of the last token passed (NaN at 0). With `most`,
    evenly spread points are kept, and always both extremes and both ends. Raises DoesNotFitError for a set of no
    tokens or of all.
    """
    k, n = int(members.sum()), len(values)
    if not 0 < k < n:
        raise DoesNotFitError(
            f"A running sum needs tokens inside and outside the set, got {k} of {n} inside. Choose another set."
        )
    order = np.argsort(-values, kind="stable")
    hits, passed = np.cumsum(members[order]), np.arange(1, n + 1)
    exact = hits * n - passed * k  # whole numbers: k (n - k) times the running sum
    changes = np.append(np.diff(values[order]) != 0, True)
    passed, height = np.append(0, passed[changes]), np.append(0, exact[changes]) / (k * (n - k))
    weight = np.append(np.nan, values[order][changes])
    if most is not None and len(passed) > most:
        kept = np.linspace(0, len(passed) - 1, most - 2).astype(int)
        kept = np.union1d(kept, [height.argmax(), height.argmin()])
        passed, height, weight = passed[kept], height[kept], weight[kept]
    return pd.DataFrame({"tokens_passed": passed, "running_sum": height, "logit_weight": weight})
