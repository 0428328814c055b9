"""The one place where Streamlit's caches meet core.

Cached functions take ids and numbers, and look up the objects themselves. Sessions share weights and results, and
nothing changes them. Work that takes over a second runs as a job.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TypeVar

import streamlit as st

from core.devices import device as devices
from core.devices.device import Device
from core.work import allocator
from core.work.apart import Apart, ApartSettings, kept
from core.work.artifacts import ArtifactStore
from core.work.calls import Call
from core.work.elsewhere import open_results
from core.work.jobs import Jobs
from core.work.memory import Loaded, free_memory
from core.work.progress import Progress
from core.work.torch_library import import_model_library, model_library_is_imported
from core.work.wanted import Wanted
from core.workspace import Workspace, parse_arguments
from ui.shared import errors
from ui.shared import progress as shared_progress
from ui.shared.errors import NotStored

T = TypeVar("T")
CHEAP = 2**34
"""Multiply-adds that a page spends on what nobody asked for: a second or two."""
_KEPT = "_kept_of_visitor"
_only_stored: ContextVar[bool] = ContextVar("only_stored", default=False)


@st.cache_resource(show_spinner=False)
def workspace() -> Workspace:
    return parse_arguments(sys.argv[1:], os.environ)


def kept_in() -> Path | dict[str, bytes]:
    """Return where notes and selections are kept: a folder, or the session of a public app's visitor."""
    if workspace().policy.public:
        return st.session_state.setdefault(_KEPT, {})
    return workspace().notes


def store() -> ArtifactStore:
    """Return where results are kept; the page ends with the reason where that cannot be opened."""
    with errors.shown(stop=True):
        return _store()
    raise AssertionError("outside of a page an error of the store is raised")


@st.cache_resource(show_spinner=False)
def _store() -> ArtifactStore:
    return open_results(workspace().store, workspace().cache, most_bytes=workspace().policy.cache_bytes)[0]


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    after = allocator.give_back if workspace().policy.public else None
    return Jobs(workers=1, keep=2, present=shared_progress.Session.is_open, after=after, **_limits())


@st.cache_resource(show_spinner=False)
def continuing_jobs() -> Jobs:
    """Continuations of texts, on threads of their own: they take a while and hold a model for one step at a time."""
    return Jobs(workers=4, keep=2, present=shared_progress.Session.is_open, **_limits())


def _limits() -> dict[str, int | float | None]:
    policy = workspace().policy
    return {"waiting": policy.waiting, "seconds": policy.seconds}


@st.cache_resource(show_spinner=False)
def loaded() -> Loaded:
    """Everything held in memory: up to half of what was free at the start and the policy's limit, or up to --memory."""
    half, most = free_memory() // 2, workspace().policy.held_bytes
    return Loaded(workspace().memory_bytes or min(half, most or half))


@st.cache_resource(show_spinner=False)
def apart() -> Apart | None:
    """Return the process that does work in place of this one; None where this one does its own."""
    return Apart(ApartSettings(held_bytes=loaded().budget)) if workspace().apart else None


def rest() -> None:
    """Let the process apart end, if it is idle."""
    if (place := apart()) is not None:
        place.rest()


def placed(work: Callable[[Progress], T]) -> Callable[[Progress], T]:
    """Return work that is done in the process apart, if there is one and the work is data (core.work.calls)."""
    place = apart()
    return partial(place.do, work) if place is not None and isinstance(work, Call) else work


def keeping(cls: type[T], key: str, work: Callable[[Progress], T]) -> Callable[[Progress], T]:
    """Return work that stores its result too."""
    place, results = apart(), store()
    if place is None or not isinstance(work, Call):
        return lambda progress: results.cached(cls, key, lambda: work(progress))

    def elsewhere(progress: Progress) -> T:
        made = place.do(kept(results, cls, key, work), progress)
        made = results.load(cls, key) if made is None else made
        return place.do(work, progress) if made is None else made  # it was stored, and is gone again

    return elsewhere


@st.cache_resource(show_spinner=False)
def latest(kind: str) -> dict[str, str]:
    """By dictionary (its hash) the key of the result of a kind that a page asked for last."""
    return {}


def device(multiply_adds: int | None = None) -> Device:
    """Return the device that this session computes on, or the one that work of this size is worth taking to.

    Raises DeviceError for a device that is not there.
    """
    device = devices.chosen(st.session_state.get(errors.DEVICE) or workspace().device)
    return device if multiply_adds is None else device.for_work(multiply_adds)


@contextmanager
def only_stored() -> Iterator[None]:
    """Compute nothing within this block: `result` and `transient` raise NotStored for what is not stored."""
    token = _only_stored.set(True)
    try:
        yield
    finally:
        _only_stored.reset(token)


def expect_model_run() -> None:
    """Start to import what runs models, on a thread of its own, while the page does other things."""
    if not (workspace().apart or model_library_is_imported()):
        threading.Thread(target=import_model_library, name="loupe-imports", daemon=True).start()


def at_hand(key: str) -> bool:
    """Say whether a result is in memory or on disk. Damage shows only when it is read."""
    return key in loaded() or store().holds(key)


def result(cls: type[T], key: str, label: str, work: Callable[..., T]) -> T:
    """Return a result from memory, from disk, or from a job that computes `work(progress)`.

    While the job runs, draws its progress and raises StillRunning.
    """

    def find() -> T:
        stored = store().load(cls, key)
        if stored is not None:
            return stored
        check_may_compute(label)
        return shared_progress.run(jobs(), key, label, keeping(cls, key, work))

    return _held(key, label, find)


def wanted(one: Wanted[T]) -> T:
    """Return a result that a room of core names, as `result` does."""
    return result(one.cls, one.key, one.label, one.work)


def stored(cls: type[T], key: str, label: str = "A stored result") -> T | None:
    """Return a result from memory or from disk; None if it is not stored. Computes nothing."""

    def find() -> T:
        found = store().load(cls, key)
        if found is None:
            raise NotStored(f"{label} is not stored.")
        return found

    with suppress(NotStored):
        return _held(key, label, find)
    return None


def transient(key: str, label: str, work: Callable[..., T]) -> T:
    """Like `result`, for what is quick to make again. It is kept in memory only."""

    def find() -> T:
        check_may_compute(label)
        return shared_progress.run(jobs(), key, label, placed(work))

    return _held(key, label, find)


def check_may_compute(label: str) -> None:
    """Raise NotStored inside `only_stored`. Functions that start work without `result` call this."""
    if _only_stored.get():
        raise NotStored(f"{label}: not computed yet. Expected a stored result. Open its page to compute it.")


def _held(key: str, label: str, find: Callable[[], T]) -> T:
    """Keep a result in memory, so that a rerun neither reads the disk nor checks a hash."""
    if key in loaded():
        return loaded().get(key, find, name=label)
    held = find()  # outside the shelf, because a page that watches a job must not make others wait
    return loaded().get(key, lambda: held, name=label)
