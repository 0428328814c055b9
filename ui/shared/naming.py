"""Names of features in tables and charts: whose features a figure shows, and what they are called.

A figure's provenance says which dictionary its features are of. Names are shown only where that is certain.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import pandas as pd

from core.feature.names import FeatureNames

COLUMNS = {
    "feature": "feature_name",
    "next_feature": "next_name",
    "neighbor": "neighbor_name",
    "correlated_feature": "correlated_name",
    "feature_a": "name_a",
    "feature_b": "name_b",
    "best_match": "match_name",
    "sibling": "sibling_name",
}
"""Columns that hold features, each with the column for their names."""
_OF_ONE = ("feature", "next_feature", "neighbor", "correlated_feature")
"""Those that are of the figure's dictionary, if it has only one."""
NO_NAMES = FeatureNames(())
Names = Mapping[str, FeatureNames]
"""The names for columns that hold features."""

_find: ContextVar[Callable[[str], FeatureNames]] = ContextVar("find_names", default=lambda sha256: NO_NAMES)


def find_by(find: Callable[[str], FeatureNames]) -> None:
    """Let figures of this run find the names of a dictionary by its hash. It is asked once for each dictionary."""
    known: dict[str, FeatureNames] = {}

    def once(sha256: str) -> FeatureNames:
        if sha256 not in known:
            known[sha256] = find(sha256)
        return known[sha256]

    _find.set(once)


def find_also(more: Mapping[str, Callable[[], FeatureNames]]) -> None:
    """Let figures of this run find the names of further dictionaries, by their hashes."""
    others = _find.get()
    find_by(lambda sha256: more[sha256]() if sha256 in more else others(sha256))


def names_of(sha256: str) -> FeatureNames:
    """Return the names of a dictionary's features; none where they are not known."""
    return _find.get()(sha256)


def holders(provenance: Mapping[str, Any], whose: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Return for each column of features in a figure the hash of their dictionary, where that is certain.

    `whose` says it. Without it, features are of the one dictionary that the provenance names, and of none that is
    known where it names several.
    """
    if whose is not None:
        return whose
    shas = {said.get("sha256") for said in provenance.get("dictionaries") or ()}
    sha256 = shas.pop() if len(shas) == 1 else None
    return dict.fromkeys(_OF_ONE, sha256) if sha256 else {}


def names_for(provenance: Mapping[str, Any], whose: Mapping[str, str] | None = None) -> Names:
    """Return names for the columns of a figure; see `holders`."""
    found = {column: names_of(sha256) for column, sha256 in holders(provenance, whose).items()}
    return {column: names for column, names in found.items() if names}


def with_names(table: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Return a table with a column of names after each column of features that has some. The table stays as it is."""
    for column, called in names.items():
        if column not in table or COLUMNS[column] in table:
            continue
        texts = ["" if pd.isna(i) else called.of(int(i)) for i in table[column].tolist()]
        if any(texts):
            table = table.copy(deep=False)
            table.insert(table.columns.get_loc(column) + 1, COLUMNS[column], texts)
    return table
