"""What is held in memory, and what leaves it."""

import gc
import threading
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

from core.work.memory import Loaded, MemoryBudgetError, free_memory, size_of


class Thing:
    def __init__(self, nbytes: int, holds=None):
        self.nbytes = nbytes
        self.holds = holds


def test_an_object_is_loaded_once_and_shared():
    loaded, calls = Loaded(100), []
    first = loaded.get("a", lambda: calls.append(1) or Thing(10))
    assert loaded.get("a", lambda: calls.append(1) or Thing(10)) is first
    assert len(calls) == 1


def test_many_threads_that_ask_at_once_load_once():
    loaded, calls, found = Loaded(100), [], []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(loaded.get("a", lambda: calls.append(1) or Thing(10)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(set(map(id, found))) == 1


def test_the_least_recently_used_leaves_first():
    loaded = Loaded(30)
    for key in "abc":
        loaded.get(key, lambda: Thing(10))
    loaded.get("a", lambda: Thing(10))
    loaded.get("d", lambda: Thing(10))
    assert [key for key in "abcd" if key in loaded] == ["a", "c", "d"]
    assert loaded.nbytes == 30


def test_what_is_in_use_stays_and_something_newer_leaves_instead():
    loaded = Loaded(30)
    held = loaded.get("a", lambda: Thing(10))
    for key in "bcd":
        loaded.get(key, lambda: Thing(10))
    assert "a" in loaded
    assert "b" not in loaded
    assert loaded.get("a", lambda: Thing(10)) is held


def test_what_only_another_entry_holds_leaves_after_it():
    loaded = Loaded(30)
    loaded.get("weights", lambda: Thing(10))
    loaded.get("study", lambda: Thing(10, holds=loaded.get("weights", lambda: Thing(0))))
    loaded.get("big", lambda: Thing(30), nbytes=30)
    assert "weights" not in loaded
    assert "study" not in loaded


def test_what_left_is_really_gone():
    loaded = Loaded(10)
    gone = weakref.ref(loaded.get("a", lambda: Thing(10)))
    loaded.get("b", lambda: Thing(10))
    gc.collect()
    assert gone() is None


def test_a_load_that_cannot_fit_says_so_before_it_starts():
    loaded, started = Loaded(10**9), []
    held = loaded.get("a", lambda: Thing(6 * 10**8))
    with pytest.raises(MemoryBudgetError, match=r"Gemma needs 500 MB, but 600 MB of 1.00 GB .* --memory"):
        loaded.get("b", lambda: started.append(1), nbytes=5 * 10**8, name="Gemma")
    assert not started
    assert loaded.get("a", lambda: None) is held


def test_room_can_be_asked_for_what_is_kept_elsewhere():
    loaded = Loaded(10**9)
    loaded.get("unused", lambda: Thing(9 * 10**8))
    loaded.make_room(5 * 10**8, "The model")
    assert "unused" not in loaded
    with pytest.raises(MemoryBudgetError, match=r"The model needs 2\.00 GB, but 0 bytes of 1\.00 GB"):
        loaded.make_room(2 * 10**9, "The model")


def test_two_loads_at_once_share_the_budget():
    loaded, inside, done = Loaded(100), threading.Event(), threading.Event()

    def slow() -> Thing:
        inside.set()
        done.wait(10)
        return Thing(60)

    thread = threading.Thread(target=lambda: loaded.get("a", slow, nbytes=60))
    thread.start()
    inside.wait(10)
    with pytest.raises(MemoryBudgetError):
        loaded.get("b", lambda: Thing(60), nbytes=60)
    done.set()
    thread.join()
    assert "a" in loaded


def test_a_failed_load_leaves_nothing_and_can_be_tried_again():
    loaded = Loaded(100)
    with pytest.raises(ZeroDivisionError):
        loaded.get("a", lambda: 1 / 0, nbytes=90)
    assert loaded.nbytes == 0
    assert loaded.get("a", lambda: Thing(90), nbytes=90).nbytes == 90


def test_sizes_are_those_of_arrays_or_what_an_object_says():
    @dataclass(frozen=True)
    class Result:
        a: np.ndarray
        b: str

    assert size_of(np.zeros(4, np.float32)) == 16
    assert size_of(Result(np.zeros(3), "b")) == 24
    assert size_of(Thing(7)) == 7
    assert size_of(object()) == 0


def test_this_machine_has_some_memory_free():
    assert 2**20 < free_memory() < 2**50
