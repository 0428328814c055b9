"""Tables beside a feature map: the features that a search finds, and one feature's true neighbours."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.dictionaries.feature_lists import FeatureListError, split_features
from core.errors import BadSettingError
from core.maths.cosines import row_cosines

_CLUSTER = re.compile(r"\s*cluster\s+(\d+)\s*", re.IGNORECASE)


def search(
    text: str,
    feature: Int[np.ndarray, " row"],
    *,
    cluster: Int[np.ndarray, " row"] | None = None,
    tokens: Sequence[str] | None = None,
) -> Bool[np.ndarray, " row"]:
    """Return True for rows found by feature number ('7, 20-30'), cluster ('cluster 5'), or part of their token's text.

    Lists of features are those of core.dictionaries.feature_lists. Case does not matter. Text in quotes is always
    searched as text. Raises BadSettingError if `text` needs clusters or
    tokens and these are None.
    """
    if ranges := _ranges(text):
        hits = np.zeros(len(feature), bool)
        for first, last in ranges:
            hits |= (feature >= first) & (feature <= last)
        return hits
    if wanted := _CLUSTER.fullmatch(text):
        if cluster is None:
            raise BadSettingError("There are no clusters yet to look in. Compute them on the tab Clusters.")
        return cluster == _feature(wanted[1])
    if tokens is None:
        raise BadSettingError(
            f"{text[:100]!r} cannot be found: expected feature numbers such as 7, 20-30, or a cluster such as "
            "cluster 5. To find tokens, colour by kurtosis once: this computes the token that each feature promotes."
        )
    text = text.strip()
    part = (text[1:-1] if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"" else text).casefold()
    return np.fromiter((part in token.casefold() for token in tokens), bool, len(tokens))


def _ranges(text: str) -> list[tuple[int, int]]:
    """Return the ranges of a list of features; none if the text is no such list."""
    try:
        return [(_feature(first), _feature(last)) for first, last in split_features(text)]
    except FeatureListError:
        return []


def _feature(digits: str) -> int:
    """Read a number. A number too large for an array becomes 10^18, which is no feature."""
    digits = digits.lstrip("0")
    return int(digits or 0) if len(digits) <= 18 else 10**18


def true_neighbors(
    directions: Float[np.ndarray, "row d"],
    x: Float[np.ndarray, " row"],
    y: Float[np.ndarray, " row"],
    row: int,
    *,
    k: int = 20,
) -> pd.DataFrame:
    """Return the k rows with the largest cosine to one row, and their ranks by distance on the map.

    Columns: row, neighbor_rank, neighbor_cosine, map_rank (1 for the nearest point; missing without a place). Ties:
    lower row first. Rows without a cosine are left out; for such a row itself, the table is empty.
    """
    cos = row_cosines(directions[row], directions)
    cos[row] = np.nan
    rows = np.argsort(-cos, kind="stable")[: min(k, int(np.isfinite(cos).sum()))]
    return pd.DataFrame(
        {
            "row": rows,
            "neighbor_rank": np.arange(1, len(rows) + 1),
            "neighbor_cosine": cos[rows].astype(float),
            "map_rank": pd.array(_map_ranks(x, y, row)[rows], dtype="Int64"),
        }
    ).assign(map_rank=lambda table: table["map_rank"].where(table["map_rank"] > 0))


def _map_ranks(x: Float[np.ndarray, " row"], y: Float[np.ndarray, " row"], row: int) -> Int[np.ndarray, " row"]:
    """Rank all rows by distance on the map; 0 for the row itself and for rows without a place."""
    squared = (x.astype(np.float64) - x[row]) ** 2 + (y.astype(np.float64) - y[row]) ** 2
    squared[row] = np.nan
    ranks = np.empty(len(x), np.int64)
    ranks[np.argsort(squared, kind="stable")] = np.arange(1, len(x) + 1)  # NaN comes last
    ranks[~np.isfinite(squared)] = 0
    return ranks
