"""Dictionaries of the known world that stand in for trained ones, with the faults that trained ones have.

Every feature is planted, so that what it is, is known: a feature of the world, a part of a family that split, one that
absorbed its parent, a copy, dead, or noise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.world import D_IN, SEED, World, world

Width = Literal["narrow", "wide"]
Kind = Literal["kept", "family", "split", "holed", "absorbing", "copied", "dead", "noise"]
KINDS: Mapping[Kind, str] = {
    "kept": "one feature of the world",
    "family": "a parent with all of its children as one",
    "split": "a parent with one child; the parent has no feature of its own",
    "holed": "a parent that is silent where one of its children fires",
    "absorbing": "a child that also writes its parent",
    "copied": "one of two features for one feature of the world",
    "dead": "never fires",
    "noise": "a random direction",
}
THRESHOLD = 0.5
"""A feature fires where its pre-activation is over this."""
_COPY_NOISE, _DEAD_BIAS, _N_DEAD, _N_NOISE = 0.05, -100.0, 4, 3
_SPLIT, _ABSORBED = range(4), (4, 5)
"""Families whose parent splits, and whose parent is absorbed by its first child; the others are kept."""


@dataclass(frozen=True, eq=False)
class Planted:
    """The weights of a JumpReLU dictionary, and what each of its features is."""

    W_enc: Float[np.ndarray, "d_in d_sae"]
    b_enc: Float[np.ndarray, " d_sae"]
    W_dec: Float[np.ndarray, "d_sae d_in"]
    kind: tuple[Kind, ...]
    of: Int[np.ndarray, " d_sae"]
    """The feature of the world that it is for: of a split or absorbing one the child; -1 if dead or noise."""

    def are(self, *kinds: Kind) -> np.ndarray:
        """Return the features of some kinds, ascending."""
        return np.flatnonzero([kind in kinds for kind in self.kind])

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The weights under sae-lens' names."""
        zero, threshold = np.zeros(D_IN, np.float32), np.full(len(self.of), THRESHOLD, np.float32)
        weights = {"W_enc": self.W_enc, "b_enc": self.b_enc, "W_dec": self.W_dec}
        return {name: array.copy() for name, array in weights.items()} | {"b_dec": zero, "threshold": threshold}


@dataclass(frozen=True)
class _Row:
    kind: Kind
    of: int
    writes: np.ndarray
    reads: np.ndarray
    bias: float = 0.0


@cache
def planted(width: Width) -> Planted:
    """Plant the narrow or the wide dictionary, its features in a shuffled order."""
    rng, made = np.random.default_rng(SEED), world()
    rows = [*(_narrow if width == "narrow" else _wide)(made, rng)]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    return Planted(
        W_enc=np.stack([row.reads for row in rows], axis=1).astype(np.float32),
        b_enc=np.array([row.bias for row in rows], np.float32),
        W_dec=np.stack([row.writes for row in rows]).astype(np.float32),
        kind=tuple(row.kind for row in rows),
        of=np.array([row.of for row in rows]),
    )


def _narrow(made: World, rng: np.random.Generator) -> Iterator[_Row]:
    """One feature for each family and for half of the features that stand alone."""
    for parent in _SPLIT:
        together = made.directions[parent] + made.directions[made.children(parent)].mean(axis=0)
        yield _Row("family", parent, _unit(together), _unit(together))
    for feature in (*_ABSORBED, 6, 7, *made.alone[:8]):
        yield _kept(made, feature)
    yield _dead(rng)


def _wide(made: World, rng: np.random.Generator) -> Iterator[_Row]:
    """Plant what becomes of the families, twelve of the features that stand alone, copies of five, dead ones, noise."""
    for parent in _SPLIT:
        for child in made.children(parent):
            yield _with_parent(made, "split", child)
    for parent in _ABSORBED:
        first, *others = made.children(parent)
        holed = made.directions[parent] - made.directions[first]
        yield _Row("holed", parent, made.directions[parent], holed)
        yield _with_parent(made, "absorbing", first)
        yield from (_kept(made, child) for child in others)
    for parent in (6, 7):
        yield from (_kept(made, feature) for feature in (parent, *made.children(parent)))
    for place, feature in enumerate(made.alone[:5]):
        direction = made.directions[feature]
        near = direction if place == 4 else _unit(direction + rng.normal(0, _COPY_NOISE, D_IN))  # the last is exact
        yield from (_Row("copied", int(feature), row / 2, row) for row in (direction, near))
    yield from (_kept(made, feature) for feature in made.alone[5:12])
    yield from (_dead(rng) for _ in range(_N_DEAD))
    for _ in range(_N_NOISE):
        noise = _unit(rng.normal(size=D_IN))
        yield _Row("noise", -1, noise, noise)


def _kept(made: World, feature: int | np.integer) -> _Row:
    return _Row("kept", int(feature), made.directions[feature], made.directions[feature])


def _with_parent(made: World, kind: Kind, child: int | np.integer) -> _Row:
    """Fire where the child does, and write both."""
    both = made.directions[made.parent[child]] + made.directions[child]
    length = np.linalg.norm(both.astype(np.float64))
    return _Row(kind, int(child), both / length, made.directions[child] * length)


def _dead(rng: np.random.Generator) -> _Row:
    direction = _unit(rng.normal(size=D_IN))
    return _Row("dead", -1, direction, direction, _DEAD_BIAS)


def _unit(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row.astype(np.float64))
