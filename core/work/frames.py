"""Messages between two of our own processes, over a pipe: their length, then a pickle."""

import pickle
import struct
import threading
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<Q")


class Frames:
    """One end of a pipe in each direction. Any thread may write; one thread reads."""

    def __init__(self, reads: BinaryIO, writes: BinaryIO):
        self._reads, self._writes, self._lock = reads, writes, threading.Lock()

    def write(self, *message: Any) -> None:
        """Send a message. Raises OSError where the other process has ended."""
        content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._writes.write(_LENGTH.pack(len(content)))
            self._writes.write(content)
            self._writes.flush()

    def read(self) -> tuple[Any, ...] | None:
        """Return the next message; None where the other process has ended."""
        head = self._reads.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(head)
        content = self._reads.read(length)
        return pickle.loads(content) if len(content) == length else None

    def close(self) -> None:
        """End what is written: the other process then reads None."""
        self._writes.close()
