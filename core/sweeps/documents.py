"""What a sweep writes beside results: plans, and a record of each task. Small JSON files, each written as a whole."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from core.errors import SweepError
from core.work.elsewhere import Elsewhere
from core.work.temporary import temporary_folder

FOLDER, STORE_VERSION = "sweeps", 1
_MARK = "store.json"
_LATELY_S = 2 * 3600.0
_LOG_IN = (
    " Credentials are read from AWS_ACCESS_KEY_ID or a profile for s3, and from what "
    "`gcloud auth application-default login` wrote for gs and `hf auth login` for hf."
)
State = Literal["waiting", "running", "done", "failed"]


@runtime_checkable
class Documents(Protocol):
    """Named texts. A reader sees a whole text or none."""

    def read(self, name: str) -> str | None: ...

    def write(self, name: str, text: str) -> None: ...

    def names(self, folder: str) -> list[str]: ...

    def claim(self, name: str, *, wait: bool = False) -> AbstractContextManager[bool]:
        """Hold a task during the block; yields False at once where another process holds it, unless `wait`."""


class LocalDocuments:
    """Documents in a folder, and locks that end with the process that holds them."""

    def __init__(self, root: Path):
        self.root = root / FOLDER

    def read(self, name: str) -> str | None:
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            (folder / path.name).write_text(text, encoding="utf-8")
            os.replace(folder / path.name, path)

    def names(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.root / folder).glob("*.json"))

    @contextmanager
    def claim(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        from filelock import FileLock, Timeout

        place = self.root / "claims"
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / f"{name}.lock")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


class DocumentsElsewhere:
    """Documents at an address of fsspec, which has no locks.

    A task that another process began lately counts as its own. Whoever waits for it does it, too, if it is not done by
    then: both make the same result under the same name, so that none is lost.
    """

    def __init__(self, place: Elsewhere):
        self.place = place

    def read(self, name: str) -> str | None:
        content = self.place.read(f"{FOLDER}/{name}")
        return None if content is None else content.decode()

    def write(self, name: str, text: str) -> None:
        self.place.write(f"{FOLDER}/{name}", text.encode())

    def names(self, folder: str) -> list[str]:
        return [name for name in self.place.names(f"{FOLDER}/{folder}") if name.endswith(".json")]

    @contextmanager
    def claim(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        said = read_record(self, name)
        taken = said is not None and said.state == "started" and said.where != _here()
        yield wait or not (taken and time.time() - said.when < _LATELY_S)


def check_version(documents: Documents, *, write: bool = True) -> None:
    """Raise SweepError for a store that a newer version wrote, that cannot be read, or, with `write`, not written."""
    try:
        said = documents.read(_MARK)
        version = json.loads(said)["version"] if said else STORE_VERSION
        if version == STORE_VERSION and write:  # whoever may only read learns it here, and not after the first task
            documents.write(_MARK, json.dumps({"version": STORE_VERSION}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SweepError(
            f"The store cannot be used ({type(error).__name__}: {str(error)[:200]}). Expected a place that this "
            f"process may read{' and write' if write else ''}. Choose another store, or mend its rights."
            + (_LOG_IN if isinstance(documents, DocumentsElsewhere) else "")
        ) from error
    if version != STORE_VERSION:
        raise SweepError(
            f"The store has version {str(version)[:20]}, expected {STORE_VERSION}: a newer SAE Loupe wrote it. Update "
            "this one, or choose another store."
        )


@dataclass(frozen=True)
class Record:
    """What became of a task."""

    task: str
    state: Literal["started", "done", "failed"]
    seconds: float = 0.0
    words: str = ""
    """Of a failed task: what went wrong, and what to do."""
    where: str = ""
    """The machine, and the process there."""
    when: float = 0.0
    """Seconds since 1970."""


def record(task: str, state: Literal["started", "done", "failed"], *, seconds: float = 0.0, words: str = "") -> Record:
    """Return a record of now and here."""
    return Record(task, state, seconds, words, _here(), time.time())


def _here() -> str:
    return f"{platform.node()} {os.getpid()}"


def write_record(documents: Documents, one: Record) -> None:
    documents.write(f"tasks/{one.task}.json", json.dumps(asdict(one)))


def read_record(documents: Documents, task: str) -> Record | None:
    """Return the last record of a task; None if there is none that can be read."""
    said = documents.read(f"tasks/{task}.json")
    try:
        return Record(**json.loads(said)) if said else None
    except (ValueError, TypeError):
        return None
