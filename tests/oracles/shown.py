"""Hold a table that a page shows to the oracles of its columns, row by row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from core.catalogue import ALIASES
from core.oracles.found import all_oracles, needs

ORACLES = all_oracles()
CLOSE = 1e-5
"""Most float32 results are right to this share of their column's largest value."""
ROUNDING = 1e-7
"""What is 0 but for rounding may be shown as this."""


@dataclass(frozen=True)
class Shown:
    """A table that core or ui built for a page, and what its oracles are given."""

    what: str
    table: pd.DataFrame
    given: Mapping[str, object]
    """What is the same for all rows: raw arrays and settings, by the oracles' parameters."""
    rows: Mapping[str, str] = field(default_factory=lambda: {"feature": "feature"})
    """What differs: the oracles' parameters, and the columns that hold them. The column '#' is the row's number."""
    carries: Mapping[str, str] = field(default_factory=dict)
    """Columns that carry another statistic than the one of their name."""
    instead: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """What the oracle of one column is given instead, such as the other side."""
    not_held: Mapping[str, str] = field(default_factory=dict)
    """Columns without an oracle here, and why."""
    close: Mapping[str, float] = field(default_factory=dict)
    """Tolerances of columns that need their own, in units of the column's largest value."""

    @property
    def columns(self) -> list[str]:
        """The columns that an oracle holds."""
        keys = set(self.rows.values())
        known = [name for name in self.table if self.statistic(name) in ORACLES and name not in self.not_held]
        return [name for name in known if name not in keys or name in self.carries]

    @property
    def loose(self) -> list[str]:
        """Columns that are neither held, nor a row's name, nor excused."""
        excused = {*self.columns, *self.rows.values(), *self.not_held}
        return [name for name in self.table if name not in excused]

    def statistic(self, column: str) -> str:
        """Return the name in the catalogue of what a column carries."""
        return self.carries.get(column, ALIASES.get(column, column))

    @cached_property
    def expected(self) -> dict[str, list]:
        """What the oracles say for every row, by column."""
        return {column: self.by_oracle(column) for column in self.columns}

    def by_oracle(self, column: str) -> list:
        """Return what one column's oracle says for every row."""
        oracle, given = ORACLES[self.statistic(column)], {**self.given, **self.instead.get(column, {})}
        numbered = self.table.assign(**{"#": range(len(self.table))})
        wanted = {name: self.rows[name] for name in needs(oracle) if name in self.rows}
        fixed = {name: given[name] for name in needs(oracle, given) if name not in wanted}
        records = numbered[list(wanted.values())].to_dict("records") if wanted else [{}] * len(numbered)
        return [oracle(**fixed, **{name: row[place] for name, place in wanted.items()}) for row in records]

    def wrong(self, column: str, values: pd.Series | None = None) -> list[str]:
        """Say in which rows a column, or the `values` in its place, is not what its oracle says."""
        values = self.table[column] if values is None else values
        expected = self.expected[column]
        sizes = [abs(v) for v in expected if is_number(v) and np.isfinite(v)]
        allowed = self.close.get(column, CLOSE) * max(sizes, default=0) + ROUNDING
        return [
            f"{self.what}, row {row}, {column}: {got!r} is shown, {want!r} is right"
            for row, (got, want) in enumerate(zip(values.tolist(), expected, strict=True))
            if not same(got, want, allowed)
        ]


@dataclass(frozen=True)
class Planted:
    """A value that is known because the case was made so."""

    statistic: str
    value: object
    why: str
    """How it was planted."""
    at: Mapping[str, object] = field(default_factory=dict)
    """The row: its columns and their values. Without any, all rows."""
    what: str = ""
    """The table, if several carry the statistic."""


@dataclass(frozen=True)
class Known:
    """A value that an oracle must give for inputs so small that a person can tell it."""

    statistic: str
    value: object
    why: str
    given: Mapping[str, object]


def known(statistic: str, value: object, why: str, **given: object) -> Known:
    return Known(statistic, value, why, given)


@dataclass(frozen=True)
class Case:
    """A small planted dictionary, model or text, the tables shown of it, and what is known of them."""

    shown: list[Shown]
    planted: list[Planted | Known]

    def found(self, truth: Planted | Known) -> list[tuple[object, ...]]:
        """Return what is shown where a value was planted, with what its oracle says; for a Known the latter alone."""
        if isinstance(truth, Known):
            return [(ORACLES[truth.statistic](**truth.given),)]
        pairs = []
        for shown in self.shown:
            for column in shown.columns:
                if shown.statistic(column) == truth.statistic and truth.what in ("", shown.what):
                    here = np.ones(len(shown.table), bool)
                    for name, value in truth.at.items():
                        here &= (shown.table[name] == value).to_numpy() if name in shown.table else False
                    pairs += [(shown.table[column].iloc[i], shown.expected[column][i]) for i in np.flatnonzero(here)]
        return pairs


MakeCase = Callable[..., Case]


def is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def same(got: object, want: object, allowed: float) -> bool:
    """Whether two values are equal: numbers within what is allowed, all else exactly. All missing values are equal."""
    missing = [value is None or value is pd.NA or (is_number(value) and np.isnan(value)) for value in (got, want)]
    if any(missing):
        return all(missing)
    if is_number(got) and is_number(want):
        whole = isinstance(want, int | np.integer) and isinstance(got, int | np.integer)
        return got == want if whole else got == want or bool(abs(got - want) <= allowed)
    return bool(got == want)


def disturbed(values: pd.Series, close: float = CLOSE) -> pd.Series:
    """Return a column with every value a little wrong, by more than is allowed; with numbers if it has none."""
    if values.isna().all():
        return pd.Series(np.zeros(len(values)), index=values.index)
    plain, much = values.astype(object), 1 + max(0.01, 4 * close)
    if all(isinstance(v, int | np.integer) or v is pd.NA or v is None for v in plain):
        return plain.map(lambda v: v if v is pd.NA or v is None else v + 1)
    return plain.map(lambda v: v * much + 0.001 if is_number(v) else f"{v}?")
