"""Files that hold what people made, such as notes: they cannot be computed again.

So they live outside the cache, writers take turns, a file is always replaced as a whole, and a file that cannot be
read is set aside, never overwritten.
"""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from core.amounts import of_bytes
from core.errors import LoupeError
from core.files.stamps import stamp
from core.installation import started_with

T = TypeVar("T")
_PATIENCE_S = 10
_DAY_S = 24 * 3600.0
_UNFINISHED = re.compile(r"\.[0-9a-f]+(\.[a-z]+)?\.json\.[^.]*\.tmp")


@dataclass(frozen=True)
class KeptInSession(Generic[T]):
    """The same of one visitor of a public app: bytes in the session's memory, which end with it. Nothing is shared."""

    session: MutableMapping[str, bytes]
    name: str
    what: str
    parse: Callable[[bytes], T]
    write: Callable[[T], bytes]
    empty: T
    error: type[LoupeError]
    most_bytes: int
    """More is not kept."""

    @property
    def state(self) -> str:
        """A text that names the content, so that sessions with equal content may share what is made of it."""
        return f"{hashlib.sha256(self.session.get(self.name, b'')).hexdigest()} {self.name}"

    def read(self) -> T:
        """Return what is kept."""
        return self.parse(self.session[self.name]) if self.name in self.session else self.empty

    def set_aside(self) -> list[Path]:
        """Return nothing: only this app writes here, so nothing is damaged."""
        return []

    def change(self, change: Callable[[T], T]) -> T:
        """Replace what is kept by what `change` makes of it, and return that. Raises `error`, and what it raises."""
        content = change(self.read())
        data = self.write(content)
        if len(data) > self.most_bytes:
            raise self.error(
                f"{of_bytes(len(data))} of {self.what} are too many for a visitor's session; expected at most "
                f"{of_bytes(self.most_bytes)}. Save them as a file, and delete some here."
            )
        self.session[self.name] = data
        return content


@dataclass(frozen=True)
class KeptFile(Generic[T]):
    """One file of what people made. Safe to share between threads and between processes."""

    path: Path
    what: str
    """What it holds, in the plural, for messages."""
    parse: Callable[[bytes], T]
    """Reads and checks what the file holds. Raises `damaged` for what this app does not write."""
    write: Callable[[T], bytes]
    empty: T
    """What an absent file stands for."""
    error: type[LoupeError]
    damaged: type[LoupeError]
    most_bytes: int
    """A larger file is neither read nor written."""

    @property
    def state(self) -> str:
        """A text that changes when the file does."""
        return f"{stamp([self.path])} {self.path}"

    def read(self) -> T:
        """Return what is kept; `empty` if the file was damaged, which is then set aside (see `set_aside`).

        Raises `error`.
        """
        try:
            return self._load()
        except self.damaged:
            with self._turn():
                return self._load_or_set_aside()

    def set_aside(self) -> list[Path]:
        """Return the damaged files that were set aside; they stay until a person removes them."""
        return sorted(self.path.parent.glob(f"{self.path.name}.damaged*"))

    def change(self, change: Callable[[T], T]) -> T:
        """Replace what is kept by what `change` makes of it, and return that. Raises `error`, and what it raises."""
        with self._turn():
            return self._save(change(self._load_or_set_aside()))

    def _load(self) -> T:
        try:
            size = self.path.stat().st_size if self.path.exists() else None
            data = b"" if size is None or size > self.most_bytes else self.path.read_bytes()
        except OSError as error:
            raise self.error(
                f"The {self.what} in {self.path} cannot be read ({error}). Check the folder's rights."
            ) from error
        if size is None:
            return self.empty
        if size > self.most_bytes:
            raise self.error(f"{self.path} holds {of_bytes(size)}; expected at most {of_bytes(self.most_bytes)}.")
        return self.parse(data)

    def _load_or_set_aside(self) -> T:
        try:
            return self._load()
        except self.damaged:
            places = (self.path.with_name(f"{self.path.name}.damaged{i or ''}") for i in range(1000))
            free = next((place for place in places if not place.exists()), None)
            if free is None:
                raise self.error(
                    f"{self.path} is damaged, and 1,000 damaged files are already set aside beside it. Expected fewer; "
                    "move these away."
                ) from None
            with self._explained():
                os.rename(self.path, free)
            return self.empty

    def _save(self, content: T) -> T:
        data = self.write(content)
        if len(data) > self.most_bytes:
            raise self.error(
                f"{of_bytes(len(data))} of {self.what} are too many; expected at most {of_bytes(self.most_bytes)}."
            )
        with self._explained():
            self._remove_old_temporaries()
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, self.path)
            finally:
                Path(name).unlink(missing_ok=True)
        return content

    def _remove_old_temporaries(self) -> None:
        """Remove temporary files of killed writers. No running writer is a day old."""
        for path in self.path.parent.glob(".*.json.*.tmp"):
            if _UNFINISHED.fullmatch(path.name) and time.time() - path.stat().st_mtime > _DAY_S:
                path.unlink(missing_ok=True)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock of the file, after waiting for writers of this and of other processes."""
        from filelock import FileLock, Timeout

        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=_PATIENCE_S)
            try:
                lock.acquire()
            except Timeout as error:
                raise self.error(
                    f"The {self.what} in {self.path} have been locked by another program for over {_PATIENCE_S} s. "
                    f"Nothing was saved; try again, or remove {self.path.name}.lock if no other program runs."
                ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the disk into errors that a person can act on."""
        try:
            yield
        except OSError as error:
            raise self.error(
                f"{self.what.capitalize()} cannot be kept in {self.path.parent} ({str(error)[:200]}). Expected a "
                "folder that can be written and has room. To name another, start the app with: "
                f"{started_with('--notes FOLDER')}"
            ) from error
