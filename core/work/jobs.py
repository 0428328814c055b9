"""A queue of long work in the background, and whose turn it is."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from core.work.job import WORKER, Job, TooMuchWorkError
from core.work.progress import Progress


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
            threading.Thread(target=self._work, name=WORKER, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy -= 1
                    return
                job = min(self._waiting, key=self._order)  # of equal ones the first
                self._waiting.remove(job)
                self._serve(job)
            job.run()
            if self._after is not None:
                self._after()
            with self._lock:
                if self._jobs.get(job.key) is job:
                    self._jobs[job.key] = self._jobs.pop(job.key)
                self._forget_old()

    def _forget_old(self) -> None:
        finished = [key for key, job in self._jobs.items() if job.finished]
        for key in finished[: max(0, len(finished) - self._keep)]:
            del self._jobs[key]
