"""Do tasks of a plan in this process: skip what is there, go on after what fails, and say what became of each."""

import errno
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.activations.shards import merged_pass, part_key, pass_part
from core.activations.token_pass import pass_device
from core.errors import CancelledError, LoupeError, OutOfSpaceError, SweepError
from core.sweeps.analyses import ANALYSES, Subject
from core.sweeps.documents import Documents, Record, read_record, record, write_record
from core.sweeps.opened import Opened
from core.sweeps.plan import Plan, Task, task_of
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Progress
from core.work.wanted import Wanted

Outcome = Literal["done", "there", "failed"]
Told = Callable[[Task, Outcome, Record | None], None]
_MOST_WORDS = 2000


@dataclass
class Worker:
    """One process of a sweep: its plan, its store, and what it holds open."""

    plan: Plan
    store: ArtifactStore
    documents: Documents
    opened: Opened
    progress: Progress = SILENT

    def run(self, tasks: Sequence[Task], tell: Told = lambda task, outcome, record: None) -> dict[Outcome, int]:
        """Do tasks in order; those that another process does are left for the end, and waited for.

        Returns how many were done, were there, and failed. Raises CancelledError and KeyboardInterrupt alone.
        """
        counts: dict[Outcome, int] = {"done": 0, "there": 0, "failed": 0}
        later = []
        for task in sorted(tasks, key=lambda task: task.stage):
            outcome = self.attempt(task)
            if outcome is None:
                later.append(task)
                continue
            counts[outcome] += 1
            tell(task, outcome, read_record(self.documents, task.name))
        for task in later:
            outcome = self.attempt(task, wait=True)
            assert outcome
            counts[outcome] += 1
            tell(task, outcome, read_record(self.documents, task.name))
        return counts

    def attempt(self, task: Task, *, wait: bool = False) -> Outcome | None:
        """Do a task unless its results are there. Return None where another process does it, unless `wait`."""
        if self.is_there(task):
            return "there"
        with self.documents.claim(task.name, wait=wait) as mine:
            if not mine:
                return None
            if self.is_there(task):  # another process was done with it just now
                return "there"
            return self._try(task)

    def is_there(self, task: Task) -> bool:
        return is_there(task, self.store, self.documents)

    def _try(self, task: Task) -> Outcome:
        start = time.monotonic()
        self._note(record(task.name, "started"))
        try:
            self._do(task)
            said = record(task.name, "done", seconds=time.monotonic() - start)
        except CancelledError:
            raise
        except (LoupeError, OSError) as error:
            said = record(task.name, "failed", seconds=time.monotonic() - start, words=_words(error))
        except Exception:  # a bug; the other tasks of a night must not end with it
            last = traceback.format_exc(limit=-4)[-_MOST_WORDS:]
            said = record(
                task.name, "failed", seconds=time.monotonic() - start, words=f"An error in SAE Loupe.\n{last}"
            )
        self._note(said)
        return "done" if said.state == "done" else "failed"

    def _note(self, one: Record) -> None:
        """Write a record; a full disk keeps it from being written, not from being told."""
        try:
            write_record(self.documents, one)
        except OSError as error:
            self.progress.note(f"{one.task}: {one.words or one.state}; no record was written ({error})")

    def _do(self, task: Task) -> None:
        """Make all results of a task, and see that each is stored. Raises LoupeError."""
        for name in task.after:
            part = task_of(self.plan, name)
            if self.attempt(part, wait=True) == "failed":
                said = read_record(self.documents, name)
                raise SweepError(f"A part of this pass failed: {said.words if said else name} Resume the sweep.")
        subject = self._subject(task)
        self._check_same(task, subject)
        if task.rows:
            self._part(task, subject)
        else:
            self._whole(task, subject)

    def _subject(self, task: Task) -> Subject:
        text = None if task.text is None else self.plan.texts[task.text]
        return self.opened.subject(task.ids[0], text, *task.ids[1:])

    def _wanted(self, task: Task) -> list[Wanted]:
        return ANALYSES[task.analysis].wanted(self._subject(task))

    def _part(self, task: Task, subject: Subject) -> None:
        rows, sample = subject.sample.rows, subject.sample
        how = {"left_out": sample.left_out, "device": pass_device(subject.dictionary, rows, subject.device)}
        rows = rows[slice(*task.rows)]
        self._check_keys(task, [part_key(subject.dictionary, subject.model, rows, **how)])
        pass_part(subject.dictionary, subject.model, rows, self.store, progress=self.progress, **how)
        self._check_stored(task.keys)

    def _whole(self, task: Task, subject: Subject) -> None:
        wanted = ANALYSES[task.analysis].wanted(subject)
        self._check_keys(task, [one.key for one in wanted])
        if task.after:
            self._merge(task, subject)
        for one in wanted:
            self._make(one)
        self._check_stored([one.key for one in wanted])

    def _make(self, one: Wanted) -> None:
        self.progress.note(one.label)
        if self.store.load(one.cls, one.key) is None:
            made = one.work(self.progress)
            if not self.store.holds(one.key):  # a token pass stores its own
                self._save(made, one.key)

    def _save(self, made: object, key: str) -> None:
        try:
            self.store.save(made, key)
        except OSError as error:
            raise OutOfSpaceError(
                f"{key} was computed but cannot be written to {self.store.root} ({str(error)[:200]}). Expected room "
                "for it; make room and resume the sweep."
            ) from error

    def _merge(self, task: Task, subject: Subject) -> None:
        sample, device = subject.sample, pass_device(subject.dictionary, subject.sample.rows, subject.device)
        how = {"left_out": sample.left_out, "device": device}
        parts = [slice(*task_of(self.plan, name).rows) for name in task.after]
        merged_pass(subject.dictionary, subject.model, sample.rows, parts, self.store, progress=self.progress, **how)

    def _check_same(self, task: Task, subject: Subject) -> None:
        """Raise SweepError for a dictionary whose files have changed since the plan was made."""
        planned = {one.id: one.sha256 for one in self.plan.dictionaries}
        for dictionary, id in zip((subject.dictionary, subject.other), task.ids, strict=False):
            if planned.get(id) and dictionary.sha256 != planned[id]:
                raise SweepError(
                    f"{id} is {dictionary.sha256[:16]} now, and was {planned[id][:16]} when the plan was made. "
                    "Expected the same weights; put them back, or make the plan again."
                )

    def _check_keys(self, task: Task, keys: Sequence[str]) -> None:
        if task.keys and list(task.keys) != list(keys):
            raise SweepError(
                f"This machine would make {', '.join(keys)}, and the plan expects {', '.join(task.keys)}: model, text, "
                "device or version differ from those of the plan. Use the same ones, or make the plan again here."
            )

    def _check_stored(self, keys: Sequence[str]) -> None:
        for key in keys:
            if not self.store.holds(key):
                raise OutOfSpaceError(
                    f"{key} was computed but is not in {self.store.root}. Expected room for it; make room and resume "
                    "the sweep."
                )


def is_there(task: Task, store: ArtifactStore, documents: Documents) -> bool:
    """Whether all results of a task are stored. Of names that only a worker found, its record tells."""
    if task.keys:
        return all(map(store.holds, task.keys))
    said = read_record(documents, task.name)
    return said is not None and said.state == "done"


def _words(error: Exception) -> str:
    if isinstance(error, LoupeError):
        return str(error)[:_MOST_WORDS]
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return f"{'The disk is full: ' if full else ''}{type(error).__name__}: {error}"[:_MOST_WORDS]
