"""Do tasks of a plan in this process: skip what is there, go on after what fails, and say what became of each."""

import errno
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.activations.shards import merged_pass, part_key
from core.activations.together import parts_together
from core.activations.token_pass import pass_device
from core.dictionaries.dictionary import Dictionary
from core.errors import CancelledError, LoupeError, OutOfSpaceError, SweepError
from core.sweeps.analyses import ANALYSES, Subject
from core.sweeps.documents import Documents, Record, read_record, record, write_record
from core.sweeps.opened import Opened
from core.sweeps.plan import Plan, Task, named, task_of
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
        if task.rows:
            self._part(task)
            return
        for name in task.after:
            part = task_of(self.plan, name)
            if self.attempt(part, wait=True) == "failed" and not self.store.holds(part.key_of(task.ids[0])):
                said = read_record(self.documents, name)
                raise SweepError(f"A part of this pass failed: {said.words if said else name} Resume the sweep.")
        subject = self._subject(task)
        self._check_same(subject, *task.ids)
        self._whole(task, subject)

    def _subject(self, task: Task) -> Subject:
        text = None if task.text is None else self.plan.texts[task.text]
        return self.opened.subject(task.ids[0], text, *task.ids[1:])

    def _wanted(self, task: Task) -> list[Wanted]:
        return ANALYSES[task.analysis].wanted(self._subject(task))

    def _part(self, task: Task) -> None:
        """Make a part of the passes of one or several dictionaries. One that fails does not end the others."""
        ready, failed, how = {}, {}, {}
        for id in task.left(self.store.holds):
            try:
                ready[id], how = self._for_part(task, id)
            except CancelledError:
                raise
            except (LoupeError, OSError) as error:
                failed[id] = _words(error)
        if ready:
            self.progress.note(f"Token pass of {named(list(ready))}")
            made = parts_together(list(ready.values()), artifacts=self.store, progress=self.progress, **how)
            failed |= {id: str(one) for id, one in zip(ready, made, strict=True) if isinstance(one, LoupeError)}
        if failed:
            alone = len(task.ids) == 1
            raise SweepError(" ".join(words if alone else f"{id}: {words}" for id, words in failed.items()))
        self._check_stored([task.key_of(id) for id in ready])

    def _for_part(self, task: Task, id: str) -> tuple[Dictionary, dict[str, Any]]:
        """Open a dictionary for a part, with what the part is made of beside it. Raises LoupeError.

        Of a subject no more is kept: each would hold a copy of the rows.
        """
        assert task.text is not None
        subject = self.opened.subject(id, self.plan.texts[task.text])
        self._check_same(subject, id)
        sample, dictionary = subject.sample, subject.dictionary
        device = pass_device(dictionary, sample.rows, subject.device)
        how = {"rows": sample.rows[slice(*task.rows)], "left_out": sample.left_out, "device": device}
        self._check_keys([task.key_of(id)], [part_key(dictionary, subject.model, **how)])
        return dictionary, how | {"model": subject.model}

    def _whole(self, task: Task, subject: Subject) -> None:
        wanted = ANALYSES[task.analysis].wanted(subject)
        self._check_keys(task.keys, [one.key for one in wanted])
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

    def _check_same(self, subject: Subject, *ids: str) -> None:
        """Raise SweepError for a dictionary whose files have changed since the plan was made."""
        planned = {one.id: one.sha256 for one in self.plan.dictionaries}
        for dictionary, id in zip((subject.dictionary, subject.other), ids, strict=False):
            if planned.get(id) and dictionary.sha256 != planned[id]:
                raise SweepError(
                    f"{id} is {dictionary.sha256[:16]} now, and was {planned[id][:16]} when the plan was made. "
                    "Expected the same weights; put them back, or make the plan again."
                )

    def _check_keys(self, planned: Sequence[str], keys: Sequence[str]) -> None:
        if planned and list(planned) != list(keys):
            raise SweepError(
                f"This machine would make {', '.join(keys)}, and the plan expects {', '.join(planned)}: model, text, "
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
    """Whether all results of a task are stored, or all that a part is for. Of unknown names, its record tells."""
    if task.rows:
        return not task.left(store.holds)
    if task.keys:
        return all(map(store.holds, task.keys))
    said = read_record(documents, task.name)
    return said is not None and said.state == "done"


def _words(error: Exception) -> str:
    if isinstance(error, LoupeError):
        return str(error)[:_MOST_WORDS]
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return f"{'The disk is full: ' if full else ''}{type(error).__name__}: {error}"[:_MOST_WORDS]
