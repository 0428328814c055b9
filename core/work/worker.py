"""The process that core.work.apart starts:   python -m core.work.worker BYTES

It reads work from its standard input and says on its standard output how far it is. It ends with its input.
"""

import os
import pickle
import sys
import threading
import time
import traceback
from contextlib import suppress

from core.errors import CancelledError
from core.work import allocator
from core.work.apart import described
from core.work.calls import unpacked
from core.work.frames import Frames
from core.work.memory import Loaded

_PAUSE_S = 0.05
"""Progress is told at most so often."""


class _Telling:
    """The Progress of work here, told to the other process."""

    def __init__(self, frames: Frames, number: int, cancelled: threading.Event):
        self._frames, self._number, self._cancelled, self._last = frames, number, cancelled, 0.0

    def update(self, done: int, total: int) -> None:
        self._stop_if_cancelled()
        now = time.monotonic()
        if done == total or now - self._last >= _PAUSE_S:
            self._last = now
            self._frames.write("update", self._number, int(done), int(total))

    def note(self, text: str) -> None:
        self._stop_if_cancelled()
        self._frames.write("note", self._number, text)

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise CancelledError("The work was cancelled.")


def do(frames: Frames, number: int, content: bytes, running: dict[int, threading.Event], held: Loaded) -> None:
    """Do one piece of work, and say what came of it."""
    try:
        try:
            kind, said = "done", pickle.dumps(unpacked(content, held)(_Telling(frames, number, running[number])))
        except BaseException as error:  # whatever it is, whoever waits must hear of it
            kind, said = "failed", pickle.dumps(described(error, traceback.format_exc()))
    except Exception as error:  # it is no data
        kind, said = "failed", pickle.dumps(described(RuntimeError(str(error)), traceback.format_exc()))
    with suppress(OSError):  # whoever waited is gone
        frames.write(kind, number, said)
    del said, running[number]
    allocator.give_back()


def main() -> None:
    allocator.keep_little()
    frames = Frames(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    # What libraries print must not get among the messages, and none may wait for input.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    held, running = Loaded(int(sys.argv[1])), {}
    while (message := frames.read()) is not None:
        kind, number, *content = message
        if kind == "do":
            running[number] = threading.Event()
            arguments = (frames, number, *content, running, held)
            threading.Thread(target=do, args=arguments, daemon=True).start()
        elif (event := running.get(number)) is not None:
            event.set()
    os._exit(0)  # at once: whoever wanted what still runs is gone


if __name__ == "__main__":
    main()
