"""One dictionary's neighbours with all that is needed to show and to export them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, directions
from core.geometry.neighbors import Neighbors
from core.maths.random_directions import Crowding, RandomDirections, crowding, expected_crowding


@dataclass(frozen=True)
class GeometryStudy:
    """Everything the views of distances between features share for one dictionary and one of its sides."""

    dictionary: Dictionary
    side: DictionarySide
    neighbors: Neighbors

    @property
    def directions(self) -> Float[np.ndarray, "d_sae d"]:
        return directions(self.dictionary, self.side)

    @property
    def n_features(self) -> int:
        """How many features have neighbours."""
        return self.dictionary.d_sae - self.neighbors.left_out.size

    @cached_property
    def random(self) -> RandomDirections:
        """As many random directions in as many dimensions."""
        return RandomDirections(self.n_features, self.directions.shape[1])

    @cached_property
    def crowding(self) -> Crowding:
        return crowding(self.directions, self.neighbors.cos[:, 0])

    @cached_property
    def expected_crowding(self) -> Crowding:
        return expected_crowding(self.random)

    @property
    def warning(self) -> str | None:
        """Which features are left out, and why; None if all have neighbours."""
        ids = self.neighbors.left_out
        if not ids.size:
            return None
        some = ", ".join(map(str, ids[:10])) + (" and others" if ids.size > 10 else "")
        return (
            f"{ids.size:,} of {self.dictionary.d_sae:,} features have {self.side} weights that are NaN or infinite and "
            f"are left out: {some}. The training run or the file is damaged."
        )

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
