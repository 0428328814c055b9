"""A plan: every task of a sweep, by the names of the results that it makes. Data alone; it is stored as JSON."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from core.corpus.samples import SampleSettings
from core.devices.device import CPU, Device, of_another_machine
from core.errors import SweepError, UnknownNameError
from core.installation import PROJECT
from core.sweeps.cost import Needs
from core.workspace import Workspace, split_tail

VERSION = 2


@dataclass(frozen=True)
class Listed:
    """One dictionary of a plan."""

    id: str
    title: str
    sha256: str = ""
    """Empty for one that is still to be downloaded."""
    labels: Mapping[str, str | int] = field(default_factory=dict)
    d: int = 0
    """Width of its decoder rows."""
    refused: str = ""
    """Why it cannot be opened; then it has no tasks."""


@dataclass(frozen=True)
class Task:
    """Work that stands alone: what it reads is in the plan, and what it makes is named by its inputs."""

    name: str
    """The key of its first result, or a name by id for a dictionary that is not here yet."""
    analysis: str
    ids: tuple[str, ...]
    text: int | None = None
    """Which of the plan's texts it reads."""
    keys: tuple[str, ...] = ()
    """The keys of all its results; empty while they are not known."""
    rows: tuple[int, int] | None = None
    """Of a part of token passes: its first row, and the row after its last. One run of the model feeds all `ids`."""
    makes_for: tuple[tuple[str, ...], ...] = ()
    """Of a part: for each of `ids` the keys of the results that it is merged into."""
    after: tuple[str, ...] = ()
    """Names of the parts that it merges."""
    needs: Needs = field(default_factory=Needs)

    @property
    def stage(self) -> int:
        """Tasks of stage 1 read what those of stage 0 make; within a stage the order is free."""
        return 0 if self.rows else 1

    def key_of(self, id: str) -> str:
        """Return the key of what a part makes for one dictionary."""
        return self.keys[self.ids.index(id)]

    def left(self, holds: Callable[[str], bool]) -> list[str]:
        """Return the ids for which a part is still to be made: neither it nor what it is merged into is there."""
        into = self.makes_for or ((),) * len(self.ids)
        both = zip(self.ids, self.keys, into, strict=True)
        return [id for id, key, whole in both if not (holds(key) or (whole and all(map(holds, whole))))]


@dataclass(frozen=True)
class Plan:
    """All tasks, those of stage 0 first, and what workers must know to do them."""

    title: str
    dictionaries: tuple[Listed, ...]
    texts: tuple[SampleSettings, ...]
    tasks: tuple[Task, ...]
    models: tuple[str, ...] = ()
    device: str = CPU.setting
    card: str = ""
    dtype: str = "own"
    download: bool = False
    apart: int = 0
    """Pairs of dictionaries without a common space, which are not compared."""
    version: int = VERSION

    @cached_property
    def name(self) -> str:
        """A name by content: equal plans are one plan."""
        return f"sweep-{hashlib.sha256(self.to_json().encode()).hexdigest()[:12]}"

    @cached_property
    def by_name(self) -> dict[str, Task]:
        return {task.name: task for task in self.tasks}

    @property
    def computing(self) -> Device:
        """The device that names its results."""
        return of_another_machine(self.device, self.card) or CPU

    def workspace(self, cache: Path) -> Workspace:
        """Return what a worker may read: the plan's folders and models."""
        folders = (one.id.removeprefix("folder/") for one in self.dictionaries if one.id.startswith("folder/"))
        pinned = tuple(Path(folder if Path(folder).exists() else split_tail(folder)[0]) for folder in folders)
        models = (*(Path(model) for model in self.models), PROJECT / "demo" / "model")
        return Workspace(cache=cache, pinned=pinned, models=models, device=self.device, dtype=self.dtype)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def from_json(text: str) -> Plan:
    """Read a stored plan. Raises SweepError for one that a newer version wrote, or that is none."""
    try:
        said = json.loads(text)
        version = said["version"]
        if version != VERSION:
            raise SweepError(
                f"This plan has version {version}, expected {VERSION}. Run it with the SAE Loupe that made it, or make "
                "it again from its sweep.toml."
            )
        tasks = tuple(_task(one) for one in said.pop("tasks"))
        dictionaries = tuple(Listed(**one) for one in said.pop("dictionaries"))
        texts = tuple(SampleSettings(**one) for one in said.pop("texts"))
        models = tuple(said.pop("models"))
        return Plan(tasks=tasks, dictionaries=dictionaries, texts=texts, models=models, **said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SweepError(
            f"The stored plan cannot be read ({str(error)[:200]}). Make it again from its sweep.toml."
        ) from error


def _task(said: dict[str, Any]) -> Task:
    read: dict[str, Any] = {name: tuple(said[name]) for name in ("ids", "keys", "after")}
    read |= {"rows": tuple(said["rows"]) if said["rows"] else None, "needs": Needs(**said["needs"])}
    read["makes_for"] = tuple(map(tuple, said["makes_for"]))
    return Task(**said | read)


def choose(plan: Plan, element: str) -> list[Task]:
    """Return the tasks of element I of N, written I/N: of the plan's order every N-th from the I-th on."""
    i, slash, n = element.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i[:9]) <= int(n[:9] or 0)):
        raise SweepError(
            f"The task {element[:40]!r} is no part of a plan. Expected I/N with I from 1 to N, such as 3/16."
        )
    return list(plan.tasks[int(i) - 1 :: int(n)])


def task_of(plan: Plan, name: str) -> Task:
    """Return one task by its name; raise UnknownNameError for another name."""
    if name not in plan.by_name:
        raise UnknownNameError("task of this plan", name, list(plan.by_name))
    return plan.by_name[name]


def named(titles: Sequence[str]) -> str:
    """Say which dictionaries a task works on, in a few words."""
    return " and ".join(titles) if len(titles) < 3 else f"{titles[0]} and {len(titles) - 1:,} more"
