"""The numbers of a whole dictionary: how well it reconstructs, how crowded it is, how many features follow position."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.dictionaries.config import check_reconstructs
from sae_loupe import geometry, positions
from sae_loupe.numbers import SERVER, Group, Grouped, Numbers, address, computed, declared, plain_cell
from sae_loupe.opened import Opened
from sae_loupe.token_pass import TokenPass


def _on_text(sae: Opened, passed: Callable[[], TokenPass]) -> Numbers:
    check_reconstructs(sae.dictionary.config, sae.dictionary.title)
    found = passed()
    return Numbers(found.totals, found.n_tokens, "tokens", found.provenance)


def _positional(sae: Opened, _: Callable) -> Numbers:
    found = positions.of(sae, n_pos=None, n_rows=256)
    of = "rows of text" if found.stats.method == "corpus" else "tokens"
    return Numbers(
        {"n_positional": len(found.positional)}, found.stats.n_samples, f"{of} at each position", found.provenance
    )


def _crowding(sae: Opened, _: Callable) -> Numbers:
    study = geometry.of(sae, side="decoder").study
    return Numbers(vars(study.crowding), study.n_features, "directions", study.provenance)


GROUPS = (
    Group("On text", "overview", "Facts and health", _on_text),
    Group("Positions", "positions", "Heatmap", _positional),
    Group("Directions", "geometry", "Distances", _crowding),
)


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Grouped):
    """The numbers of a whole dictionary. `missing` says by group what cannot be had of it here, and why."""

    sae: Opened
    groups: Mapping[Group, Numbers]
    missing: Mapping[str, str]

    @property
    def title(self) -> str:
        return self.sae.dictionary.title

    @property
    def note(self) -> str:
        return " · ".join(self.counted())

    @property
    def provenance(self) -> dict:
        return self.sources("summary")

    def to_frame(self, *, server: str = SERVER) -> pd.DataFrame:
        """One row for each number: column, value, statistic, title, unit, formula, n, of, group, url."""
        rows = [
            [name, plain_cell(value), *declared(name), found.n, found.of, group.title, self._url(group, server)]
            for group, found in self.groups.items()
            for name, value in found.values.items()
        ]
        columns = ["column", "value", "statistic", "title", "unit", "formula", "n", "of", "group", "url"]
        return pd.DataFrame(rows, columns=columns, dtype=object).astype({"n": int})

    def _url(self, group: Group, server: str) -> str | None:
        return address(self.sae, group.page, group.tab, server=server)

    def chart(self):
        """Draw the nearest cosine of every feature."""
        from ui.shared.charts import histogram
        from ui.shared.finish import finished

        nearest = geometry.of(self.sae, side="decoder").to_frame()
        table = nearest[np.isfinite(nearest["nearest_cosine"])]
        return finished(histogram(table, "nearest_cosine", "Nearest cosine"), dark=False)


def of(sae: Opened, passed: Callable[[], TokenPass]) -> Summary:
    """Compute what can be had of a dictionary here."""
    return Summary(sae, *computed(sae, GROUPS, passed))
