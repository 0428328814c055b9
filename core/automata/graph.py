"""The automaton as a graph: the surroundings of a feature, their layout, and loops."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.automata.tables import EdgeRule, edge_table, follows_itself, is_edge, loops_of_two, self_edges, strongest
from core.automata.transitions import Transitions
from core.errors import OutOfRangeError

if TYPE_CHECKING:
    from networkx import DiGraph

STEPS = 2
LAYOUT_SEED = 0
MOST_EDGES, MOST_LOOPS = 60, 40


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A feature, those that come before and after it, and the edges among them."""

    nodes: pd.DataFrame
    """feature, step (how many tokens after the feature, less than 0 before it), x and y between 0 and 1."""
    edges: pd.DataFrame
    """Columns of core.automata.tables.edge_table, the largest lift first; edges of a feature to itself included."""
    left_off: int
    """Edges among the nodes with a lift too small to be drawn."""


def surroundings(found: Transitions, feature: int, rule: EdgeRule, *, most: int = 3) -> Surroundings:
    """Follow the strongest `most` edges of each feature for two steps, onwards and back, and lay the graph out.

    All edges among the features found are in it, up to MOST_EDGES. Raises OutOfRangeError.
    """
    if not 0 <= feature < found.d_sae:
        raise OutOfRangeError("Feature", feature, found.d_sae)
    kept = is_edge(found, rule)
    step = {feature: 0}
    for back in (False, True):
        best = strongest(found, kept, most=most, back=back)
        own, other = (found.target, found.source) if back else (found.source, found.target)
        reached = {feature}
        for n in range(1, STEPS + 1):
            reached = set(other[best[np.isin(own[best], list(reached))]].tolist())
            for node in sorted(reached):
                step.setdefault(node, -n if back else n)
    nodes = np.array(sorted(step), np.int64)
    inside = np.flatnonzero(kept & np.isin(found.source, nodes) & np.isin(found.target, nodes))
    inside = inside[np.argsort(-found.lift[inside], kind="stable")]
    drawn = _drawn(found, inside)
    edges = edge_table(found, drawn)
    itself = nodes[follows_itself(found, rule)[nodes]]
    if len(itself):
        edges = pd.concat([edges, self_edges(found, itself)], ignore_index=True)
    place = _layout(nodes, edges, feature)
    table = pd.DataFrame({"feature": nodes, "step": [step[node] for node in nodes.tolist()]})
    return Surroundings(table.assign(x=place[:, 0], y=place[:, 1]), edges, len(inside) - len(drawn))


def _drawn(found: Transitions, edges: Int[np.ndarray, " edge"]) -> Int[np.ndarray, " drawn"]:
    """Return the edges to draw, of edges by falling lift: one or more at each node, and the strongest of the others."""
    if len(edges) <= MOST_EDGES:
        return edges
    first = {}
    for edge in edges.tolist():
        for node in (int(found.source[edge]), int(found.target[edge])):
            first.setdefault(node, edge)
    needed = np.isin(edges, list(first.values()))
    others = np.flatnonzero(~needed)[: max(0, MOST_EDGES - np.count_nonzero(needed))]
    return edges[np.union1d(np.flatnonzero(needed), others)]


def _layout(nodes: Int[np.ndarray, " node"], edges: pd.DataFrame, feature: int) -> Float[np.ndarray, "node 2"]:
    """Return places between 0 and 1: strongly linked features lie close. The seed makes them the same every time."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(nodes.tolist())
    for one, other, lift in edges[["feature", "next_feature", "step_lift"]].itertuples(index=False):
        if one != other:
            graph.add_edge(int(one), int(other), weight=float(np.log2(1 + lift)))
    start = nx.kamada_kawai_layout(graph, center=(0, 0), weight=None)
    start[feature] = np.zeros(2)
    how = {"k": 2 / np.sqrt(len(nodes)), "iterations": 60, "seed": LAYOUT_SEED}
    place = nx.spring_layout(graph, pos=start, fixed=[feature], **how)
    xy = np.array([place[node] for node in nodes.tolist()])
    low, high = xy.min(axis=0), xy.max(axis=0)
    return np.where(high > low, (xy - low) / np.where(high > low, high - low, 1), 0.5)


def loops(found: Transitions, rule: EdgeRule, *, n: int, most: int = 3) -> list[tuple[int, ...]]:
    """Return loops of n features, the largest of the weakest lifts first, at most MOST_LOOPS.

    A loop begins with its lowest feature, which is not repeated at its end. Loops of three or more follow only the
    `most` edges of each feature with the largest lift.
    """
    import networkx as nx

    kept = is_edge(found, rule)
    if n == 2:
        there, _ = loops_of_two(found, kept)
        graph = _graph(found, np.concatenate(loops_of_two(found, kept)))
        cycles = list(zip(found.source[there].tolist(), found.target[there].tolist(), strict=True))
    else:
        graph = _graph(found, strongest(found, kept, most=most))
        cycles = [tuple(cycle) for cycle in nx.simple_cycles(graph, length_bound=n) if len(cycle) == n]
    turned = [cycle[(at := cycle.index(min(cycle))) :] + cycle[:at] for cycle in cycles]
    weakest = {cycle: min(graph.edges[step]["lift"] for step in pairwise((*cycle, cycle[0]))) for cycle in turned}
    return sorted(turned, key=lambda cycle: (-weakest[cycle], cycle))[:MOST_LOOPS]


def _graph(found: Transitions, edges: Int[np.ndarray, " edge"]) -> "DiGraph":
    import networkx as nx

    graph = nx.DiGraph()
    columns = (column[edges].tolist() for column in (found.source, found.target, found.lift))
    graph.add_weighted_edges_from(zip(*columns, strict=True), weight="lift")
    return graph
