"""The numbers of a whole dictionary: how well it reconstructs, how crowded it is, how many features follow position."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core import tables
from core.dictionaries.config import check_reconstructs
from core.errors import LoupeError
from sae_loupe import geometry, positions
from sae_loupe.numbers import SERVER, address, declared, plain_cell
from sae_loupe.opened import Opened
from sae_loupe.results import Result
from sae_loupe.token_pass import TokenPass


@dataclass(frozen=True, eq=False)
class _Found:
    """Some numbers of one dictionary, how many of what they rest on, and where they are from."""

    values: Mapping[str, float]
    n: int
    of: str
    provenance: Mapping[str, object]


@dataclass(frozen=True)
class _Group:
    title: str
    page: str
    tab: str
    make: Callable[[Opened, Callable[[], TokenPass]], _Found]


def _on_text(sae: Opened, passed: Callable[[], TokenPass]) -> _Found:
    check_reconstructs(sae.dictionary.config, sae.dictionary.title)
    found = passed()
    return _Found(found.totals, found.n_tokens, "tokens", found.provenance)


def _positional(sae: Opened, _: Callable) -> _Found:
    found = positions.of(sae, n_pos=None, n_rows=256)
    of = "rows of text" if found.stats.method == "corpus" else "tokens"
    return _Found(
        {"n_positional": len(found.positional)}, found.stats.n_samples, f"{of} at each position", found.provenance
    )


def _crowding(sae: Opened, _: Callable) -> _Found:
    study = geometry.of(sae, side="decoder").study
    return _Found(vars(study.crowding), study.n_features, "directions", study.provenance)


GROUPS = (
    _Group("On text", "overview", "Facts and health", _on_text),
    _Group("Positions", "positions", "Heatmap", _positional),
    _Group("Directions", "geometry", "Distances", _crowding),
)


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Result):
    """The numbers of a whole dictionary. `missing` says by group what cannot be had of it here, and why."""

    sae: Opened
    groups: Mapping[_Group, _Found]
    missing: Mapping[str, str]

    @property
    def title(self) -> str:
        return self.sae.dictionary.title

    @property
    def note(self) -> str:
        return " · ".join(f"{group.title}: {found.n:,} {found.of}" for group, found in self.groups.items())

    @property
    def provenance(self) -> dict:
        whole = tables.provenance(dictionary=self.sae.dictionary, method="summary", settings={})
        return whole | {"groups": {group.title: dict(found.provenance) for group, found in self.groups.items()}}

    def to_frame(self, *, server: str = SERVER) -> pd.DataFrame:
        """One row for each number: column, value, statistic, title, unit, formula, n, of, group, url."""
        rows = [
            [name, plain_cell(value), *declared(name), found.n, found.of, group.title, self._url(group, server)]
            for group, found in self.groups.items()
            for name, value in found.values.items()
        ]
        columns = ["column", "value", "statistic", "title", "unit", "formula", "n", "of", "group", "url"]
        return pd.DataFrame(rows, columns=columns, dtype=object).astype({"n": int})

    def _url(self, group: _Group, server: str) -> str | None:
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
    found, missing = {}, {}
    for group in GROUPS:
        try:
            found[group] = group.make(sae, passed)
        except LoupeError as error:
            missing[group.title] = str(error)
    return Summary(sae, found, missing)
