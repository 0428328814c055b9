"""Dashboards that others computed: read as they are, without a model, a dictionary or torch.

One module for each format, found by name; it offers `NAME`, `TITLE`, `find(folder)`, which returns where
each feature lies (empty where the format is not there), and `read(folder, feature, places)`. Files come from
anywhere: everything is bounded and typed on the way in.
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
    """Which part of the activations it was drawn from, in words."""
    tokens: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """Bars as the file gives them: where each stands and how high it is."""

    values: tuple[float, ...]
    heights: tuple[float, ...]


@dataclass(frozen=True)
class Dashboard:
    """What a file says of one feature; what it does not say is None or empty."""

    feature: int
    density: float | None = None
    """Share of tokens on which the feature is active, on the text of the tool that computed it."""
    max_activation: float | None = None
    labels: tuple[str, ...] = ()
    promoted: tuple[tuple[str, float], ...] = ()
    """Tokens with the largest logit weights, largest first."""
    suppressed: tuple[tuple[str, float], ...] = ()
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
    """Where each feature's data lie; what this is, is the format's own business."""

    @property
    def features(self) -> list[int]:
        return sorted(self.places)

    def read(self, feature: int) -> Dashboard:
        """Read one feature. Raises OutOfRangeError for one that is not there, BadDashboardError for a broken file."""
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
    """Return what dashboards a folder holds, a set for each format found in it.

    Raises BadDashboardError where there are none.
    """
    sets = []
    for name, module in formats().items():
        with _files_that_can_be_read(folder):
            places = module.find(folder)
        if places:
            sets.append(DashboardSet(folder, name, module.TITLE, places))
    if not sets:
        known = "; ".join(f"{module.TITLE}: {module.FILES}" for module in formats().values())
        raise BadDashboardError(
            f"{folder} holds no dashboards. Expected one of: {known}. Choose the folder with these."
        )
    return sets
