"""Store notes in one file for each dictionary, named by its content hash. See core/files/kept.py for its care."""

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from core.feature.notes import MOST_BYTES, DamagedNotesError, Note, Notes, NotesError, from_json
from core.files.kept import KeptFile, KeptInSession


class NoteConflictError(NotesError):
    """Somebody else has changed a note since it was read."""


class NoteStore:
    """The notes on one dictionary, in a folder. Safe to share between threads and between processes.

    In place of a folder, the memory of one visitor's session holds them, up to `most_bytes`.
    """

    def __init__(
        self,
        place: Path | MutableMapping[str, bytes],
        dictionary_sha256: str,
        title: str,
        d_sae: int,
        *,
        most_bytes: int | None = None,
    ):
        assert re.fullmatch(r"[0-9a-f]+", dictionary_sha256)
        self.dictionary_sha256, self.d_sae, name = dictionary_sha256, d_sae, f"{dictionary_sha256}.json"
        self._empty = Notes(dictionary_sha256, title, {})
        how = {"what": "notes", "parse": self._parse, "write": Notes.to_json, "empty": self._empty, "error": NotesError}
        self.path, most = place / name if isinstance(place, Path) else None, most_bytes or MOST_BYTES
        """Its file; None in a session."""
        self._file = (
            KeptFile(self.path, damaged=DamagedNotesError, most_bytes=most, **how)
            if self.path
            else KeptInSession(place, name, most_bytes=most, **how)
        )

    @property
    def state(self) -> str:
        """A text that changes when the notes do."""
        return self._file.state

    def read(self) -> Notes:
        """Return all notes; none if the file was damaged, which is then set aside (see `set_aside`).

        Raises NotesError.
        """
        return self._file.read()

    def set_aside(self) -> list[Path]:
        """Return the damaged files that were set aside; they stay until a person removes them."""
        return self._file.set_aside()

    def write(self, feature: int, note: Note, *, was: Note | None = None) -> Notes:
        """Store one feature's note (an empty note removes it) and return all notes.

        `was` is the note that the writer last read. Raises NoteConflictError if the stored note is neither `was` nor
        equal to the new one, and NotesError.
        """
        self._check_feature(feature)

        def change(notes: Notes) -> Notes:
            there = notes.by_feature.get(feature, Note())
            if was is not None and there not in (was, note):
                raise NoteConflictError(
                    f"The note on feature {feature} was changed meanwhile in another window and now reads "
                    f"{there.text[:200]!r}, tags: {', '.join(there.tags) or 'none'}. Nothing was saved; save again to "
                    "put yours in its place."
                )
            return self._with(notes, {feature: note})

        return self._file.change(change)

    def add(self, other: Notes) -> Notes:
        """Merge other notes into the stored ones; no text and no tag is lost. Raises NotesError."""
        for feature in other.by_feature:
            self._check_feature(feature)

        def change(notes: Notes) -> Notes:
            here = notes.by_feature
            return self._with(notes, {i: here.get(i, Note()).merged(note) for i, note in other.by_feature.items()})

        return self._file.change(change)

    def _check_feature(self, feature: int) -> None:
        if not 0 <= feature < self.d_sae:
            raise NotesError(
                f"Feature {feature} does not exist: expected a whole number from 0 to {self.d_sae - 1}. Check that the "
                "notes belong to this dictionary."
            )

    def _parse(self, data: bytes) -> Notes:
        notes = from_json(data)
        if notes.dictionary_sha256 != self._empty.dictionary_sha256:
            raise DamagedNotesError(
                f"{self.path or 'The session'} names the dictionary {notes.dictionary_sha256[:64]!r}."
            )
        return notes

    def _with(self, notes: Notes, changed: Mapping[int, Note]) -> Notes:
        kept = {i: note for i, note in {**notes.by_feature, **changed}.items() if note}
        return Notes(self._empty.dictionary_sha256, self._empty.title, kept)
