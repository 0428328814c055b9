"""Long work in the background: one queue, progress that can be watched, cancelling.

Core functions take `progress: Progress = SILENT` and call `progress.update(done, total)` as they go;
that is also where a cancelled computation stops.
"""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Literal, Protocol, runtime_checkable

from core.amounts import of_seconds
from core.errors import CancelledError, LoupeError

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_WORKER = "loupe-job"
"""The name of threads that do work."""
_SAMPLE_S = 0.25
_SAMPLES = 40
"""The rate is the mean over the last 40 samples of at least 0.25 s each: about ten seconds."""


class TooMuchWorkError(LoupeError):
    """One person asked for more than a queue does for one, or for work that takes too long."""


@runtime_checkable
class Progress(Protocol):
    """Where a long computation reports its progress. Both methods raise CancelledError after it was cancelled."""

    def update(self, done: int, total: int) -> None:
        """Report how many of how many units are done."""

    def note(self, text: str) -> None:
        """Say in a few words what the computation is doing."""


class SilentProgress:
    """A Progress that shows nothing and never cancels."""

    def update(self, done: int, total: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


SILENT: Progress = SilentProgress()
"""The default Progress of core functions."""


class Part:
    """Progress of one of several equal parts."""

    def __init__(self, whole: Progress, part: int, parts: int):
        self._whole, self._part, self._parts = whole, part, parts

    def update(self, done: int, total: int) -> None:
        self._whole.update(self._part * total + done, self._parts * total)

    def note(self, text: str) -> None:
        self._whole.note(text)


class Stage:
    """Progress of one stage of a longer count, which stood at `before` of `total` units when the stage began."""

    def __init__(self, whole: Progress, before: int, total: int):
        self._whole, self._before, self._total = whole, before, total

    def update(self, done: int, total: int) -> None:
        self._whole.update(self._before + done, self._total)

    def note(self, text: str) -> None:
        self._whole.note(text)


class Job:
    """One piece of work, made by `Jobs.submit`. All properties may be read from any thread."""

    def __init__(
        self,
        key: str,
        label: str,
        fn: Callable[[Progress], Any],
        total: int | None,
        clock: Callable[[], float],
        unit: str = "",
        seconds: int | float | None = None,
    ):
        self.key = key
        self.label = label
        self.unit = unit
        """What progress counts, in the plural; empty if its rate means nothing to a person."""
        self.text = ""
        """The last note."""
        self.done = 0
        self.total = total
        self.error: BaseException | None = None
        """The error of the work, if the state is 'failed' or 'cancelled'."""
        self._state: State = "waiting"
        self._fn: Callable[[Progress], Any] | None = fn
        self._result: Any = None
        self._traceback: TracebackType | None = None
        self._clock = clock
        self._seconds, self._began = seconds, 0.0
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._finished = threading.Event()
        self._waiters: set[Hashable] = set()

    @property
    def state(self) -> State:
        return self._state

    @property
    def cancel_requested(self) -> bool:
        return self._cancel.is_set()

    @property
    def fraction(self) -> float | None:
        """Share done, 0 to 1; None while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def rate(self) -> float | None:
        """Units per second over about the last ten seconds; None until two updates lie far enough apart."""
        with self._lock:
            if len(self._samples) < 2:
                return None
            (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end > start else None

    @property
    def seconds_left(self) -> float | None:
        """Units left divided by the recent rate; None while either is unknown."""
        rate = self.rate
        return max(0.0, (self.total - self.done) / rate) if rate and self.total else None

    def cancel(self) -> None:
        """Stop the job: at once if it waits, at its next report if it runs. A finished job does not change."""
        self._cancel.set()
        with self._lock:
            if self._state == "waiting":
                self._finish("cancelled", error=CancelledError(f"{self.label} was cancelled before it began."))

    def join(self, waiter: Hashable | None) -> bool:
        """Record who waits for this job. Return False if it failed or was cancelled, so that no result will come."""
        with self._lock:
            if self._state != "done" and (self._finished.is_set() or self._cancel.is_set()):
                return False
            if waiter is not None:
                self._waiters.add(waiter)
            return True

    def waiters(self) -> tuple[Hashable, ...]:
        """Return who waits for this job."""
        with self._lock:
            return tuple(self._waiters)

    def leave(self, waiter: Hashable, *, present: Callable[[Hashable], bool] = lambda waiter: True) -> bool:
        """Remove a waiter. If no other waiter is `present`, cancel the job and return True."""
        with self._lock:
            self._waiters.discard(waiter)
            if any(present(other) for other in self._waiters):
                return False
            self._cancel.set()
        self.cancel()
        return True

    def finished_within(self, seconds: float | int) -> bool:
        """Wait at most this long. Return whether the job is done, failed or cancelled."""
        self._assert_may_wait()
        return self._finished.wait(seconds)

    def _assert_may_wait(self) -> None:
        """Work of a queue that waits for other work of it would wait for ever, as it holds the thread."""
        inside = threading.current_thread().name == _WORKER
        assert self._finished.is_set() or not inside, f"Work waits for another job, {self.label}"

    def result(self, timeout: float | int | None = None) -> Any:
        """Wait for the result and return it, or raise the error of the work.

        Raises TimeoutError when it is not finished after `timeout` seconds (None waits for ever).
        """
        self._assert_may_wait()
        if not self._finished.wait(timeout):
            raise TimeoutError(f"{self.label} is {self._state} after {timeout} s.")
        if self.error is not None:
            # Keep the traceback of the work: each time the same object is raised, Python adds to it.
            raise self.error.with_traceback(self._traceback)
        return self._result

    def _run(self) -> None:
        """Do the work on the calling thread, unless it was cancelled while waiting."""
        with self._lock:
            if self._state != "waiting":
                return
            self._state, fn, self._began = "running", self._fn, self._clock()
        try:
            result = fn(_JobProgress(self))
        except CancelledError as error:
            outcome: dict[str, Any] = {"state": "cancelled", "error": error}
        except BaseException as error:  # even SystemExit must reach the waiters
            outcome = {"state": "failed", "error": error}
        else:
            outcome = {"state": "done", "result": result}
        with self._lock:
            self._finish(**outcome)

    def _finish(self, state: State, *, result: Any = None, error: BaseException | None = None) -> None:
        self._state, self._result, self.error = state, result, error
        self._traceback = error.__traceback__ if error is not None else None
        _free_locals(error)
        self._fn = None
        self._finished.set()

    def _stop_if_late(self) -> None:
        if self._seconds is not None and self._clock() - self._began > self._seconds:
            raise TooMuchWorkError(
                f"{self.label} was stopped after {of_seconds(self._seconds)}. Expected less work, as this app shares "
                "one machine among all visitors: ask for fewer rows or features, or run SAE Loupe on your own machine."
            )

    def _report(self, done: int, total: int) -> None:
        with self._lock:
            if done < self.done:  # another stage has begun
                self._samples.clear()
            self.done, self.total = done, total
            now = self._clock()
            if len(self._samples) > 1 and now - self._samples[-2][0] < _SAMPLE_S:
                self._samples.pop()
            self._samples.append((now, done))


class _JobProgress:
    """The Progress that a job gives to its work."""

    def __init__(self, job: Job):
        self._job = job

    def update(self, done: int, total: int) -> None:
        self._stop_if_cancelled()
        self._job._report(done, total)

    def note(self, text: str) -> None:
        self._stop_if_cancelled()
        self._job.text = text

    def _stop_if_cancelled(self) -> None:
        if self._job.cancel_requested:
            raise CancelledError(f"{self._job.label} was cancelled.")
        self._job._stop_if_late()


class Jobs:
    """A queue of work, done by at most `workers` threads at a time.

    What somebody looks at (see `look`) comes first. Of that, those who wait take turns: next is who was served longest
    ago, so that nobody can hold up the others. Of one person's work, answers come before their controls, then what was
    asked for first. `present` says whether a viewer is still there.
    One waiter may have `waiting` jobs in the queue, and a job may run for `seconds`; None sets no limit.
    Requests with equal keys share one job while it waits or runs, and after it succeeded; a failed or cancelled job is
    replaced. Only the last `keep` finished jobs stay, because results are large. Work must not wait for another job
    of the same queue. Threads are daemons, so a server can stop.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        keep: int = 8,
        clock: Callable[[], float] = time.monotonic,
        present: Callable[[Hashable], bool] = lambda viewer: True,
        waiting: int | None = None,
        seconds: int | float | None = None,
        after: Callable[[], object] | None = None,
    ):
        self._workers = workers
        self._after = after
        """Called on the thread of a job when it has ended."""
        self._most_waiting, self._seconds = waiting, seconds
        self._starts = 0
        self._served: dict[Hashable, int] = {}
        """For each waiter that is present, the number of the last start of a job of theirs."""
        self._present = present
        self._views: dict[Hashable, dict[str, bool]] = {}
        """The keys of jobs that each viewer looks at, and whether each is only the control of an answer."""
        self._keep = keep
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._busy = 0

    def submit(
        self,
        key: str,
        label: str,
        fn: Callable[[Progress], Any],
        *,
        total: int | None = None,
        unit: str = "",
        waiter: Hashable | None = None,
    ) -> Job:
        """Return the job under this key. If none exists, queue `fn(progress)` as a new job and return it.

        `waiter` says who waits for it (see Job.leave). Raises TooMuchWorkError if too much of theirs waits already.
        """
        with self._lock:
            job = self._jobs.pop(key, None)
            if job is None or not job.join(waiter):
                self._check_waiting(label, waiter)
                job = Job(key, label, fn, total, self._clock, unit, self._seconds)
                job.join(waiter)
                self._waiting.append(job)
                self._start_worker()
            self._jobs[key] = job  # now the most recent
            self._forget_old()
            return job

    def _check_waiting(self, label: str, waiter: Hashable | None) -> None:
        if self._most_waiting is None or waiter is None:
            return
        mine = sum(job.state == "waiting" and waiter in job.waiters() for job in self._waiting)
        if mine >= self._most_waiting:
            raise TooMuchWorkError(
                f"{label}: {mine} pieces of your work wait already, the most that this app queues for one visitor. "
                "Expected fewer; wait until some are done, or stop some below Other work in the sidebar."
            )

    def look(self, job: Job, viewer: Hashable, *, control: bool = False) -> None:
        """Say that a person's page shows a view that waits for a job: for its answer, or only for a `control`."""
        with self._lock:
            keys = self._views.setdefault(viewer, {})
            keys[job.key] = control and keys.get(job.key, True)

    def look_away(self, viewer: Hashable) -> None:
        """Say that a person's page is drawn anew: what it showed before counts no more."""
        with self._lock:
            self._views.pop(viewer, None)
            for gone in [other for other in self._views if not self._present(other)]:
                del self._views[gone]

    def in_view(self, job: Job) -> bool:
        """Whether anybody looks at a job."""
        with self._lock:
            return self._turn(job) < 2

    def _turn(self, job: Job) -> int:
        """Return 0 for an answer that somebody looks at, 1 for a control, and 2 for what nobody looks at."""
        seen = (keys for viewer, keys in self._views.items() if job.key in keys and self._present(viewer))
        return min((int(keys[job.key]) for keys in seen), default=2)

    def _order(self, job: Job) -> tuple[bool, int, int]:
        turn = self._turn(job)
        return turn == 2, min((self._served.get(waiter, 0) for waiter in job.waiters()), default=0), turn

    def _serve(self, job: Job) -> None:
        """Note whose turn it was."""
        self._starts += 1
        self._served |= dict.fromkeys(job.waiters(), self._starts)
        self._served = {waiter: start for waiter, start in self._served.items() if self._present(waiter)}

    def unfinished(self) -> list[Job]:
        """Return the jobs that run, then those that wait."""
        with self._lock:
            running = [job for job in self._jobs.values() if job.state == "running"]
            return running + [job for job in self._waiting if job.state == "waiting"]

    def busy(self) -> bool:
        """Whether any job waits or runs."""
        with self._lock:
            return self._busy > 0

    def awaited(self) -> bool:
        """Whether a job waits for a thread."""
        with self._lock:
            return any(job.state == "waiting" for job in self._waiting)

    def _start_worker(self) -> None:
        # Threads end when nothing waits, so an unused queue holds none.
        if self._busy < self._workers:
            self._busy += 1
            threading.Thread(target=self._work, name=_WORKER, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy -= 1
                    return
                job = min(self._waiting, key=self._order)  # of equal ones the first
                self._waiting.remove(job)
                self._serve(job)
            job._run()
            if self._after is not None:
                self._after()
            with self._lock:
                if self._jobs.get(job.key) is job:
                    self._jobs[job.key] = self._jobs.pop(job.key)
                self._forget_old()

    def _forget_old(self) -> None:
        finished = [key for key, job in self._jobs.items() if job._finished.is_set()]
        for key in finished[: max(0, len(finished) - self._keep)]:
            del self._jobs[key]


def _free_locals(error: BaseException | None) -> None:
    """Drop the local variables in the traceback of an error: they may hold gigabytes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if error.__traceback__ is not None:
            traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
