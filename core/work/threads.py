"""Threads of our own: how many, with numpy's products kept to one thread each, and how to stop them."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from typing import Any

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


def as_done(work: Callable[[Any], Any], items: Iterable[Any], *, workers: int) -> Iterator[Any]:
    """Run `work` on every item in threads and yield its results as they come.

    Whatever stops the caller's loop, or fails in a thread, drops the items not yet started and waits
    for those running.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([pool.submit(work, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
