"""Dictionaries, models and results in memory, bounded in bytes and shared between sessions.

The least recently used objects leave first. An object in use stays: dropping it would free nothing, and loading it
again would hold it twice.
"""

import gc
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.amounts import of_bytes
from core.errors import LoupeError
from core.installation import started_with
from core.work.container import ROOT, free_memory_of_container

T = TypeVar("T")
_FALLBACK_BYTES = 2 * 2**30


class MemoryBudgetError(LoupeError):
    """An object does not fit into memory beside the objects in use."""


class Loaded:
    """Objects by key, with a budget in bytes. Safe to share between threads.

    Objects must allow weak references, which those of ordinary classes and arrays do.
    """

    def __init__(self, budget: int):
        assert budget > 0
        self.budget = budget
        self._objects: OrderedDict[str, Any] = OrderedDict()
        self._expected: dict[str, int] = {}
        """What is being loaded now, with the bytes that it was expected to need."""
        self._turns: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """Bytes of objects that are held or being loaded."""
        with self._lock:
            return sum(map(size_of, self._objects.values())) + sum(self._expected.values())

    def __contains__(self, key: str) -> bool:
        return key in self._objects

    def get(self, key: str, load: Callable[[], T], *, nbytes: int = 0, name: str = "This") -> T:
        """Return the object under a key. If it is missing, load it, once for all callers.

        `nbytes` is an estimate of the memory that loading needs; room is made before loading starts. Raises
        MemoryBudgetError, naming `name`, if there is no room, and all that `load` raises. Then nothing is kept.
        """
        with self._lock:
            turn = self._turns.get(key)
            if turn is None:
                turn = self._turns[key] = threading.Lock()
        with turn:
            held = self._find(key)
            return held if held is not None else self._load(key, load, nbytes, name)

    def make_room(self, nbytes: int, name: str) -> None:
        """Drop unused objects until `nbytes` more fit, for an object that is kept elsewhere.

        Raises MemoryBudgetError, naming `name`, if they still do not fit.
        """
        with self._lock:
            self._make_room(nbytes)
            self._check(nbytes, name)

    def _check(self, nbytes: int, name: str) -> None:
        if self.nbytes + nbytes > self.budget:
            error = MemoryBudgetError(
                f"{name} needs {of_bytes(nbytes)}, but {of_bytes(self.nbytes)} of {of_bytes(self.budget)} "
                "are in use. Expected to hold it in what is left: close other sessions, or start the app with a "
                f"larger budget: {started_with('--memory GB')}"
            )
            error.left = max(0, self.budget - self.nbytes)
            raise error

    def _find(self, key: str) -> Any:
        with self._lock:
            if key in self._objects:
                self._objects.move_to_end(key)
            return self._objects.get(key)

    def _load(self, key: str, load: Callable[[], T], nbytes: int, name: str) -> T:
        with self._lock:
            self.make_room(nbytes, name)
            self._expected[key] = nbytes
        try:
            loaded = load()
        finally:
            with self._lock:
                del self._expected[key]
        with self._lock:
            self._make_room(size_of(loaded))
            self._objects[key] = loaded
        return loaded

    def _make_room(self, nbytes: int) -> None:
        """Drop unused objects, least recently used first, until `nbytes` more fit or no unused object is left."""
        dropped = True
        while dropped and self.nbytes + nbytes > self.budget:
            # Start again after each drop: the dropped object may have been the last user of an older one.
            dropped = any(self._drop(key) for key in list(self._objects))

    def _drop(self, key: str) -> bool:
        """Drop an object if nothing else refers to it; return whether it is gone."""
        alive = weakref.ref(self._objects.pop(key))
        if alive() is not None:
            gc.collect(0)  # a reference cycle may hold it, such as a traceback
        survivor = alive()
        if survivor is None:
            return True
        self._objects[key] = survivor
        self._objects.move_to_end(key, last=False)
        return False


def size_of(value: Any) -> int:
    """Bytes of an object: its own `nbytes`, or the bytes of the arrays in its fields."""
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if is_dataclass(value):
        parts = (getattr(value, field.name) for field in fields(value))
        return sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
    return 0


def free_memory(root: Path = ROOT) -> int:
    """Bytes of free memory on this machine, or in this container if that is less; 2 GiB if the system does not say."""
    machine, container = _free_memory_of_machine(root), free_memory_of_container(root)
    return min((free for free in (machine, container) if free is not None), default=_FALLBACK_BYTES)


def _free_memory_of_machine(root: Path) -> int | None:
    try:
        with (root / "proc" / "meminfo").open() as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
