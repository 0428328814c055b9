"""One piece of work in the background: its state, how far it is, its result, and how it is stopped."""

import threading
import traceback
from collections import deque
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Literal

from core.amounts import of_seconds
from core.errors import CancelledError, LoupeError
from core.work.progress import Progress

State = Literal["waiting", "running", "done", "failed", "cancelled"]
WORKER = "loupe-job"
"""The name of threads that do work."""
_SAMPLE_S = 0.25
_SAMPLES = 40
"""The rate is the mean over the last 40 samples of at least 0.25 s each: about ten seconds."""


class TooMuchWorkError(LoupeError):
    """One person asked for more than a queue does for one, or for work that takes too long."""


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
    def finished(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self._finished.is_set()

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
            if self._state != "done" and (self.finished or self._cancel.is_set()):
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
        inside = threading.current_thread().name == WORKER
        assert self.finished or not inside, f"Work waits for another job, {self.label}"

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

    def run(self) -> None:
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


def _free_locals(error: BaseException | None) -> None:
    """Drop the local variables in the traceback of an error: they may hold gigabytes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if error.__traceback__ is not None:
            traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
