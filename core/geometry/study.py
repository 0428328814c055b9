"""One dictionary's neighbours with all that is needed to show and to export them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, directions
from core.geometry.neighbors import Neighbors
from core.maths.degenerate import Degenerate, degenerate
from core.maths.random_directions import Crowding, RandomDirections, crowding, expected_crowding


@dataclass(frozen=True)
class GeometryStudy:
    """Everything the views of distances between features share for one dictionary and one of its sides."""

    dictionary: Dictionary
    side: DictionarySide
    neighbors: Neighbors
    """Of each feature among all others."""
    distinct: Neighbors
    """The same where each direction counts once: what means, nulls and hubs rest on."""

    @property
    def directions(self) -> Float[np.ndarray, "d_sae d"]:
        return directions(self.dictionary, self.side)

    def first_with_direction(self, feature: int) -> int:
        """Return the feature that stands for this one where each direction counts once."""
        copies = self.odd.copies
        return int(copies.firsts(self.dictionary.d_sae)[feature])

    @cached_property
    def odd(self) -> Degenerate:
        """Which features are no data of their own."""
        return degenerate(self.directions)

    @property
    def n_features(self) -> int:
        """How many different directions there are."""
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
        """Which features are no data of their own, and what becomes of them; None if all are."""
        return self.odd.describe(f"{self.side} directions")

    def note(self, *more: str) -> str:
        """Say what a figure was computed from."""
        parts = [f"{self.n_features:,} {self.side} directions of width {self.random.d:,}", "exact neighbours"]
        return " · ".join([*parts, *more])

    @cached_property
    def provenance(self) -> dict:
        settings = {"side": self.side, "k": self.neighbors.k}
        return tables.provenance(
            dictionary=self.dictionary, method="exact nearest neighbours by cosine", settings=settings
        )
