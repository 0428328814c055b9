"""Store notes in one file for each dictionary, named by its content hash.

Unlike results, notes cannot be computed again. So they live outside the cache, writers take turns, a file is always
replaced as a whole, and a file that cannot be read is set aside, never overwritten.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from core.amounts import of_bytes
from core.feature.notes import MOST_BYTES, DamagedNotesError, Note, Notes, NotesError, from_json

_PATIENCE_S = 10
_DAY_S = 24 * 3600.0
_UNFINISHED = re.compile(r"\.[0-9a-f]+\.json\.[^.]*\.tmp")


class NoteConflictError(NotesError):
    """Somebody else has changed a note since it was read."""


class NoteStore:
    """The notes on one dictionary, in a folder. Safe to share between threads and between processes."""

    def __init__(self, folder: Path, dictionary_sha256: str, title: str, d_sae: int):
        assert re.fullmatch(r"[0-9a-f]+", dictionary_sha256)
        self.path = folder / f"{dictionary_sha256}.json"
        self.d_sae = d_sae
        self._empty = Notes(dictionary_sha256, title, {})

    def read(self) -> Notes:
        """Return all notes; none if the file was damaged, which is then set aside (see `set_aside`).

        Raises NotesError.
        """
        try:
            return self._load()
        except DamagedNotesError:
            with self._turn():
                return self._load_or_set_aside()

    def set_aside(self) -> list[Path]:
        """Return the damaged files that were set aside; they stay until a person removes them."""
        return sorted(self.path.parent.glob(f"{self.path.name}.damaged*"))

    def write(self, feature: int, note: Note, *, was: Note | None = None) -> Notes:
        """Store one feature's note (an empty note removes it) and return all notes.

        `was` is the note that the writer last read. Raises NoteConflictError if the stored note is neither `was` nor
        equal to the new one, and NotesError.
        """
        self._check_feature(feature)
        with self._turn():
            notes = self._load_or_set_aside()
            there = notes.by_feature.get(feature, Note())
            if was is not None and there not in (was, note):
                raise NoteConflictError(
                    f"The note on feature {feature} was changed meanwhile in another window and now reads "
                    f"{there.text[:200]!r}, tags: {', '.join(there.tags) or 'none'}. Nothing was saved; save again to "
                    "put yours in its place."
                )
            return self._save(notes, {feature: note})

    def add(self, other: Notes) -> Notes:
        """Merge other notes into the stored ones; no text and no tag is lost. Raises NotesError."""
        for feature in other.by_feature:
            self._check_feature(feature)
        with self._turn():
            notes = self._load_or_set_aside()
            here = notes.by_feature
            return self._save(notes, {i: here.get(i, Note()).merged(note) for i, note in other.by_feature.items()})

    def _check_feature(self, feature: int) -> None:
        if not 0 <= feature < self.d_sae:
            raise NotesError(
                f"Feature {feature} does not exist: expected a whole number from 0 to {self.d_sae - 1}. Check that the "
                "notes belong to this dictionary."
            )

    def _load(self) -> Notes:
        try:
            size = self.path.stat().st_size if self.path.exists() else None
            data = b"" if size is None or size > MOST_BYTES else self.path.read_bytes()
        except OSError as error:
            raise NotesError(
                f"The notes in {self.path} cannot be read ({error}). Check the folder's rights."
            ) from error
        if size is None:
            return self._empty
        if size > MOST_BYTES:
            raise NotesError(f"{self.path} holds {of_bytes(size)}; expected at most {of_bytes(MOST_BYTES)}.")
        notes = from_json(data)
        if notes.dictionary_sha256 != self._empty.dictionary_sha256:
            raise DamagedNotesError(f"{self.path} names the dictionary {notes.dictionary_sha256[:64]!r}.")
        return notes

    def _load_or_set_aside(self) -> Notes:
        try:
            return self._load()
        except DamagedNotesError:
            places = (self.path.with_name(f"{self.path.name}.damaged{i or ''}") for i in range(1000))
            free = next((place for place in places if not place.exists()), None)
            if free is None:
                raise NotesError(
                    f"{self.path} is damaged, and 1,000 damaged files are already set aside beside it. Expected fewer; "
                    "move these away."
                ) from None
            with _explained(self.path):
                os.rename(self.path, free)
            return self._empty

    def _save(self, notes: Notes, changed: Mapping[int, Note]) -> Notes:
        kept = {i: note for i, note in {**notes.by_feature, **changed}.items() if note}
        notes = Notes(self._empty.dictionary_sha256, self._empty.title, kept)
        data = notes.to_json()
        if len(data) > MOST_BYTES:
            raise NotesError(f"{of_bytes(len(data))} of notes are too many; expected at most {of_bytes(MOST_BYTES)}.")
        with _explained(self.path):
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
        return notes

    def _remove_old_temporaries(self) -> None:
        """Remove temporary files of killed writers. No running writer is a day old."""
        for path in self.path.parent.glob(".*.json.*.tmp"):
            if _UNFINISHED.fullmatch(path.name) and time.time() - path.stat().st_mtime > _DAY_S:
                path.unlink(missing_ok=True)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock of the file, after waiting for writers of this and of other processes."""
        from filelock import FileLock, Timeout

        with _explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=_PATIENCE_S)
            try:
                lock.acquire()
            except Timeout as error:
                raise NotesError(
                    f"The notes in {self.path} have been locked by another program for over {_PATIENCE_S} s. "
                    f"Nothing was saved; try again, or remove {self.path.name}.lock if no other program runs."
                ) from error
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of the disk into errors that a person can act on."""
    try:
        yield
    except OSError as error:
        raise NotesError(
            f"Notes cannot be kept in {path.parent} ({str(error)[:200]}). Expected a folder that can be written and "
            "has room. To name another, start the app with: `streamlit run app.py -- --notes FOLDER`"
        ) from error
