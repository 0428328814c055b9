"""Threads of our own: how many, with numpy's products kept to one thread each, and how to stop them."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from typing import Any

from core.work.jobs import SILENT, Progress

_lock = threading.Lock()
_users = 0
_limit = ExitStack()


def available_cpus() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread_per_product() -> Iterator[None]:
    """Limit numpy's BLAS to one thread while anyone is inside; torch's threads are not touched.

    The limit belongs to the process: the last one to leave lifts it, in whatever order they came.
    """
    from threadpoolctl import threadpool_limits

    global _users
    with _lock:
        if _users == 0:
            _limit.enter_context(threadpool_limits(1, user_api="blas"))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.close()


def run_all(
    work: Callable[[Any], Any], items: Iterable[Any], *, workers: int | None = None, progress: Progress = SILENT
) -> list[Any]:
    """Return the results of `work` on every item, in the order of the items; `progress` counts items.

    Runs on `workers` threads (default: as many as processors), with numpy's products on one thread each. An error
    in a thread, or of `progress` once the work is not wanted any more, drops the items not yet started, waits for
    those running, and is raised here.
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
