"""One dictionary's neighbours, with everything that views and exports need."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from core import tables
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, directions
from core.geometry.neighbors import K, Neighbors, nearest_features
from core.maths.degenerate import Degenerate, degenerate
from core.maths.random_directions import Crowding, RandomDirections, crowding, expected_crowding
from core.work.calls import call
from core.work.wanted import Wanted


@dataclass(frozen=True)
class GeometryStudy:
    """Everything that the views of distances between features share, for one side of one dictionary."""

    dictionary: Dictionary
    side: DictionarySide
    neighbors: Neighbors
    """The neighbours of each feature among all others."""
    distinct: Neighbors
    """The neighbours if each direction counts once. Means, nulls and hubs use these."""

    @property
    def directions(self) -> Float[np.ndarray, "d_sae d"]:
        return directions(self.dictionary, self.side)

    def first_with_direction(self, feature: int) -> int:
        """Return the first feature with the direction of this one; it stands for all its copies."""
        copies = self.odd.copies
        return int(copies.firsts(self.dictionary.d_sae)[feature])

    @cached_property
    def odd(self) -> Degenerate:
        """Features without a direction, and copies of an earlier feature."""
        return degenerate(self.directions)

    @property
    def n_features(self) -> int:
        """Number of different directions."""
        return self.dictionary.d_sae - self.distinct.left_out.size

    @cached_property
    def random(self) -> RandomDirections:
        """As many random directions in as many dimensions."""
        return RandomDirections(self.n_features, self.directions.shape[1])

    @cached_property
    def crowding(self) -> Crowding:
        return crowding(self.directions, self.distinct.cos[:, 0])

    @cached_property
    def expected_crowding(self) -> Crowding:
        return expected_crowding(self.random)

    @property
    def warning(self) -> str | None:
        """A sentence about features without a direction and copies; None if there are none."""
        return self.odd.describe(f"{self.side} directions")

    def note(self, *more: str) -> str:
        """Return a line that names the data of a figure."""
        parts = [f"{self.n_features:,} {self.side} directions of width {self.random.d:,}", "exact neighbours"]
        return " · ".join([*parts, *more])

    @cached_property
    def provenance(self) -> dict:
        settings = {"side": self.side, "k": self.neighbors.k}
        return tables.provenance(
            dictionary=self.dictionary, method="exact nearest neighbours by cosine", settings=settings
        )


def wanted_neighbors(
    dictionary: Dictionary, side: DictionarySide = "decoder", *, copies: bool = True, device: Device = CPU
) -> Wanted[Neighbors]:
    """Name the nearest features of a dictionary. Without `copies`, which it must then have, each direction counts once.

    `device` is the one chosen; small work stays on the CPU.
    """
    k, rows = max(1, min(K, dictionary.d_sae - 1)), directions(dictionary, side)
    work = call(_nearest, dictionary, side, k=k, copies=copies, device=device.for_work(rows.shape[0] * rows.size))
    key, what = Neighbors.key(dictionary.sha256, side, k, copies=copies), "features" if copies else "distinct features"
    return Wanted(Neighbors, key, f"Nearest {what} of {dictionary.title}", work)


def _nearest(dictionary: Dictionary, side: DictionarySide, **how: Any) -> Neighbors:
    return nearest_features(directions(dictionary, side), **how)
