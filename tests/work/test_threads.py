"""Threads of our own: the limit on numpy's products, and stopping early."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.work import threads
from core.work.threads import as_done, one_thread_per_product


def blas_threads():
    from threadpoolctl import threadpool_info

    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_limit_holds_until_the_last_one_leaves_and_is_lifted_then():
    before = blas_threads()
    first, second = one_thread_per_product(), one_thread_per_product()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) <= {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before


def test_limit_is_lifted_after_an_error():
    before = blas_threads()
    with pytest.raises(KeyError), one_thread_per_product():
        raise KeyError
    assert blas_threads() == before


def test_results_come_from_all_items_once():
    assert sorted(as_done(lambda x: x * x, range(20), workers=3)) == [x * x for x in range(20)]


def test_an_error_in_a_thread_reaches_the_caller_and_drops_the_rest(monkeypatch):
    stopping, started = threading.Event(), []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, **options):
            super().shutdown(wait=False, **options)
            stopping.set()
            super().shutdown()

    def work(x):
        started.append(x)
        if x == 0:
            raise ValueError("item 0")
        stopping.wait(30)

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Pool)
    with pytest.raises(ValueError, match="item 0"):
        list(threads.as_done(work, range(1000), workers=1))
    assert len(started) <= 2


def test_stopping_early_waits_for_running_items():
    before = threading.active_count()
    results = as_done(lambda x: x, range(1000), workers=2)
    next(results)
    results.close()
    assert threading.active_count() == before
