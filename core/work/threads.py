"""Runs work on threads of our own, with one thread for each numpy product, and stops it when cancelled."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from core.work.container import ROOT, cpus_of_container
from core.work.progress import SILENT, Progress


class WhileUsed:
    """A setting of the whole process. Its first user sets it; its last user restores the old value."""

    def __init__(self, setting: Callable[[], AbstractContextManager]):
        self._setting, self._lock, self._users, self._made = setting, threading.Lock(), 0, ExitStack()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the setting during this block. Users may begin and end in any order."""
        with self._lock:
            if self._users == 0:
                self._made.enter_context(self._setting())
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._made.close()


def available_cpus(root: Path = ROOT) -> int:
    """Number of processors this process may use, on its machine and in its container."""
    machine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(machine, cpus_of_container(root) or machine)


def _one_blas_thread() -> AbstractContextManager:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


_blas = WhileUsed(_one_blas_thread)


def one_thread_per_product() -> AbstractContextManager[None]:
    """Limit numpy's BLAS to one thread inside this block. torch's threads do not change."""
    return _blas.held()


def run_all(
    work: Callable[[Any], Any], items: Iterable[Any], *, workers: int | None = None, progress: Progress = SILENT
) -> list[Any]:
    """Return the results of `work` on every item, in the order of the items; `progress` counts items.

    Runs on `workers` threads (default: one for each processor), with one thread for each numpy product. After an error
    in a thread, or CancelledError from `progress`, no further item starts; the running ones finish, and the error is
    raised here.
    """
    items = list(items)
    return _run(work, items, [1] * len(items), workers, progress)


def run_blocks(
    work: Callable[[slice], Any], n: int, step: int, *, workers: int | None = None, progress: Progress = SILENT
) -> list[Any]:
    """Do `run_all` on slices that cover 0 to `n` by `step`, the last one perhaps shorter; `progress` counts to `n`."""
    blocks = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    return _run(work, blocks, [block.stop - block.start for block in blocks], workers, progress)


def _run(
    work: Callable[[Any], Any], items: list[Any], sizes: list[int], workers: int | None, progress: Progress
) -> list[Any]:
    pool, done = ThreadPoolExecutor(workers or available_cpus()), 0
    with one_thread_per_product():
        try:
            futures = {pool.submit(work, item): size for item, size in zip(items, sizes, strict=True)}
            for future in as_completed(futures):
                future.result()
                done += futures[future]
                progress.update(done, sum(sizes))
        finally:
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]
