"""Degenerate rows: the one place that defines them, for directions of features and of positions.

A row of length 0, or one that holds NaN or infinity, has no direction. It has no cosine with any row, is no row's
neighbour, and appears on no map and in no cluster, mean, null or match; its numbers are NaN, its neighbour is -1. A
copy has exactly the bits of an earlier row. It is a neighbour like any other, at cosine 1, and has the same place on a
map; but both are one direction, which counts once in means, nulls, hubs, principal components, maps and clusters.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from core.maths.equal_rows import Copies, copies
from core.maths.unit_rows import inverse_lengths

_NAMED = 10
"""The most rows that a message names."""


@dataclass(frozen=True)
class Degenerate:
    """Rows that are no data of their own."""

    n: int
    """Number of all rows."""
    zero: Int[np.ndarray, " zero"]
    damaged: Int[np.ndarray, " damaged"]
    """With NaN or infinity."""
    copies: Copies
    """Of rows that have a direction."""

    @property
    def distinct(self) -> Bool[np.ndarray, " n"]:
        """Mask of the rows that count: those with a direction that no earlier row has."""
        counts = np.ones(self.n, bool)
        counts[np.concatenate([self.zero, self.damaged, self.copies.row])] = False
        return counts

    def counts(self, thing: str) -> list[str]:
        """Say in a few words how many rows of each kind there are; leave out kinds without rows."""
        kinds = (("all zero", self.zero), ("not finite", self.damaged), ("equal to another", self.copies.row))
        return [f"{len(rows):,} {thing} {kind}" for kind, rows in kinds if len(rows)]

    def describe(self, things: str) -> str | None:
        """Say how many rows of each kind there are and how they are treated, or None. `things` names the rows."""
        kinds = (
            (self.zero, "are zero and point nowhere", "They have no neighbours, and are in no mean, null or map."),
            (self.damaged, "are NaN or infinite", "They are left out: the training run or the file is damaged."),
            (self.copies.row, "equal an earlier one to the last bit", "Each such direction counts once."),
        )
        present = [kind for kind in kinds if len(kind[0])]
        said = [f"{len(rows):,} of {self.n:,} {things} {what}: {_some(rows)}. {then}" for rows, what, then in present]
        return " ".join(said) or None


def degenerate(rows: Float[np.ndarray, "n d"]) -> Degenerate:
    """Find the degenerate rows."""
    scale = inverse_lengths(rows)
    equal, directed = copies(rows), scale > 0
    kept = directed[equal.row]
    return Degenerate(
        len(rows),
        zero=np.flatnonzero(scale == 0),
        damaged=np.flatnonzero(np.isnan(scale)),
        copies=Copies(equal.row[kept], equal.of[kept]),
    )


def with_direction(rows: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " directed"]:
    """Return the numbers of the rows that have a direction, copies included."""
    return np.flatnonzero(inverse_lengths(rows) > 0)


def _some(rows: Int[np.ndarray, " row"]) -> str:
    return ", ".join(map(str, rows[:_NAMED].tolist())) + (" and others" if len(rows) > _NAMED else "")
