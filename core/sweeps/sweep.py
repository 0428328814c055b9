"""A plan with its store: what the command line, workers and the page open."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.devices.device import CPU, Device, chosen
from core.errors import SweepError
from core.installation import CHECKOUT, cache_folder, importable
from core.sweeps.documents import Documents, DocumentsElsewhere, LocalDocuments, check_version
from core.sweeps.opened import Opened
from core.sweeps.plan import Plan
from core.sweeps.run import Worker
from core.sweeps.state import keep_plan, read_plan, stored_plans
from core.work.artifacts import ArtifactStore
from core.work.elsewhere import open_results
from core.work.progress import SILENT, Progress

COMMAND = shlex.join(["python", "-m", importable("core.sweeps")] if CHECKOUT else ["sae-loupe", "sweep"])
"""How the command line begins."""


@dataclass(frozen=True)
class Place:
    """Where results and plans are."""

    address: str
    """As a person writes it; empty for the app's own folder."""
    cache: Path
    """The app's folder on this machine."""
    store: ArtifactStore
    documents: Documents

    def plans(self) -> Iterator[tuple[str, Plan]]:
        """Yield all stored plans that this version can read."""
        for name in stored_plans(self.documents):
            with suppress(SweepError):
                yield name, read_plan(name, self.documents)


def place_at(address: str, cache: Path, *, check: bool = True, write: bool = True) -> Place:
    """Open the place that an address names, and see that it can be used. Raises StoreError, SweepError.

    Without `write` nothing is written, as for one who only looks; without `check` nothing is read either.
    """
    store, elsewhere = open_results(address, cache)
    place = Place(address, cache, store, DocumentsElsewhere(elsewhere) if elsewhere else LocalDocuments(store.root))
    if check:
        check_version(place.documents, write=write)
    return place


@dataclass(frozen=True)
class Sweep:
    """A plan in its place."""

    plan: Plan
    place: Place

    @classmethod
    def keep(cls, plan: Plan, place: Place) -> "Sweep":
        """Store a new plan."""
        keep_plan(plan, place.documents)
        return cls(plan, place)

    @classmethod
    def stored(cls, name: str, place: Place) -> "Sweep":
        """Open a plan by its name. Raises SweepError."""
        return cls(read_plan(name, place.documents), place)

    def worker(self, progress: Progress = SILENT) -> Worker:
        """Return what does tasks in this process. Raises SweepError where this machine lacks the plan's device."""
        plan, place = self.plan, self.place
        workspace = plan.workspace(place.cache)
        opened = Opened(workspace, place.store, self._device(), plan.download)
        return Worker(plan, place.store, place.documents, opened, progress)

    def command(self, verb: str) -> str:
        """Return a command line that a person may copy."""
        where = ["--store", self.place.address] if self.place.address else []
        if self.place.cache != cache_folder():
            where += ["--cache", str(self.place.cache)]
        return f"{COMMAND} {shlex.join([verb, self.plan.name, *where])}"

    def _device(self) -> Device:
        planned = self.plan.computing
        if planned == CPU:
            return CPU
        here = chosen(self.plan.device)
        if here != planned:
            raise SweepError(
                f"The plan was made for {planned.name}, and {here.setting} of this machine is {here.name}. Expected "
                "that card, because it is part of the names of results; run it there, or make the plan again here."
            )
        return here
