"""What an analysis returns: arrays with their shapes, a table, a chart, and where the numbers are from."""

from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np
import pandas as pd

from core import tables

MOST_MARKS = 5_000
"""The most marks of a chart that Altair shows in a notebook."""


class Result:
    """The result of one call.

    `to_frame()` is its table and `chart()` its chart. Its arrays are attributes; the repr lists them with their shapes.
    `note` says n and settings, `provenance` the hashes of what it was computed from, and `definitions` the formula of
    each column.
    """

    title: str
    """What it is of."""
    stats: Any
    """The dataclass of arrays that core computed; missing where there is none."""

    @property
    def note(self) -> str:
        """How many tokens and features were counted, and with which settings."""
        raise NotImplementedError

    @property
    def provenance(self) -> dict:
        """What it was computed from: content hashes, method, settings."""
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """Return its table."""
        raise NotImplementedError

    def chart(self):
        """Return its chart, an Altair object."""
        raise NotImplementedError

    @property
    def definitions(self) -> dict[str, str]:
        """Title, unit and formula of the columns of `to_frame()`, as in docs/statistics.md."""
        return tables.definitions(self.to_frame())

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by their names, as the repr lists them."""
        stats = getattr(self, "stats", None)
        values = {field.name: getattr(stats, field.name) for field in fields(stats)} if stats is not None else {}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def __getattr__(self, name: str) -> Any:
        # Only what is no attribute of its own comes here.
        if name.startswith("_") or name == "stats":
            raise AttributeError(name)
        stats = getattr(self, "stats", None)
        if hasattr(stats, name):
            return getattr(stats, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}. {_names(self)}")

    def __dir__(self) -> list[str]:
        own = {name for name in super().__dir__() if not name.startswith("_") or name.startswith("__")}
        return sorted(own | set(self.arrays))

    def __repr__(self) -> str:
        table = self.to_frame()
        lines = [f"{type(self).__name__} of {self.title}", f"  {self.note}"]
        by_shape: dict[str, list[str]] = {}
        for name, array in self.arrays.items():
            by_shape.setdefault(self._shape(name, array), []).append(name)
        lines += [f"  {', '.join(names)}: {shape}" for shape, names in by_shape.items()]
        lines.append(f"  to_frame(): {len(table):,} rows of {', '.join(map(str, table.columns))}")
        return "\n".join(lines)

    def _shape(self, name: str, array: np.ndarray) -> str:
        """Return dtype and shape with the names of the axes, as the class of the arrays declares them."""
        hint = get_type_hints(type(self.stats)).get(name)
        axes = str(getattr(hint, "dim_str", "")).split()
        if len(axes) != array.ndim:
            axes = [""] * array.ndim
        return (
            f"{array.dtype} [{', '.join(f'{axis} {n:,}'.strip() for axis, n in zip(axes, array.shape, strict=True))}]"
        )


class StudyResult(Result):
    """A result that shows the study which the app's views of it share."""

    study: Any

    @property
    def title(self) -> str:
        return self.study.dictionary.title

    @property
    def stats(self) -> Any:
        return self.study.stats

    @property
    def note(self) -> str:
        return self.study.note()

    @property
    def provenance(self) -> dict:
        return self.study.provenance


def _names(result: Result) -> str:
    return f"It has {', '.join(name for name in dir(result) if not name.startswith('_'))}."
