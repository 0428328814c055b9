"""Splitting as tidy tables: nodes and edges of a graph, numbers of children by width, and labels of features."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.geometry.neighbors import Between
from core.matching.labels import LABELS
from core.matching.null import random_ratio
from core.splitting.graph import SplitGraph, placed, relation

PROMOTED = 5
"""Number of tokens that are shown for each feature of a graph."""


def node_table(graph: SplitGraph, widths: Sequence[int]) -> pd.DataFrame:
    """One row per node: d_sae of its dictionary, feature, and its place in a drawing: level, and height (0 to 1)."""
    return pd.DataFrame(
        {
            "d_sae": np.asarray(widths)[graph.level],
            "feature": graph.feature,
            "level": graph.level,
            "height": placed(graph),
        }
    )


def edge_table(graph: SplitGraph, widths: Sequence[int]) -> pd.DataFrame:
    """One row per edge: split_step, coarse_feature, child, split_cosine."""
    steps = np.array([f"{narrow:,} → {wide:,}" for narrow, wide in pairwise(widths)])
    return pd.DataFrame(
        {
            "split_step": steps[graph.level[graph.start]],
            "coarse_feature": graph.feature[graph.start],
            "child": graph.feature[graph.end],
            "split_cosine": graph.score.astype(float),
        }
    )


def promoted_tokens(
    weights: Float[np.ndarray, "feature token"],
    tokens: Int[np.ndarray, " token"],
    strings: Sequence[str],
    *,
    k: int = PROMOTED,
) -> list[list[str]]:
    """Return the k tokens that each feature promotes most, quoted, from its logit weights on `tokens`.

    Ties: the earlier token.
    """
    best = np.argsort(-weights, axis=1, kind="stable")[:, :k]
    return [[repr(strings[token]) for token in tokens[row]] for row in best]


def children_table(betweens: Mapping[int, Between], *, threshold: float) -> pd.DataFrame:
    """One row per feature of the coarse dictionary A and wider dictionary B.

    Columns: feature, d_sae (of B), n_children, best_child_cosine. `betweens` maps the number of features of B to the
    nearest features of A and B. Features of A that are left out have no row.
    """
    parts = []
    for d_sae, between in betweens.items():
        parent = relation(between, threshold=threshold).parent
        count = np.bincount(parent[parent >= 0], minlength=len(between.a_in_b_idx))
        columns = {"feature": np.arange(len(count)), "d_sae": d_sae, "n_children": count}
        table = pd.DataFrame(columns | {"best_child_cosine": between.a_in_b_cos[:, 0].astype(float)})
        parts.append(table[between.a_in_b_idx[:, 0] >= 0])
    return pd.concat(parts, ignore_index=True)


def most_split(children: pd.DataFrame) -> tuple[int, int] | None:
    """Return the feature with the most children in the widest dictionary of a children_table, and how many it has.

    Of several the one that its nearest child resembles least, as it has changed most. None if none has two.
    """
    wide = children[children["d_sae"] == children["d_sae"].max()]
    ranked = wide.sort_values(["n_children", "best_child_cosine", "feature"], ascending=[False, True, True])
    if ranked.empty or ranked["n_children"].iloc[0] < 2:
        return None
    return int(ranked["feature"].iloc[0]), int(ranked["n_children"].iloc[0])


def width_table(betweens: Mapping[int, Between], d: int, *, threshold: float) -> pd.DataFrame:
    """One row per wider dictionary, about the children of the features of the coarse one.

    Columns: d_sae, mean_children, random_children (the mean for random directions), most_children, childless_share,
    single_child_share, split_share. `d` is the width of the directions; random_children is NaN for d = 1.
    """
    children = children_table(betweens, threshold=threshold)
    rows = []
    for d_sae, between in betweens.items():
        count = children.loc[children["d_sae"] == d_sae, "n_children"]
        matched = np.count_nonzero(between.b_in_a_idx[:, 0] >= 0)
        chance = random_ratio(len(count), d, np.array([threshold]))[0] * matched / len(count) if d > 1 else np.nan
        rows.append(
            {
                "d_sae": d_sae,
                "mean_children": count.mean(),
                "random_children": chance,
                "most_children": count.max(),
                "childless_share": (count == 0).mean(),
                "single_child_share": (count == 1).mean(),
                "split_share": (count > 1).mean(),
            }
        )
    return pd.DataFrame(rows)


def became_table(betweens: Mapping[int, Between], *, threshold: float) -> pd.DataFrame:
    """One row per wider dictionary and label: d_sae, match_label, labelled_features, labelled_share."""
    rows = []
    for d_sae, between in betweens.items():
        counts = relation(between, threshold=threshold).counts
        total = max(1, sum(counts.values()))
        rows += [(d_sae, label, counts[label], counts[label] / total) for label in LABELS]
    return pd.DataFrame(rows, columns=["d_sae", "match_label", "labelled_features", "labelled_share"])
