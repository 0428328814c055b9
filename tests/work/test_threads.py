"""Threads of our own: the limit on numpy's products, and stopping early."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from core.errors import CancelledError
from core.work import threads
from core.work.threads import WhileUsed, one_thread_per_product, run_all, run_blocks
from tests.doubles.watched import Watched


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


def test_a_setting_is_made_by_its_first_user_and_undone_by_its_last():
    told = []

    @contextmanager
    def setting():
        told.append("made")
        yield
        told.append("undone")

    used = WhileUsed(setting)
    for _ in range(2):
        first, second = used.held(), used.held()
        first.__enter__()
        second.__enter__()
        assert told == ["made"]
        first.__exit__(None, None, None)
        assert told == ["made"]
        second.__exit__(None, None, None)
        assert told == ["made", "undone"]
        told.clear()


def test_work_has_as_many_threads_as_this_process_may_use_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 9}, raising=False)
    asked = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers):
            asked.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Pool)
    run_all(len, ["a"])
    run_all(len, ["a"], workers=2)
    assert asked == [3, 2]
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.available_cpus() == 1


def test_limit_is_lifted_after_an_error():
    before = blas_threads()
    with pytest.raises(KeyError), one_thread_per_product():
        raise KeyError
    assert blas_threads() == before


@pytest.mark.parametrize("workers", [1, 3, None])
def test_results_are_in_the_order_of_the_items_and_every_item_is_counted(workers):
    watched = Watched()
    assert run_all(lambda x: x * x, range(20), workers=workers, progress=watched) == [x * x for x in range(20)]
    assert watched.told == [(done, 20) for done in range(1, 21)]


def test_blocks_cover_all_once_and_the_last_may_be_short():
    watched = Watched()
    blocks = run_blocks(lambda part: list(range(20)[part]), 20, 8, workers=1, progress=watched)
    assert blocks == [list(range(8)), list(range(8, 16)), list(range(16, 20))]
    assert watched.told == [(8, 20), (16, 20), (20, 20)]
    assert run_blocks(lambda part: part, 0, 8) == []


def test_products_have_one_thread_each_meanwhile():
    before = blas_threads()
    assert set().union(*run_all(lambda _: blas_threads(), range(4), workers=2)) <= {1}
    assert blas_threads() == before


@pytest.fixture
def stopping(monkeypatch):
    """An event that is set once the items that have not begun are dropped, before running ones are waited for."""
    dropped = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, **options):
            super().shutdown(wait=False, **options)
            dropped.set()
            super().shutdown()

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Pool)
    return dropped


def test_an_error_in_a_thread_reaches_the_caller_and_drops_the_rest(stopping):
    started = []

    def work(x):
        started.append(x)
        if x == 0:
            raise ValueError("item 0")
        stopping.wait(30)

    with pytest.raises(ValueError, match="item 0"):
        run_all(work, range(1000), workers=1)
    assert len(started) <= 2


def test_cancelling_drops_what_has_not_begun_and_waits_for_running_items(stopping):
    before, started, ended = threading.active_count(), [], []

    def work(x):
        started.append(x)
        if x:
            stopping.wait(30)
        ended.append(x)

    with pytest.raises(CancelledError):
        run_all(work, range(1000), workers=2, progress=Watched(stop_at=1))
    assert threading.active_count() == before
    assert len(started) <= 3
    assert sorted(ended) == sorted(started)
