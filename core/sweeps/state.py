"""How far a plan is: the state of each task, and what is left to do."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import SweepError
from core.sweeps.documents import Documents, Record, State, read_record
from core.sweeps.plan import Plan, Task, from_json
from core.sweeps.run import is_there
from core.work.artifacts import ArtifactStore

PLANS = "plans"


@dataclass(frozen=True)
class Progressed:
    """One task and what became of it."""

    task: Task
    state: State
    record: Record | None


def keep_plan(plan: Plan, documents: Documents) -> str:
    """Store a plan under its name, and return that."""
    documents.write(f"{PLANS}/{plan.name}.json", plan.to_json())
    return plan.name


def stored_plans(documents: Documents) -> list[str]:
    """Return the names of all plans."""
    return [name.removesuffix(".json") for name in documents.names(PLANS)]


def read_plan(name: str, documents: Documents) -> Plan:
    """Read a stored plan by its name. Raises SweepError."""
    text = documents.read(f"{PLANS}/{name}.json") if name.replace("-", "").isalnum() else None
    if text is None:
        known = ", ".join(stored_plans(documents)[:8]) or "none is there"
        raise SweepError(f"The store has no plan {name[:80]!r}. Expected one of its plans ({known}), or a sweep.toml.")
    plan = from_json(text)
    if plan.name != name:
        raise SweepError(
            f"The plan stored as {name} holds another one, {plan.name}. Make it again from its sweep.toml."
        )
    return plan


def progress_of(plan: Plan, store: ArtifactStore, documents: Documents) -> list[Progressed]:
    """Return the state of every task."""
    return [_state(task, store, documents) for task in plan.tasks]


def _state(task: Task, store: ArtifactStore, documents: Documents) -> Progressed:
    said = read_record(documents, task.name)
    if is_there(task, store, documents):
        return Progressed(task, "done", said)
    if said is not None and said.state == "failed":
        return Progressed(task, "failed", said)
    if said is not None and said.state == "started":
        with documents.claim(task.name) as free:
            return Progressed(task, "waiting" if free else "running", said)
    return Progressed(task, "waiting", said)


def summary(states: Sequence[Progressed]) -> str:
    """Say in a line how many tasks are in which state."""
    counts = Counter(one.state for one in states)
    words = {"done": "done", "running": "running", "failed": "failed", "waiting": "to do"}
    return ", ".join(f"{counts[state]:,} {word}" for state, word in words.items() if counts[state] or state == "done")
