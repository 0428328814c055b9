"""What the pages say of a dictionary of the known world, beside the truth: right, missed, and said of too many."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from core.dictionaries.world import World
from core.dictionaries.world_rows import Planted
from core.geometry.neighbors import Between, Neighbors
from core.home.findings import NEARLY_EQUAL
from core.matching.labels import LABELS, Relation
from core.matching.pairs import THRESHOLD
from core.splitting.graph import relation
from core.worlds.sampled import Sampled

_SILENT, _FIRES = 0.5, 0.9
"""Shares of inputs."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """One thing that is true of some features, and which features a page says it of."""

    name: str
    page: str
    rule: str
    true: Bool[np.ndarray, " n"]
    said: Bool[np.ndarray, " n"]

    @property
    def hit(self) -> int:
        """Features of which it is true and said."""
        return int((self.true & self.said).sum())

    @property
    def missed(self) -> int:
        """Features of which it is true, and no page says it."""
        return int((self.true & ~self.said).sum())

    @property
    def false(self) -> int:
        """Features of which a page says it though it is not true."""
        return int((~self.true & self.said).sum())


def recovered(planted: Planted, in_world: Between, made: World) -> Verdict:
    """Features of the world that the dictionary has for themselves; Matching says so by the nearest decoder row.

    `in_world` holds the nearest features of the dictionary's decoder rows, A, and of the world's, B.
    """
    true = np.zeros(len(made.parent), bool)
    true[planted.of[planted.are("kept", "copied", "holed")]] = True
    rule = f"the nearest decoder row has a cosine over {THRESHOLD:g}"
    return Verdict("recovered", "Matching", rule, true, in_world.b_in_a_cos[:, 0] > THRESHOLD)


def split(planted: Planted, labels: Relation) -> Verdict:
    """Features that are parts of a family that the narrow dictionary has as one."""
    rule = f"it shares its parent, the nearest narrow feature over {THRESHOLD:g}, with others"
    return Verdict("split", "Splitting", rule, _mask(planted, "split"), labels.label == LABELS.index("split"))


def absorbed(planted: Planted, made: World, found: Sampled, in_world: Between) -> Verdict:
    """Features of a parent that is silent where one child fires, and that child's, as Chanin et al. 2024 find them.

    That takes the inputs on which parent and child are there, which only a world tells: no other page can say it.
    """
    best, said = in_world.b_in_a_idx[:, 0], np.zeros(len(planted.of), bool)
    for child in np.flatnonzero(made.parent >= 0):
        parent = made.parent[child]
        both, rate = found.both[:, best[parent]], found.rate
        with_child = both[child] / rate[child]
        without = (both[parent] - both[child]) / (rate[parent] - rate[child])
        if with_child < _SILENT and without > _FIRES:
            said[best[[parent, child]]] = True
    rule = f"a parent's fires on under {_SILENT:g} of the inputs with one child, on over {_FIRES:g} of its others"
    return Verdict("absorbed", "Ground truth", rule, _mask(planted, "holed", "absorbing"), said)


def duplicated(planted: Planted, neighbors: Neighbors) -> Verdict:
    """Pairs of features for one feature of the world."""
    rule = f"another decoder row has a cosine over {NEARLY_EQUAL:g}"
    return Verdict("duplicated", "Geometry", rule, _mask(planted, "copied"), neighbors.cos[:, 0] > NEARLY_EQUAL)


def dead(planted: Planted, found: Sampled) -> Verdict:
    """Features that never fire."""
    n = found.statistics.n_tokens()
    return Verdict("dead", "Overview", f"it fires on none of {n:,} inputs", _mask(planted, "dead"), found.density == 0)


def labels_of(narrow_wide: Between) -> Relation:
    """Label the wide dictionary's features as the page Splitting does."""
    return relation(narrow_wide, threshold=THRESHOLD)


def best_features(
    found: Sampled, in_world: Between
) -> tuple[Int[np.ndarray, " feature"], Float[np.ndarray, " feature"], Float[np.ndarray, " feature"]]:
    """Return for each feature of the world the nearest of the dictionary, with its recall and precision.

    Recall is the share of the inputs with the world's feature on which the dictionary's fires, precision the reverse;
    NaN where there are no such inputs.
    """
    best = in_world.b_in_a_idx[:, 0]
    both = found.both[np.arange(len(best)), best]
    with np.errstate(invalid="ignore"):
        return best, both / found.rate, both / found.density[best]


def _mask(planted: Planted, *kinds: str) -> Bool[np.ndarray, " d_sae"]:
    mask = np.zeros(len(planted.of), bool)
    mask[planted.are(*kinds)] = True
    return mask
