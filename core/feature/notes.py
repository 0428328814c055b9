"""Notes and tags that people give to features, and their JSON, in which they are stored and exchanged."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.amounts import of_bytes
from core.characters import whole
from core.errors import LoupeError

FORMAT = "sae-loupe-notes/v1"
MOST_CHARACTERS, MOST_TAGS, MOST_TAG_CHARACTERS = 20_000, 30, 40
MOST_BYTES = 50 * 2**20
"""Largest size of a file of notes; larger files are not read."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class NotesError(LoupeError):
    """Notes cannot be read or kept as they are."""


class DamagedNotesError(NotesError):
    """A file is not one that this app writes."""


@dataclass(frozen=True)
class Note:
    """Text and tags that a person wrote about a feature."""

    text: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, tags: list[str] | tuple[str, ...] = ()) -> "Note":
        """Make a note from typed text: without control characters, and tags without commas and duplicates.

        Raises NotesError for text or tags that are too long.
        """
        text = _printable(text.replace("\r\n", "\n")).strip()
        words = [" ".join(_printable(tag).replace(",", " ").split()) for tag in tags]
        kept = tuple({word.casefold(): word for word in reversed(words) if word}.values())[::-1]
        _check("A note", len(text), MOST_CHARACTERS, "characters")
        _check("A feature", len(kept), MOST_TAGS, "tags")
        _check("A tag", max(map(len, kept), default=0), MOST_TAG_CHARACTERS, "characters")
        return cls(text, kept)

    def __bool__(self) -> bool:
        return bool(self.text or self.tags)

    def merged(self, other: "Note") -> "Note":
        """Return both notes as one: this text, below it those paragraphs of the other that it lacks, and all tags."""
        here, there = (note.text.split("\n\n") for note in (self, other))
        text = "\n\n".join([*here, *(part for part in there if part not in here)])
        return Note.of(text, (*self.tags, *other.tags))


@dataclass(frozen=True)
class Notes:
    """All notes on a dictionary, by feature."""

    dictionary_sha256: str
    title: str
    by_feature: Mapping[int, Note]

    def tags(self) -> list[str]:
        """Return every tag in use, in alphabetical order."""
        return sorted({tag for note in self.by_feature.values() for tag in note.tags}, key=lambda tag: tag.casefold())

    def table(self, *, search: str = "", tags: list[str] | tuple[str, ...] = ()) -> pd.DataFrame:
        """Return features by number: feature, feature_tags, feature_note.

        Only features that have all of `tags`, and every word of `search` in note or tags. Case does not matter.
        """
        words, asked = search.casefold().split(), {tag.casefold() for tag in tags}
        rows = []
        for feature, note in sorted(self.by_feature.items()):
            text = "\n".join((note.text, *note.tags)).casefold()
            if asked <= {tag.casefold() for tag in note.tags} and all(word in text for word in words):
                rows.append((feature, ", ".join(note.tags), note.text))
        return pd.DataFrame(rows, columns=["feature", "feature_tags", "feature_note"])

    def to_json(self) -> bytes:
        """Return the file's content: readable, features in order; equal notes give equal bytes."""
        entries = {
            str(feature): {"note": note.text, "tags": list(note.tags)}
            for feature, note in sorted(self.by_feature.items())
            if note
        }
        dictionary = {"sha256": self.dictionary_sha256, "title": _printable(self.title)}
        content = {"format": FORMAT, "dictionary": dictionary, "features": entries}
        return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def from_json(data: bytes) -> Notes:
    """Read and check what `to_json` wrote.

    Raises DamagedNotesError, or NotesError for a newer format and for notes that are too long.
    """
    if len(data) > MOST_BYTES:
        raise NotesError(
            f"The file has {of_bytes(len(data))}, expected at most {of_bytes(MOST_BYTES)} of notes. Split it."
        )
    try:
        content = json.loads(data.decode("utf-8-sig"))
        kind = content["format"]
        if kind != FORMAT and isinstance(kind, str) and kind.startswith("sae-loupe-notes/"):
            raise NotesError(f"These notes are in the format {kind[:40]!r}; expected {FORMAT!r}. Use a newer version.")
        if kind != FORMAT:
            raise ValueError(f"its format is {kind!r:.60}")
        names = content["dictionary"]["sha256"], content["dictionary"]["title"]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("it does not name its dictionary")
        return Notes(*names, {_number(name): _note(entry) for name, entry in content["features"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedNotesError(
            f"This is no file of notes ({type(error).__name__}: {str(error)[:200]}). Expected JSON in the format "
            f"{FORMAT!r}, as the button for downloading notes gives it."
        ) from error


def _note(entry: Any) -> Note:
    text, tags = entry["note"], entry["tags"]
    if not isinstance(text, str) or not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("a note is not text and a list of tags")
    return Note.of(text, tags)


def _number(name: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,9}", name):
        raise ValueError(f"{name[:40]!r} is no feature number")
    return int(name)


def _printable(text: str) -> str:
    """Return text that UTF-8 can hold, without control characters other than line breaks and tabs."""
    return _CONTROL.sub("", whole(text))


def _check(what: str, value: int, most: int, unit: str) -> None:
    if value > most:
        raise NotesError(f"{what} of {value:,} {unit} is too much; expected at most {most:,}. Shorten it.")
