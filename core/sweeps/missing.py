"""Which sweeps make results that are not there yet, for pages that lack them."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from core.sweeps.plan import Task
from core.sweeps.state import progress_of, summary
from core.sweeps.sweep import Place, Sweep


@dataclass(frozen=True)
class Coming:
    """A sweep, and those of its tasks that make results which are looked for."""

    sweep: Sweep
    tasks: tuple[Task, ...]

    @property
    def summary(self) -> str:
        """Say in which state these tasks are."""
        place = self.sweep.place
        return summary(progress_of(replace(self.sweep.plan, tasks=self.tasks), place.store, place.documents))


def coming(keys: Collection[str], place: Place) -> list[Coming]:
    """Return the stored sweeps that make results with these keys; each result counts for the first that makes it."""
    left, found = set(keys), []
    for _, plan in place.plans():
        tasks = tuple(task for task in plan.tasks if not task.rows and left.intersection(task.keys))
        if tasks:
            found.append(Coming(Sweep(plan, place), tasks))
            left.difference_update(key for task in tasks for key in task.keys)
    return found
