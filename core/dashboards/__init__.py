"""Dashboards that other tools computed, read without a model, a dictionary or torch.

Each format is a module of this package with `NAME`, `TITLE`, `FILES`, `find(folder, skipped)`, which returns the place
of each feature (empty if the folder has no such files) and adds an error to `skipped` for each damaged file, and
`read(folder, feature, places)`. Files are not trusted: readers check the sizes and types of everything.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from core.errors import LoupeError, OutOfRangeError


class BadDashboardError(LoupeError):
    """A folder or file holds no dashboards that can be read."""


@dataclass(frozen=True)
class Example:
    """A piece of text with the feature's activation on each token."""

    group: str
    """The range of activations that it was drawn from, in words."""
    tokens: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """Bars as the file gives them: their places on the axis (`values`) and heights."""

    values: tuple[float, ...]
    heights: tuple[float, ...]


@dataclass(frozen=True)
class Dashboard:
    """The content of a file about one feature. Fields that the file lacks are None or empty."""

    feature: int
    density: float | None = None
    """Share of tokens on which the feature is active, in the text that the other tool read."""
    max_activation: float | None = None
    labels: tuple[str, ...] = ()
    promoted: tuple[tuple[str, float], ...] = ()
    """Tokens with the largest logit weights, largest first."""
    suppressed: tuple[tuple[str, float], ...] = ()
    """Tokens with the smallest logit weights, smallest first."""
    activations: Histogram | None = None
    logits: Histogram | None = None
    examples: tuple[Example, ...] = ()
    unread: tuple[str, ...] = ()
    """Why files that may say more of the feature cannot be read, one sentence or more each."""


@dataclass(frozen=True)
class DashboardSet:
    """The dashboards of one folder in one format."""

    folder: Path
    format: str
    title: str
    places: Mapping[int, object]
    """The place of each feature's data, in a form that only the format's module knows."""
    refused: tuple[str, ...] = ()
    """Why other files of the folder that look like dashboards, in this format or another one, cannot be read."""

    @property
    def features(self) -> list[int]:
        return sorted(self.places)

    def read(self, feature: int) -> Dashboard:
        """Read one feature. Raises OutOfRangeError for a missing feature, BadDashboardError for a broken file."""
        if feature not in self.places:
            raise OutOfRangeError("Feature", feature, max(self.places) + 1)
        with readable(f"A file in {self.folder}"):
            return formats()[self.format].read(self.folder, feature, self.places)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Raise BadDashboardError, which begins with `what`, where the system refuses a file."""
    try:
        yield
    except OSError as error:
        raise BadDashboardError(
            f"{what} cannot be read ({str(error)[:200]}). Expected files that are there and that this app "
            "may read; copy the folder again, or see who owns it."
        ) from error


@cache
def formats() -> dict[str, ModuleType]:
    """Return the format modules of this package by name."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def open_dashboards(folder: Path) -> list[DashboardSet]:
    """Return the dashboards of a folder, one set for each format.

    A damaged file, or one that only looks like one format, keeps no other from being read. Raises BadDashboardError if
    nothing is read.
    """
    found: dict[str, Mapping[int, object]] = {}
    refused: list[BadDashboardError] = []
    for name, module in formats().items():
        try:
            with readable(f"A file in {folder}"):
                found[name] = module.find(folder, refused)
        except BadDashboardError as error:
            refused.append(error)
    said = tuple(map(str, refused))
    sets = [DashboardSet(folder, name, formats()[name].TITLE, at, said) for name, at in found.items() if at]
    if not sets and refused:
        raise refused[0]
    if not sets:
        known = "; ".join(f"{module.TITLE}: {module.FILES}" for module in formats().values())
        raise BadDashboardError(
            f"{folder} holds no dashboards. Expected one of: {known}. Choose the folder with these."
        )
    return sets
