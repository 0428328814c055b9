"""A result before it is there: its name, and the work that makes it.

Pages and sweeps ask for the same results. They get each from one function of the room that computes it, so that both
give it the same name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted(Generic[T]):
    """One result that may be stored, running or missing."""

    cls: type[T]
    key: str
    """The name it is stored under."""
    label: str
    """What the work is, in a few words."""
    work: Callable[[Progress], T]

    def get(self, store: ArtifactStore, progress: Progress = SILENT) -> T:
        """Return it from the store, or compute and store it."""
        return store.cached(self.cls, self.key, lambda: self.work(progress))
