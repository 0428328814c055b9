"""All numbers that pages have of each feature, with n, formula, where they are from, and the page that shows them.

A group here is what one page computes; ui/studies/feature_tables.py lists the same for the page Overview.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from core import catalogue, tables
from core.activations.quantiles import DECILES
from core.activations.tables import median_table
from core.catalogue import ALIASES, STATISTICS
from core.errors import LoupeError, UnknownNameError
from core.geometry.basis import basis_alignment
from core.overview.tables import weight_table
from sae_loupe import enrichment, geometry, logits, positions
from sae_loupe.opened import Opened
from sae_loupe.results import Result
from sae_loupe.token_pass import TokenPass

SERVER = "http://127.0.0.1:8501"
"""Where the app listens unless it is told otherwise."""


V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Numbers(Generic[V]):
    """Numbers, how many of what they rest on, and where they are from.

    Of features, `values` is a table with one row each; of a whole dictionary, a number by its name.
    """

    values: V
    n: int
    of: str
    provenance: Mapping[str, object]


@dataclass(frozen=True)
class Group(Generic[V]):
    """What one page computes. `make` gets a dictionary and its token pass, and may raise LoupeError."""

    title: str
    page: str
    """The page's name in the address."""
    tab: str
    make: Callable[[Opened, Callable[[], TokenPass]], Numbers[V]]


def _weights(sae: Opened, _: Callable) -> Numbers:
    source = tables.provenance(dictionary=sae.dictionary, method="from the weights", settings={})
    return Numbers(weight_table(sae.dictionary), sae.dictionary.d_in, "coordinates", source)


def _basis(sae: Opened, _: Callable) -> Numbers:
    source = tables.provenance(dictionary=sae.dictionary, method="coefficients of decoder rows", settings={})
    found = sae.held("basis", lambda: basis_alignment(sae.dictionary))
    return Numbers(found.to_frame(), found.n_coordinates, "coordinates", source)


def _positions(sae: Opened, _: Callable) -> Numbers:
    found = positions.of(sae, n_pos=None, n_rows=256)
    what = "rows of text" if found.stats.method == "corpus" else "tokens"
    return Numbers(found.to_frame(), found.stats.n_samples, f"{what} at each position", found.provenance)


def _logits(sae: Opened, _: Callable) -> Numbers:
    found = logits.of(sae)
    return Numbers(found.to_frame(), found.stats.n_tokens, "tokens", found.provenance)


def _enrichment(sae: Opened, _: Callable) -> Numbers:
    found = enrichment.of(sae, None, {})
    return Numbers(found.to_frame(), found.stats.n_tests, "pairs of feature and set", found.provenance)


def _neighbors(sae: Opened, _: Callable) -> Numbers:
    found = geometry.of(sae, side="decoder")
    return Numbers(found.to_frame(), found.study.n_features, "directions", found.provenance)


def _activations(sae: Opened, passed: Callable[[], TokenPass]) -> Numbers:
    found = passed()
    return Numbers(found.to_frame(), found.n_tokens, "tokens", found.provenance)


def _medians(_: Opened, passed: Callable[[], TokenPass]) -> Numbers:
    found = passed()
    return Numbers(median_table(found.quantiles(), DECILES), found.n_tokens, "tokens", found.provenance)


GROUPS = (
    Group("Weights", "overview", "Norms and biases", _weights),
    Group("Basis", "overview", "Basis", _basis),
    Group("Position and token", "positions", "Feature by position", _positions),
    Group("Logit weights", "logit_weights", "Weights of one feature", _logits),
    Group("Token sets", "logit_weights", "Enrichment", _enrichment),
    Group("Neighbours", "geometry", "Nearest features", _neighbors),
    Group("Activations on text", "activations", "Values of one feature", _activations),
    Group("Medians", "activations", "Deciles", _medians),
)


def address(
    sae: Opened, page: str, tab: str = "", feature: int | None = None, *, server: str = SERVER, **more: str | float
) -> str | None:
    """Return the address of a page on this dictionary; None for a dictionary in memory, which no app has.

    `more` are names and values of the address.
    """
    id = sae.dictionary.id
    if id.startswith("memory/"):
        return None
    query = {"sae": id} | ({"feature": feature} if feature is not None else {}) | ({"tab": tab} if tab else {}) | more
    return f"{server.rstrip('/')}/{page}?{urlencode(query)}"


def chosen(names: Sequence[str] | None) -> tuple[Group, ...]:
    """Return groups by their titles, by default all. Raises UnknownNameError."""
    known = {group.title: group for group in GROUPS}
    for name in names or ():
        if name not in known:
            raise UnknownNameError("group of numbers", name, list(known))
    return GROUPS if names is None else tuple(known[name] for name in names)


def computed(
    sae: Opened, groups: Iterable[Group], passed: Callable[[], TokenPass]
) -> tuple[dict[Group, Numbers], dict[str, str]]:
    """Compute groups; return them, and by title why others cannot be had of this dictionary here."""
    found, missing = {}, {}
    for group in groups:
        try:
            found[group] = group.make(sae, passed)
        except LoupeError as error:
            missing[group.title] = str(error)
    return found, missing


class Grouped(Result):
    """A result of several groups, some of which cannot be had here."""

    sae: Opened
    groups: Mapping[Group, Numbers]
    missing: Mapping[str, str]
    """Why a group cannot be had, by its title."""

    def counted(self) -> list[str]:
        """Say of each group how many of what its numbers rest on."""
        return [f"{group.title}: {found.n:,} {found.of}" for group, found in self.groups.items()]

    def sources(self, method: str, **settings: object) -> dict:
        """Return where the whole is from, and each group."""
        whole = tables.provenance(dictionary=self.sae.dictionary, method=method, settings=settings)
        return whole | {"groups": {group.title: dict(found.provenance) for group, found in self.groups.items()}}


@dataclass(frozen=True, eq=False, repr=False)
class FeatureTable(Grouped):
    """All numbers of all features, side by side. `missing` says by group what cannot be had, and why."""

    sae: Opened
    groups: Mapping[Group, Numbers]
    missing: Mapping[str, str]

    @property
    def title(self) -> str:
        return self.sae.dictionary.title

    @property
    def note(self) -> str:
        return " · ".join([f"{self.sae.dictionary.d_sae:,} features", *self.counted()])

    @property
    def provenance(self) -> dict:
        return self.sources("all statistics")

    def to_frame(self) -> pd.DataFrame:
        """One row for each feature, in order; a column that two groups have is that of the first."""
        whole = pd.DataFrame({"feature": np.arange(self.sae.dictionary.d_sae)})
        for found in self.groups.values():
            new = [name for name in found.values.columns if name not in whole.columns]
            whole = whole.merge(found.values[["feature", *new]], on="feature", how="left", validate="one_to_one")
        return whole

    def columns(self, *, server: str = SERVER) -> pd.DataFrame:
        """Return one row for each column: column, statistic, title, unit, formula, n, of, group, url."""
        seen, rows = {"feature"}, []
        for group, found in self.groups.items():
            for name in found.values.columns:
                if name not in seen:
                    seen.add(name)
                    url = address(self.sae, group.page, group.tab, server=server)
                    rows.append([name, *declared(name), found.n, found.of, group.title, url])
        return pd.DataFrame(rows, columns=["column", *_DECLARED, "n", "of", "group", "url"])

    def chart(self, x: str = "encoder_norm", y: str = "decoder_bias_product"):
        """Draw two columns against each other; of very many features, a sample."""
        from core.maths.samples import drawn
        from ui.shared.charts import scatter
        from ui.shared.finish import finished

        table = self.to_frame()
        for name in (x, y):
            if name not in table:
                raise UnknownNameError("column", name, list(table.columns))
        titles = {"x_title": declared(x)[1] or x, "y_title": declared(y)[1] or y}
        return finished(scatter(drawn(table.dropna(subset=[x, y]), y), x, y, **titles), dark=False)


_DECLARED = ("statistic", "title", "unit", "formula")


def declared(column: str) -> tuple[str | None, ...]:
    """Return a column's name in the catalogue, title, unit and formula; None for those of text."""
    item = STATISTICS.get(ALIASES.get(column, column))
    return (item.name, item.title, item.unit, item.formula) if item else (None,) * len(_DECLARED)


@dataclass(frozen=True, eq=False, repr=False)
class FeatureReport(Grouped):
    """All numbers of one feature, and its lists: neighbours, tokens, token sets, contexts, its curve by position."""

    sae: Opened
    feature: int
    groups: Mapping[Group, Numbers]
    missing: Mapping[str, str]
    lists: Mapping[str, pd.DataFrame]
    """Tables by name: promoted, suppressed, neighbors, token_sets, by_position, examples, tokens."""

    @property
    def title(self) -> str:
        return f"feature {self.feature} of {self.sae.dictionary.title}"

    @property
    def note(self) -> str:
        left = [f"missing: {', '.join(self.missing)}"] if self.missing else []
        return " · ".join([*self.counted(), f"lists: {', '.join(self.lists)}", *left])

    @property
    def provenance(self) -> dict:
        return self.sources("report of a feature", feature=self.feature)

    def to_frame(self, *, server: str = SERVER) -> pd.DataFrame:
        """One row for each number: column, value, statistic, title, unit, formula, n, of, group, url."""
        seen, rows = {"feature"}, []
        for group, found in self.groups.items():
            own = found.values[found.values["feature"] == self.feature]
            for name in own.columns if len(own) else ():
                if name not in seen:
                    seen.add(name)
                    url = address(self.sae, group.page, group.tab, self.feature, server=server)
                    rows.append(
                        [name, plain_cell(own[name].iloc[0]), *declared(name), found.n, found.of, group.title, url]
                    )
        columns = ["column", "value", *_DECLARED, "n", "of", "group", "url"]
        frame = pd.DataFrame(rows, columns=columns, dtype=object)  # whole numbers stay whole among others
        return frame.astype({"n": int})

    def chart(self):
        """Draw its mean activation by position."""
        from ui.positions.charts import curves
        from ui.shared.finish import finished

        if "by_position" not in self.lists:
            raise UnknownNameError("list of this report", "by_position", list(self.lists))
        table = self.lists["by_position"]
        size = {"n_pos": len(table), "context_size": self.sae.dictionary.config.context_size or len(table)}
        title = catalogue.statistic("mean_activation").title
        return finished(curves(table, **size, y_title=title), dark=False)


def plain_cell(value: object) -> object:
    """Return a cell as Python has it: numpy's and pandas' numbers as int, float, bool; what is missing as None."""
    if value is None or value is pd.NA:
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def lists_of(
    sae: Opened, feature: int, passed: Callable[[], TokenPass], titles: Container[str]
) -> dict[str, pd.DataFrame]:
    """Return the lists of one feature that belong to these groups."""
    makes = {
        "promoted": ("Logit weights", lambda: logits.of(sae).tokens(feature)),
        "suppressed": ("Logit weights", lambda: logits.of(sae).tokens(feature, "bottom")),
        "neighbors": ("Neighbours", lambda: geometry.of(sae, side="decoder").of(feature).head(20)),
        "token_sets": ("Token sets", lambda: enrichment.of(sae, None, {}).of_feature(feature).head(20)),
        "by_position": ("Position and token", lambda: positions.of(sae, n_pos=None, n_rows=256).curves(feature)),
        "examples": ("Activations on text", lambda: passed().examples(feature)),
        "tokens": ("Activations on text", lambda: passed().tokens(feature).head(50)),
    }
    return {name: make() for name, (title, make) in makes.items() if title in titles}
