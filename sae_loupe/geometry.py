"""Which features have nearly the same direction."""

from dataclasses import dataclass

import pandas as pd

from core.dictionaries.spaces import directions
from core.errors import UnknownNameError
from core.geometry import basis, tables
from core.geometry.neighbors import Neighbors
from core.geometry.study import GeometryStudy, wanted_neighbors
from core.maths.degenerate import degenerate
from core.maths.samples import drawn
from sae_loupe.opened import Opened
from sae_loupe.results import StudyResult
from sae_loupe.words import number

SIDES = ("decoder", "encoder")


@dataclass(frozen=True, eq=False, repr=False)
class NearestFeatures(StudyResult):
    """The nearest features of each by cosine, best first, from core.geometry: `cos` and `idx` are [d_sae, k]."""

    study: GeometryStudy

    @property
    def stats(self) -> Neighbors:
        return self.study.neighbors

    def to_frame(self) -> pd.DataFrame:
        """One row for each direction, with its nearest feature; those that are nearest to many come first.

        Each direction counts once: of features with the same direction, the first stands for all.
        """
        return tables.hubs(self.study.distinct)

    def of(self, feature: int) -> pd.DataFrame:
        """Return one feature's neighbours, best first, and the median cosine at each rank among random directions.

        Columns: neighbor_rank, neighbor, neighbor_cosine, mutual_rank, random_rth_cosine.
        """
        feature = number("Feature", feature, len(self.stats.cos))
        return tables.with_random_ranks(tables.neighbors_of(self.stats, feature), self.study.random)

    def chart(self):
        """Draw for each feature its nearest cosine against the number of features whose nearest it is."""
        from ui.shared.charts import scatter
        from ui.shared.finish import finished

        titles = {"x_title": "Nearest of so many features", "y_title": "Nearest cosine"}
        return finished(
            scatter(drawn(self.to_frame(), "nearest_cosine"), "in_degree", "nearest_cosine", **titles), dark=False
        )


def of(sae: Opened, *, side: str) -> NearestFeatures:
    """Find the nearest features, as the page Geometry does."""
    if side not in SIDES:
        raise UnknownNameError("side", side, SIDES)
    rows = directions(sae.dictionary, side)
    has_copies = bool(len(degenerate(rows).copies.row))
    near = of_distinct(sae, side, copies=True)
    return NearestFeatures(GeometryStudy(sae.dictionary, side, near, of_distinct(sae, side) if has_copies else near))


def coefficients_of(sae: Opened, feature: int, *, layer: int | None) -> pd.DataFrame:
    """Spread a decoder row over the coordinates of its hook, or over a layer's neurons."""
    rows = None if layer is None else basis.neuron_basis(sae.model, layer)
    return basis.coefficients(sae.dictionary, feature, basis=rows)


def of_distinct(sae: Opened, side: str, *, copies: bool = False) -> Neighbors:
    """Return the nearest features; without `copies` each direction counts once."""
    copies = copies or not len(degenerate(directions(sae.dictionary, side)).copies.row)
    return sae.wanted(wanted_neighbors(sae.dictionary, side, copies=copies, device=sae.device()))
