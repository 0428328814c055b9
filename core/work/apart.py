"""Work in a process of its own, which ends when it is idle and gives back what its libraries hold.

The process is started when work comes. Several pieces of work may run in it at once, each on a thread.
"""

import pickle
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from core.errors import LoupeError
from core.installation import START_FOLDER, importable
from core.work.artifacts import ArtifactStore
from core.work.calls import Call, NoDataError, call, packed
from core.work.frames import Frames
from core.work.progress import SILENT, Progress

_GLANCE_S = 0.2
"""How often work that says nothing is asked to stop, if its job is cancelled."""


class WorkerLostError(LoupeError):
    """The process that did some work ended before the work was done."""


class RemoteError(Exception):
    """The traceback of an error in the other process."""


@dataclass(frozen=True)
class ApartSettings:
    """What the process may do."""

    held_bytes: int
    """The most bytes of dictionaries and models that it holds."""
    idle_s: int | float = 20
    """After so long without work it ends."""
    stop_s: int | float = 10
    """Cancelled work that does not stop by itself is ended after so long, with the process."""


class Apart:
    """The process, while there is one. Safe to share between threads."""

    def __init__(self, settings: ApartSettings):
        self.settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._frames: Frames | None = None
        self._told: dict[int, queue.SimpleQueue] = {}
        self._numbers = count()
        self._idle: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        with self._lock:
            return self._process.pid if self._is_alive() else None

    def do(self, work: Call, progress: Progress = SILENT) -> Any:
        """Return what the work returns, done there; or here, if some of it is no data.

        Raises what the work raises, CancelledError from `progress`, and WorkerLostError.
        """
        try:
            content = packed(work)
        except NoDataError:
            return work(progress)
        sent = self._send(content)
        try:
            return self._follow(sent, progress)
        finally:
            with self._lock:
                self._told.pop(sent.number, None)
                self._wait_for_work()

    def rest(self) -> None:
        """End the process now if it has nothing to do, to make room for another."""
        with self._lock:
            if self._is_alive() and not self._told:
                self._close()

    def end(self) -> None:
        """End the process, if there is one: its work is lost."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _send(self, content: bytes) -> "_Sent":
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            for attempt in range(2):
                if not self._is_alive():
                    self._start()
                sent = _Sent(next(self._numbers), queue.SimpleQueue(), self._process, self._frames)
                self._told[sent.number] = sent.told
                try:
                    sent.frames.write("do", sent.number, content)
                    break
                except OSError:  # it ended just now; of a second one that does, its end is told
                    if attempt == 0:
                        sent.process.kill()
                        sent.process.wait()
            return sent

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        command = [sys.executable, "-m", importable("core.work.worker"), str(self.settings.held_bytes)]
        self._process = subprocess.Popen(
            command, cwd=START_FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._frames = Frames(self._process.stdout, self._process.stdin)
        self._told = {}
        started = self._process, self._frames, self._told
        threading.Thread(target=_listen, args=started, name="loupe-apart", daemon=True).start()

    def _wait_for_work(self) -> None:
        """End the process when it has been idle for long enough."""
        if self._told or not self._is_alive():
            return
        if self._idle is not None:
            self._idle.cancel()
        self._idle = threading.Timer(self.settings.idle_s, self._end_if_idle, [self._process])
        self._idle.daemon = True
        self._idle.start()

    def _end_if_idle(self, process: subprocess.Popen) -> None:
        with self._lock:
            if process is self._process and not self._told:
                self._close()

    def _close(self) -> None:
        """Let the process read that no more work comes."""
        self._frames.close()
        self._process = None

    def _follow(self, sent: "_Sent", progress: Progress) -> Any:
        said = ""
        while True:
            try:
                kind, *content = sent.told.get(timeout=_GLANCE_S)
            except queue.Empty:
                kind, content = "note", [said]
            if kind == "done":
                return pickle.loads(content[0])
            if kind == "failed":
                raise rebuilt(*pickle.loads(content[0]))
            if kind == "lost":
                raise _lost(content[0])
            try:
                if kind == "note":
                    said = content[0]
                    progress.note(said)
                else:
                    progress.update(*content)
            except BaseException:
                self._stop(sent)
                raise

    def _stop(self, sent: "_Sent") -> None:
        """Have work stopped, at its next report or with the process."""
        try:
            sent.frames.write("cancel", sent.number)
            while sent.told.get(timeout=self.settings.stop_s)[0] not in ("done", "failed", "lost"):
                pass
        except (queue.Empty, OSError):
            sent.process.kill()


class _Sent(NamedTuple):
    """A piece of work that a process was given."""

    number: int
    told: queue.SimpleQueue
    """What the process says of it."""
    process: subprocess.Popen
    frames: Frames


def _listen(process: subprocess.Popen, frames: Frames, told: dict[int, queue.SimpleQueue]) -> None:
    """Hand on what a process says, until it has ended."""
    while (message := frames.read()) is not None:
        kind, number, *content = message
        if number in told:
            told[number].put((kind, *content))
    code = process.wait()
    for one in list(told.values()):
        one.put(("lost", code))


def _lost(code: int) -> WorkerLostError:
    how = f"was killed (signal {-code})" if code < 0 else f"ended with code {code}"
    return WorkerLostError(
        f"The process that did this {how} before it was done. Expected it to run to its end: it may have taken more "
        "memory than there is, so ask for fewer rows or features; then load the page anew."
    )


def described(error: BaseException, trace: str) -> tuple[type, str, dict[str, Any], str]:
    """Return an error as data: its class, its words, what it holds besides, and where it came from."""
    return type(error), str(error), dict(vars(error)), trace


def rebuilt(cls: type[BaseException], words: str, holds: dict[str, Any], trace: str) -> BaseException:
    """Return the error that `described` described."""
    error = cls.__new__(cls)
    error.args = (words,)
    vars(error).update(holds)
    if not isinstance(error, LoupeError):
        error.__cause__ = RemoteError(trace)
    return error


def made_and_kept(store: ArtifactStore, cls: type, key: str, work: Call, *, progress: Progress = SILENT) -> Any:
    """Make a result and store it; return it only where it cannot be stored."""
    made = store.cached(cls, key, lambda: work(progress))
    return None if store.holds(key) else made


def kept(store: ArtifactStore, cls: type, key: str, work: Call) -> Call:
    """Return the work that makes a result and stores it."""
    return call(made_and_kept, store, cls, key, work)
