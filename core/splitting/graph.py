"""The descendants of one coarse feature in wider dictionaries, as a graph over two or three widths.

After Bricken et al. 2023: features split as dictionaries get wider, and some merge again. So the graph is a tree only
if every feature has at most one parent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import Entry
from core.dictionaries.spaces import check_same_space
from core.errors import DoesNotFitError, OutOfRangeError
from core.geometry.neighbors import Between
from core.matching.labels import Relation, relate
from core.maths.assignment import Edges

Links = Callable[[Int[np.ndarray, " chosen"]], Edges]
"""A function from features of one dictionary, ascending, to their edges to features of the next, wider one."""
MOST_NODES = 40
"""Largest number of features of each dictionary in a graph; a picture of more cannot be read."""
_ROUNDING = 1e-3
"""Float32 products of directions are wrong by less than this."""
_NOT_COMPARED = ("width", "neuronpedia")
"""Labels in which dictionaries of one series may differ."""


@dataclass(frozen=True, eq=False)
class SplitGraph:
    """One coarse feature and its descendants; nodes are sorted by level, then by feature."""

    level: Int[np.ndarray, " node"]
    """0 for the coarse feature, 1 for features of the next dictionary, and so on."""
    feature: Int[np.ndarray, " node"]
    start: Int[np.ndarray, " edge"]
    """Node in the narrower dictionary."""
    end: Int[np.ndarray, " edge"]
    """Node in the wider one."""
    score: Float[np.ndarray, " edge"]
    left_off: tuple[int, ...]
    """Number of features of each level that are not in the graph, as it had too many: those with least similarity."""

    def features(self, level: int) -> Int[np.ndarray, " chosen"]:
        """Return the features of a level, ascending."""
        return self.feature[self.level == level]


def wider_entries(listed: Sequence[Entry], id: str) -> list[Entry]:
    """Return the dictionary `id` and those that differ from it only in width, by width.

    They have the same source, kind, hook and labels. Of several with one width, the one with `id` counts, else the
    first. Empty if the id is not listed, or its width or hook is not known.
    """
    own = next((entry for entry in listed if entry.id == id), None)
    if own is None or own.d_sae is None or own.hook_name is None:
        return []
    kin = [entry for entry in listed if entry.d_sae is not None and _kin(entry) == _kin(own)]
    series: dict[int, Entry] = {}
    for entry in sorted(kin, key=lambda entry: (entry.d_sae, entry.id != id)):
        series.setdefault(entry.d_sae, entry)
    return list(series.values())


def check_series(dictionaries: Sequence[Dictionary]) -> None:
    """Raise DoesNotFitError unless each dictionary is wider than the one before and all decoders share one space."""
    for narrow, wide in pairwise(dictionaries):
        check_same_space(narrow, wide, "decoder")
        if wide.d_sae <= narrow.d_sae:
            raise DoesNotFitError(
                f"{wide.title} has {wide.d_sae:,} features, {narrow.title} {narrow.d_sae:,}, so no feature can split. "
                "Expected a wider dictionary at each step. Leave one out, or begin with a narrower one."
            )


def relation(between: Between, *, threshold: float) -> Relation:
    """Label the features of the wider dictionary, B, by their parents in the narrower one, A."""
    back, there = (
        (cos[:, 0], idx[:, 0])
        for cos, idx in ((between.b_in_a_cos, between.b_in_a_idx), (between.a_in_b_cos, between.a_in_b_idx))
    )
    return relate(*back, *there, threshold=threshold)


def edge_links(edges: Edges, *, threshold: float) -> Links:
    """Link features by known edges, such as masked cosines of activations, if their score is over the threshold."""
    kept = np.flatnonzero(edges.score > threshold)
    ordered = kept[np.lexsort((edges.b[kept], edges.a[kept]))]
    a, b, score = edges.a[ordered], edges.b[ordered], edges.score[ordered]

    def links(features: Int[np.ndarray, " chosen"]) -> Edges:
        _check_exist(features, edges.n_a)
        mine = np.isin(a, features)
        return Edges(a[mine], b[mine], score[mine], edges.n_a, edges.n_b)

    return links


def parent_links(between: Between, *, threshold: float) -> Links:
    """Link every feature of the wider dictionary B to its nearest in A, if their cosine is over the threshold.

    A feature has at most one parent, so that the graph is a tree.
    """
    cos, parent = between.b_in_a_cos[:, 0], between.b_in_a_idx[:, 0]
    child = np.flatnonzero(parent >= 0)
    edges = Edges(parent[child], child, cos[child], len(between.a_in_b_idx), len(parent))
    return edge_links(edges, threshold=threshold)


def cosine_links(narrow: Float[np.ndarray, "n_a d"], wide: Float[np.ndarray, "n_b d"], *, threshold: float) -> Links:
    """Link all pairs of directions with a cosine over the threshold; a feature may have several parents.

    Cosines are summed in float64 and rounded to float32. Zero rows, and rows that are not finite, have no edge.
    """
    lengths = _lengths(wide)

    def links(features: Int[np.ndarray, " chosen"]) -> Edges:
        _check_exist(features, len(narrow))
        own = _lengths(narrow[features])
        a, b = np.nonzero(_rough_cosines(narrow[features], wide, own, lengths) > threshold - _ROUNDING)
        score = np.einsum("ij,ij->i", narrow[features[a]], wide[b], dtype=np.float64) / (own[a] * lengths[b])
        edges = Edges(features[a], b, score.astype(np.float32), len(narrow), len(wide))
        return edge_links(edges, threshold=threshold)(features)

    return links


def split_graph(feature: int, links: Sequence[Links], *, most: int = MOST_NODES) -> SplitGraph:
    """Follow one feature from dictionary to dictionary: `links` has one entry for each step.

    If a level has more than `most` features, only those with the largest similarity are kept and followed. Raises
    OutOfRangeError for a feature that the first dictionary does not have.
    """
    assert links, "a graph needs a step"
    levels, parts, left_off = [np.array([feature])], [], [0]
    for step in links:
        edges = step(levels[-1])
        children, n_children = _strongest(edges, most)
        kept = np.isin(edges.b, children)
        parts.append((edges.a[kept], edges.b[kept], edges.score[kept]))
        levels.append(children)
        left_off.append(n_children - len(children))
    first = np.cumsum([0, *map(len, levels)])
    ends = [
        (first[i] + np.searchsorted(levels[i], a), first[i + 1] + np.searchsorted(levels[i + 1], b), score)
        for i, (a, b, score) in enumerate(parts)
    ]
    start, end, score = (np.concatenate(columns) for columns in zip(*ends, strict=True))
    level = np.repeat(np.arange(len(levels)), [len(features) for features in levels])
    return SplitGraph(level, np.concatenate(levels), start, end, score.astype(np.float32), tuple(left_off))


def placed(graph: SplitGraph) -> Float[np.ndarray, " node"]:
    """Return a height from 0 to 1 for each node: evenly spaced on its level, ordered by the mean height of parents."""
    height = np.full(len(graph.feature), 0.5)
    for level in range(1, int(graph.level.max()) + 1):
        nodes = np.flatnonzero(graph.level == level)
        mean = [height[graph.start[graph.end == node]].mean() for node in nodes]
        order = np.lexsort((graph.feature[nodes], mean))
        height[nodes[order]] = (np.arange(len(nodes)) + 0.5) / max(1, len(nodes))
    return height


def _strongest(edges: Edges, most: int) -> tuple[Int[np.ndarray, " child"], int]:
    """Return the children with the best scores, ascending, and the number of all children."""
    children, at = np.unique(edges.b, return_inverse=True)
    best = np.full(len(children), -np.inf)
    np.maximum.at(best, at, edges.score)
    chosen = np.argsort(-best, kind="stable")[:most]
    return np.sort(children[chosen]), len(children)


def _check_exist(features: Int[np.ndarray, " chosen"], n: int) -> None:
    for feature in features[(features < 0) | (features >= n)]:
        raise OutOfRangeError("Feature", int(feature), n)


def _lengths(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Return lengths in float64, NaN for rows that have no direction."""
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return np.where(np.isfinite(length) & (length > 0), length, np.nan)


def _rough_cosines(
    a: Float[np.ndarray, "n_a d"],
    b: Float[np.ndarray, "n_b d"],
    a_length: Float[np.ndarray, " n_a"],
    b_length: Float[np.ndarray, " n_b"],
) -> Float[np.ndarray, "n_a n_b"]:
    with np.errstate(invalid="ignore", over="ignore"):
        return (a / a_length[:, None]).astype(np.float32) @ b.T / b_length


def _kin(entry: Entry) -> tuple[str, str | None, str | None, Mapping[str, str | int]]:
    labels = {name: value for name, value in entry.labels.items() if name not in _NOT_COMPARED}
    return entry.id.partition("/")[0], entry.kind, entry.hook_name, labels
