"""Work for other processes: tasks dealt into elements, done by whoever gets one, and looked after when that is lost."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from core.sweeps.cost import Needs
from core.sweeps.documents import Record, read_record, record, write_record
from core.sweeps.plan import Task, task_of
from core.sweeps.run import Outcome, Told, Worker, is_there
from core.sweeps.sweep import Sweep, place_at

Element = tuple[str, str, str, tuple[str, ...]]
"""A plan's name, the address of its store, the app's folder on the worker's machine, and names of tasks."""
Submitted = Callable[[Sequence[Element]], Sequence[str]]
"""Has elements done and waits for them. Returns for each why its worker was lost, empty where it was not."""
ATTEMPTS = 2
"""How often a task is given to a worker before a lost one counts as its failure."""


def do_element(element: Element) -> None:
    """Do the tasks of an element in this process. What became of each stands in the store."""
    *where, names = element
    worker = _worker(*where)
    worker.run([task_of(worker.plan, name) for name in names])


@lru_cache(maxsize=1)
def _worker(plan: str, address: str, cache: str) -> Worker:
    """Keep what tasks open for the next element that this process gets."""
    return Sweep.stored(plan, place_at(address, Path(cache))).worker()


def most_needs(tasks: Iterable[Task]) -> Needs:
    """Return what suffices for each of some tasks."""
    needs = [task.needs for task in tasks] or [Needs()]
    most = {name: max(getattr(one, name) for one in needs) for name in ("memory_bytes", "cpus", "gpus")}
    return Needs(multiply_adds=max(one.multiply_adds for one in needs), **most)


def deal(sweep: Sweep, tasks: Sequence[Task], n: int | None) -> list[Element]:
    """Deal tasks into `n` elements, or one each. Neighbours in the plan stay together: they open the same things."""
    n = len(tasks) if n is None else min(n, len(tasks))
    cuts = [len(tasks) * i // max(1, n) for i in range(n + 1)]
    where = sweep.plan.name, sweep.place.address, str(sweep.place.cache)
    groups = (tasks[start:stop] for start, stop in pairwise(cuts))
    return [(*where, tuple(task.name for task in group)) for group in groups]


def run_elements(
    sweep: Sweep, tasks: Sequence[Task], submit: Submitted, tell: Told, *, n: int | None = None
) -> dict[Outcome, int]:
    """Have tasks done by workers, stage after stage, and say what became of each. Lost ones are given out again."""
    before = {task.name for task in tasks if is_there(task, sweep.place.store, sweep.place.documents)}
    for stage in sorted({task.stage for task in tasks}):
        left = [task for task in tasks if task.stage == stage and task.name not in before]
        old, lost = {task.name: read_record(sweep.place.documents, task.name) for task in left}, []
        for _ in range(ATTEMPTS):
            elements = deal(sweep, left, n)
            lost = [why for element, why in zip(elements, submit(elements), strict=True) for _ in element[3] if why]
            left = [task for task in left if _is_open(sweep, task, old[task.name])]
            if not left:
                break
        for task in left:
            why = lost[0] if lost else "it ended without a word"
            words = f"The worker that did this was lost {ATTEMPTS} times: {why[:500]} Resume the sweep."
            write_record(sweep.place.documents, record(task.name, "failed", words=words))
    return _told(sweep, tasks, before, tell)


def _is_open(sweep: Sweep, task: Task, old: Record | None) -> bool:
    """Whether a task neither ended well nor failed since its record was the old one."""
    said = read_record(sweep.place.documents, task.name)
    failed = said is not None and said.state == "failed" and said != old
    return not failed and not is_there(task, sweep.place.store, sweep.place.documents)


def _told(sweep: Sweep, tasks: Sequence[Task], before: set[str], tell: Told) -> dict[Outcome, int]:
    counts: dict[Outcome, int] = {"done": 0, "there": 0, "failed": 0}
    for task in tasks:
        there = is_there(task, sweep.place.store, sweep.place.documents)
        outcome: Outcome = "there" if task.name in before else "done" if there else "failed"
        counts[outcome] += 1
        tell(task, outcome, read_record(sweep.place.documents, task.name))
    return counts
