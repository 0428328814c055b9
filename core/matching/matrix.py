"""Many dictionaries against each other: matching ratios of all pairs, and of pairs that differ in one factor.

After Cho 2025, who varies layers, seeds, data, types, k and widths.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, check_same_space, directions
from core.errors import DoesNotFitError
from core.geometry.neighbors import Between, nearest_between
from core.matching.comparison import Weights, rows_of
from core.matching.null import own_nearest, random_ratio
from core.matching.numbers import share_above
from core.matching.tables import THRESHOLDS
from core.work.artifacts import ArtifactStore
from core.work.calls import call
from core.work.progress import SILENT, Part, Progress
from core.work.wanted import Wanted

FACTORS = ("seed", "data", "type", "k", "width", "layer")
"""The labels of dictionaries that are compared as factors."""


@dataclass(frozen=True)
class MatchMatrix:
    """The share of each dictionary (row) that is found in each other one (column); the control is on the diagonal.

    The control is Cho's (2025): each feature against the other features of its own dictionary. Values are NaN for
    dictionaries without a common space, and for the control of a dictionary with one feature.
    """

    ratio: Float[np.ndarray, "n n threshold"]
    """Share of the row's features with a cosine over each of THRESHOLDS."""
    mmcs: Float[np.ndarray, "n n"]
    """Mean over the row's features of the largest cosine."""
    random_ratio: Float[np.ndarray, "n n threshold"]
    """`ratio` of random directions, in closed form; NaN as in `ratio`, and also for width 1."""
    refused: tuple[str, ...]
    """The reason for each pair without a common space."""


def match_matrix(
    dictionaries: Sequence[Dictionary],
    side: DictionarySide = "decoder",
    *,
    store: ArtifactStore | None = None,
    left_out: Collection[tuple[int, int]] = (),
    progress: Progress = SILENT,
) -> MatchMatrix:
    """Match all pairs by the nearest feature, both ways. A `store` keeps the result of every pair.

    Pairs that are `left_out`, by their places in ascending order, are NaN.
    """
    n = len(dictionaries)
    ratio, chance = np.full((2, n, n, len(THRESHOLDS)), np.nan)
    mmcs, refused = np.full((n, n), np.nan), []
    pairs = [(i, j) for i in range(n) for j in range(i, n) if (i, j) not in left_out]
    for done, (i, j) in enumerate(pairs):
        a, b = dictionaries[i], dictionaries[j]
        part = Part(progress, done, len(pairs))
        part.update(0, 1)
        try:
            best = _best(a, b, side, store, part)
        except DoesNotFitError as error:
            refused += [str(error)] if i != j else []
            continue
        d = directions(a, side).shape[1]
        for row, column, cos, others in ((i, j, best[0], best[1]), (j, i, best[1], best[0])):
            ratio[row, column], mmcs[row, column] = share_above(cos, THRESHOLDS), np.nanmean(cos, dtype=float)
            n_others = int(np.count_nonzero(~np.isnan(others))) - (i == j)
            chance[row, column] = random_ratio(n_others, d, THRESHOLDS) if d > 1 else np.nan
    return MatchMatrix(ratio, mmcs, chance, tuple(refused))


def nearest_pair(
    a: Dictionary,
    b: Dictionary,
    side: DictionarySide,
    *,
    store: ArtifactStore | None = None,
    progress: Progress = SILENT,
) -> Between:
    """Return the nearest feature of B for each of A and the reverse. The `store` keeps one result for both orders.

    Raises DoesNotFitError for dictionaries without a common space.
    """
    check_same_space(a, b, side)
    if b.sha256 < a.sha256:
        return turned(nearest_pair(b, a, side, store=store, progress=progress))
    if store:
        return wanted_pair(a, b, side).get(store, progress)
    rows = (rows_of(dictionary, side) for dictionary in (a, b))
    return nearest_between(*rows, k=1, progress=progress)


def wanted_pair(a: Dictionary, b: Dictionary, side: DictionarySide = "decoder") -> Wanted[Between]:
    """Name the nearest features of two dictionaries, the one with the smaller hash first, as `nearest_pair` keeps it.

    Raises DoesNotFitError when it computes for dictionaries without a common space.
    """
    first, second = sorted((a, b), key=lambda dictionary: dictionary.sha256)
    key, label = pair_key(a.sha256, b.sha256, side), f"Nearest features of {a.title} and {b.title}"
    return Wanted(Between, key, label, call(nearest_pair, first, second, side))


def pair_key(a_sha256: str, b_sha256: str, side: DictionarySide) -> str:
    """Name the nearest features of two dictionaries, in whichever order they are given."""
    return Between.key(*sorted((a_sha256, b_sha256)), side, 1)


def turned(between: Between) -> Between:
    """Exchange A and B."""
    return Between(between.b_in_a_cos, between.b_in_a_idx, between.a_in_b_cos, between.a_in_b_idx)


def matrix_table(matrix: MatchMatrix, names: Sequence[str], *, threshold: float) -> pd.DataFrame:
    """One row per ordered pair: matched_from, matched_to, matching_ratio, random_ratio, mmcs; NaN as in MatchMatrix.

    The threshold is rounded to the nearest of THRESHOLDS.
    """
    n, at = len(names), nearest_threshold(threshold)
    return pd.DataFrame(
        {
            "matched_from": np.repeat(np.array(list(names), dtype=object), n),
            "matched_to": np.tile(np.array(list(names), dtype=object), n),
            "matching_ratio": matrix.ratio[:, :, at].ravel(),
            "random_ratio": matrix.random_ratio[:, :, at].ravel(),
            "mmcs": matrix.mmcs.ravel(),
        }
    )


def without_implied_k(labels: Sequence[Mapping[str, str | int]]) -> list[dict[str, str | int]]:
    """Return the labels, without k if dictionaries of one type always have the same k.

    The type then implies k, so that two dictionaries of different types differ in one factor, not two.
    """
    known = {(one.get("type"), one["k"]) for one in labels if "k" in one}
    implied = len({type for type, _ in known}) == len(known)
    return [{name: value for name, value in one.items() if not (implied and name == "k")} for one in labels]


def factor_pairs(labels: Sequence[Mapping[str, str | int]]) -> list[tuple[str, int, int]]:
    """Find the pairs that differ in exactly one of FACTORS, where both have that label: factor, first, second."""
    pairs = []
    for i, j in combinations(range(len(labels)), 2):
        differing = [name for name in FACTORS if labels[i].get(name) != labels[j].get(name)]
        if len(differing) == 1 and all(differing[0] in labels[place] for place in (i, j)):
            pairs.append((differing[0], i, j))
    return pairs


def factor_table(
    matrix: MatchMatrix, names: Sequence[str], labels: Sequence[Mapping[str, str | int]], *, threshold: float
) -> pd.DataFrame:
    """Two rows, one per way, for each pair that differs in one factor, in the order of FACTORS.

    Columns: match_factor, factor_change, and those of `matrix_table`.
    """
    table = matrix_table(matrix, names, threshold=threshold)
    rows = []
    for factor, i, j in sorted(factor_pairs(labels), key=lambda pair: FACTORS.index(pair[0])):
        for one, other in ((i, j), (j, i)):
            change = f"{labels[one][factor]} → {labels[other][factor]}"
            row = table.iloc[one * len(names) + other]
            rows.append({"match_factor": factor, "factor_change": change} | row.to_dict())
    columns = ["match_factor", "factor_change", *table.columns]
    return pd.DataFrame(rows, columns=columns).dropna(subset="matching_ratio", ignore_index=True)


def nearest_threshold(threshold: float) -> int:
    """Place in THRESHOLDS."""
    return int(np.abs(THRESHOLDS - threshold).argmin())


def _best(
    a: Dictionary, b: Dictionary, side: DictionarySide, store: ArtifactStore | None, progress: Progress
) -> tuple[Float[np.ndarray, " d_sae_a"], Float[np.ndarray, " d_sae_b"]]:
    """Return each feature's largest cosine with the other dictionary; if a is b, with any other feature of its own."""
    if a is b:
        own = own_nearest(Weights.of(a), side, progress=progress)
        return own, own
    between = nearest_pair(a, b, side, store=store, progress=progress)
    return between.a_in_b_cos[:, 0], between.b_in_a_cos[:, 0]
