"""The life of features over a series of dictionaries, layer by layer: sources, successors, birth, passing and death.

After feature flow (arXiv 2410.08869, 2502.03032). A feature's successor is its match in the next dictionary, its source
the match in the one before, both over a threshold set against chance. Without a source it is born here, without a
successor it dies here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, check_same_space
from core.errors import DoesNotFitError, OutOfRangeError
from core.matching.activations import ActivationMatch
from core.matching.comparison import rows_of
from core.matching.matrix import nearest_pair, turned
from core.matching.pairs import THRESHOLD
from core.maths.assignment import Edges
from core.splitting.graph import Links, SplitGraph, edge_links, placed, split_graph
from core.stability.chance import LEVEL, SecondMoments, typical
from core.stability.returning import Returns, Rule, moments_of, returns
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Part, Progress
from core.work.threads import one_thread_per_product

FATES = ("passes through", "born here", "dies here", "here alone")
MOST_NODES = 12
"""Largest number of features of each layer in a picture."""


@dataclass(frozen=True, eq=False)
class Step:
    """From one dictionary of a series to the next."""

    successors: Returns
    """Of the features of this dictionary in the next."""
    sources: Returns
    """Of the features of the next dictionary in this."""

    @property
    def edges(self) -> Edges:
        """The pairs of a feature and its successor, and of a source and its feature, each once."""
        here, there = self.successors.partner, self.sources.partner
        n_a, n_b = len(here), len(there)
        a = np.concatenate([np.flatnonzero(here >= 0), there[there >= 0]]).astype(np.int64)
        b = np.concatenate([here[here >= 0], np.flatnonzero(there >= 0)]).astype(np.int64)
        score = np.concatenate([self.successors.cos[here >= 0], self.sources.cos[there >= 0]])
        _, kept = np.unique(a * n_b + b, return_index=True)
        return Edges(a[kept], b[kept], score[kept].astype(np.float32), n_a, n_b)


@dataclass(frozen=True, eq=False)
class Life:
    """All steps of a series, from the first layer to the last."""

    steps: tuple[Step, ...]

    @property
    def n_layers(self) -> int:
        return len(self.steps) + 1

    def kept(self, layer: int) -> Bool[np.ndarray, " d_sae"]:
        """Return True for the features of a layer that have a direction."""
        return self._successors(layer).kept if layer < len(self.steps) else self._sources(layer).kept

    def fate(self, layer: int) -> Int[np.ndarray, " d_sae"]:
        """Return for each feature of a layer its place in FATES; -1 for those left out.

        The first layer counts as having sources, and the last as having successors, as nobody can tell.
        """
        kept = self.kept(layer)
        born = ~self._sources(layer).returned if layer > 0 else np.zeros(len(kept), bool)
        dies = ~self._successors(layer).returned if layer < len(self.steps) else np.zeros(len(kept), bool)
        return np.where(kept, born + 2 * dies, -1)

    def feature_table(self, layer: int) -> pd.DataFrame:
        """One row per feature of a layer: feature, fate, source and successor with their similarities, chance of both.

        Columns: feature, life_fate, life_source, source_cosine, source_chance, life_successor, successor_cosine,
        successor_chance; -1 and NaN where there is none, or no such layer.
        """
        fate = self.fate(layer)
        columns = {"feature": np.arange(len(fate)), "life_fate": np.array([*FATES, ""], dtype=object)[fate]}
        sides = {"source": (layer > 0, self._sources), "successor": (layer < len(self.steps), self._successors)}
        for name, (there, of) in sides.items():
            found = of(layer) if there else None
            columns[f"life_{name}"] = found.partner.astype(np.int64) if found else np.full(len(fate), -1)
            for column, value in ((f"{name}_cosine", "cos"), (f"{name}_chance", "chance")):
                columns[column] = getattr(found, value).astype(float) if found else np.full(len(fate), np.nan)
        return pd.DataFrame(columns)

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        """One row per layer and fate: life_layer, life_fate, fate_features, fate_share."""
        rows = []
        for layer, name in enumerate(names):
            fate = self.fate(layer)
            counts = np.bincount(fate[fate >= 0], minlength=len(FATES))
            rows += [(name, FATES[i], int(n), n / max(1, counts.sum())) for i, n in enumerate(counts)]
        return pd.DataFrame(rows, columns=["life_layer", "life_fate", "fate_features", "fate_share"])

    def step_table(self, names: Sequence[str]) -> pd.DataFrame:
        """One row per step: life_step, succeeded_share, random_successors, sourced_share, random_sources, thresholds.

        The shares are of the features of this layer with a successor, and of the next layer with a source.
        """
        rows = []
        for step, here, there in zip(self.steps, names[:-1], names[1:], strict=True):
            both = [
                (one.share, float(np.nanmean(one.chance)), one.threshold) for one in (step.successors, step.sources)
            ]
            rows.append((f"{here} → {there}", *(value for pair in zip(*both, strict=True) for value in pair)))
        columns = ["succeeded_share", "sourced_share", "random_successors", "random_sources"]
        return pd.DataFrame(rows, columns=["life_step", *columns, "successor_threshold", "source_threshold"])

    def longest(self, layer: int) -> int | None:
        """Return the feature of a layer whose line of successors and sources is longest; None if none has any.

        Of several the one with the largest sum of similarities, then the lowest.
        """
        reach = np.zeros(len(self.kept(layer)))
        for forward in (True, False):
            at, alive = np.arange(len(reach)), self.kept(layer).copy()
            for step in range(layer, len(self.steps)) if forward else range(layer - 1, -1, -1):
                found = self.steps[step].successors if forward else self.steps[step].sources
                alive &= found.partner[at] >= 0
                reach += np.where(alive, 1 + 1e-3 * np.nan_to_num(found.cos[at]), 0)
                at = np.where(alive, found.partner[at], 0)
        return int(reach.argmax()) if reach.max() > 0 else None

    def _successors(self, layer: int) -> Returns:
        return self.steps[layer].successors

    def _sources(self, layer: int) -> Returns:
        return self.steps[layer - 1].sources


def check_layers(dictionaries: Sequence[Dictionary], side: DictionarySide = "decoder") -> None:
    """Raise DoesNotFitError unless there are two dictionaries or more, all in one space."""
    if len(dictionaries) < 2:
        what = f"{dictionaries[0].title} alone" if dictionaries else "no dictionary"
        raise DoesNotFitError(
            f"A life needs a series of layers, and here is {what}. Expected two dictionaries or more; choose them."
        )
    for other in dictionaries[1:]:
        check_same_space(dictionaries[0], other, side)


def life(
    dictionaries: Sequence[Dictionary],
    side: DictionarySide = "decoder",
    *,
    threshold: float = THRESHOLD,
    rule: Rule = "nearest",
    store: ArtifactStore | None = None,
    progress: Progress = SILENT,
) -> Life:
    """Follow features from dictionary to dictionary by the cosines of their directions.

    Memory holds one pair of dictionaries at a time. A `store` keeps the nearest features of each pair. Raises what
    `check_layers` raises.
    """
    check_layers(dictionaries, side)
    steps, how = [], {"threshold": threshold, "rule": rule}
    with one_thread_per_product():  # once, as asking for it takes as long as a small product
        rows, moments, few = _known(dictionaries[0], side, store)
        for number, (here, there) in enumerate(pairwise(dictionaries)):
            part = Part(progress, number, len(dictionaries) - 1)
            part.update(0, 1)
            between = nearest_pair(here, there, side, store=store, progress=part)
            next_rows, next_moments, next_few = _known(there, side, store)
            successors = returns(between, rows, next_moments, few=few, **how)
            steps.append(Step(successors, returns(turned(between), next_rows, moments, few=next_few, **how)))
            rows, moments, few = next_rows, next_moments, next_few
    return Life(tuple(steps))


def _known(
    dictionary: Dictionary, side: DictionarySide, store: ArtifactStore | None
) -> tuple[Float[np.ndarray, "d_sae d"], SecondMoments, Float[np.ndarray, "few d"]]:
    rows = rows_of(dictionary, side)
    return rows, moments_of(dictionary, side, store), typical(rows)


def step_by_activation(
    match: ActivationMatch,
    rotated: Float[np.ndarray, " d_sae_a"],
    rotated_back: Float[np.ndarray, " d_sae_b"],
    *,
    threshold: float = THRESHOLD,
    rule: Rule = "nearest",
    level: float = LEVEL,
) -> Step:
    """Return a step by the correlations of activations on text, with a rotated basis of the other side as chance.

    `rotated` is the best correlation of each feature with random mixtures of the other dictionary's features
    (core.matching.baselines). The threshold is the larger of the one asked for and that which a share `level` of the
    features exceed with mixtures.
    """
    pairs = ((match.a_in_b_corr, match.a_in_b_idx, rotated), (match.b_in_a_corr, match.b_in_a_idx, rotated_back))
    best = [(corr[:, 0], idx[:, 0], chance) for corr, idx, chance in pairs]
    found = []
    for number, (corr, idx, chance) in enumerate(best):
        known = chance[np.isfinite(chance)]
        least = float(np.quantile(known, 1 - level)) if len(known) else 1.0
        used = max(threshold, least)
        over = np.nan_to_num(corr, nan=-2) > used
        if rule == "mutual":
            over &= best[1 - number][1][np.maximum(idx, 0)] == np.arange(len(idx))
        by_chance = np.where(np.isfinite(chance), (chance > used).astype(float), np.nan)
        found.append(Returns(corr, np.where(over, idx, -1), by_chance, used, least))
    return Step(*found)


@dataclass(frozen=True, eq=False)
class LifeGraph:
    """One feature with its sources and successors, their sources and successors, and so on."""

    nodes: pd.DataFrame
    """level (the number of the layer), feature, height (0 to 1)."""
    edges: pd.DataFrame
    """start and end (rows of `nodes`), life_similarity."""
    left_off: int
    """Features that are not in the graph, as a layer had too many."""


def life_graph(life: Life, layer: int, feature: int, *, most: int = MOST_NODES) -> LifeGraph:
    """Follow a feature of a layer to both ends of a series. Raises OutOfRangeError for one that the layer lacks.

    Successors of sources, and sources of successors, are not followed: the graph is of this feature.
    """
    if not 0 <= feature < len(life.kept(layer)):
        raise OutOfRangeError("Feature", feature, len(life.kept(layer)))
    edges = [step.edges for step in life.steps]
    forward = [_links(one) for one in edges[layer:]]
    backward = [_links(_reversed(one)) for one in edges[:layer][::-1]]
    parts, nodes, ends, left_off = [(1, forward), (-1, backward)], [(layer, feature, 0.5)], [], 0
    for way, links in parts:
        if links:
            graph = split_graph(feature, links, most=most)
            left_off += sum(graph.left_off)
            new, pairs = _placed_from(graph, layer, way, len(nodes) - 1)
            nodes += new
            ends += pairs
    start, end, score = zip(*ends, strict=True) if ends else ((), (), ())
    edge_table = pd.DataFrame(
        {"start": np.array(start, int), "end": np.array(end, int), "life_similarity": np.array(score, float)}
    )
    return LifeGraph(pd.DataFrame(nodes, columns=["level", "feature", "height"]), edge_table, left_off)


def _placed_from(
    graph: SplitGraph, layer: int, way: int, shift: int
) -> tuple[list[tuple[int, int, float]], list[tuple[int, int, float]]]:
    """Return nodes without the first, and edges by numbers of nodes, of which this graph's second is `shift` + 1."""
    height = placed(graph)
    nodes = [
        (layer + way * int(n), int(f), float(y)) for n, f, y in zip(graph.level, graph.feature, height, strict=True)
    ]
    numbers = np.where(np.arange(len(nodes)) == 0, 0, np.arange(len(nodes)) + shift)
    pairs = zip(numbers[graph.start].tolist(), numbers[graph.end].tolist(), graph.score.tolist(), strict=True)
    return nodes[1:], [(a, b, score) if way > 0 else (b, a, score) for a, b, score in pairs]


def _links(edges: Edges) -> Links:
    return edge_links(edges, threshold=-np.inf)


def _reversed(edges: Edges) -> Edges:
    order = np.lexsort((edges.a, edges.b))
    return Edges(edges.b[order], edges.a[order], edges.score[order], edges.n_b, edges.n_a)
