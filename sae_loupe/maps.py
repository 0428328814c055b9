"""A map of all features in two dimensions."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import directions
from core.errors import UnknownNameError
from core.feature_map.layout import Layout, LayoutSettings, layout
from core.maths.samples import drawn
from sae_loupe import geometry
from sae_loupe.opened import Opened
from sae_loupe.results import Result


@dataclass(frozen=True, eq=False, repr=False)
class FeatureMap(Result):
    """The place of every feature on a map: `x`, `y` and `preservation` are [d_sae]; only small distances mean much."""

    dictionary: Dictionary
    stats: Layout

    @property
    def title(self) -> str:
        return self.dictionary.title

    @property
    def note(self) -> str:
        how = ", ".join(f"{name} {value}" for name, value in self.stats.settings)
        kept = f"of the 15 nearest features, {self.stats.mean_preservation:.1%} are among the 15 nearest points"
        return f"{len(self.stats.x):,} features · {how} · {kept}"

    @property
    def provenance(self) -> dict:
        return tables.provenance(dictionary=self.dictionary, method="feature map", settings=dict(self.stats.settings))

    def to_frame(self) -> pd.DataFrame:
        """One row for each feature: feature, x, y, preservation."""
        found = self.stats
        columns = {"x": found.x, "y": found.y, "preservation": found.preservation}
        return pd.DataFrame({"feature": np.arange(len(found.x))} | columns)

    def chart(self, colour: pd.Series | np.ndarray | None = None):
        """Draw one point for each feature; of very many, a sample. `colour` has one number for each feature."""
        import altair as alt

        from ui.shared.charts import ORDERED

        table = self.to_frame() if colour is None else self.to_frame().assign(colour=np.asarray(colour))
        axes = [alt.X("x:Q").axis(None), alt.Y("y:Q").axis(None)]
        chart = alt.Chart(drawn(table.dropna(subset=["x"]), "preservation")).mark_circle(size=14)
        shade = [alt.Color("colour:Q").scale(range=ORDERED).title(None)] if colour is not None else []
        return chart.encode(*axes, *shade, tooltip=["feature:Q", *(["colour:Q"] if shade else [])])


def of(sae: Opened, settings: dict[str, Any]) -> FeatureMap:
    """Draw a map, as the page Feature map does."""
    known = [field.name for field in fields(LayoutSettings)]
    for name in settings:
        if name not in known:
            raise UnknownNameError("setting of a map", name, known)
    chosen = LayoutSettings(**settings)

    def work() -> Layout:
        return layout(directions(sae.dictionary, chosen.side), geometry.of_distinct(sae, chosen.side), chosen)

    return FeatureMap(sae.dictionary, sae.result(Layout, Layout.key(sae.dictionary.sha256, settings=chosen), work))
