"""Dashboards that other tools computed, read without a model, a dictionary or torch.

Each format is a module of this package with `NAME`, `TITLE`, `FILES`, `find(folder)`, which returns the place of each
feature (empty if the folder has no such files), and `read(folder, feature, places)`. Files are not trusted: readers
check the sizes and types of everything.
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


@dataclass(frozen=True)
class DashboardSet:
    """The dashboards of one folder in one format."""

    folder: Path
    format: str
    title: str
    places: Mapping[int, object]
    """The place of each feature's data, in a form that only the format's module knows."""
    refused: tuple[str, ...] = ()
    """What else the folder holds that looks like dashboards of another format and cannot be read, and why."""

    @property
    def features(self) -> list[int]:
        return sorted(self.places)

    def read(self, feature: int) -> Dashboard:
        """Read one feature. Raises OutOfRangeError for a missing feature, BadDashboardError for a broken file."""
        if feature not in self.places:
            raise OutOfRangeError("Feature", feature, max(self.places) + 1)
        with _files_that_can_be_read(self.folder):
            return formats()[self.format].read(self.folder, feature, self.places)


@contextmanager
def _files_that_can_be_read(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadDashboardError(
            f"A file in {folder} cannot be read ({str(error)[:200]}). Expected files that are there and that this app "
            "may read; copy the folder again, or see who owns it."
        ) from error


@cache
def formats() -> dict[str, ModuleType]:
    """Return the format modules of this package by name."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def open_dashboards(folder: Path) -> list[DashboardSet]:
    """Return the dashboards of a folder, one set for each format.

    A file that only looks like one format keeps no other from being read. Raises BadDashboardError if nothing is.
    """
    found, refused = {}, []
    for name, module in formats().items():
        try:
            with _files_that_can_be_read(folder):
                found[name] = module.find(folder)
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
