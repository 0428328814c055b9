"""The selections that people keep, in one file for each dictionary beside its notes.

Those without a name are there for links that are too long for their list; the oldest of them go.
"""

import json
import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from core.characters import whole
from core.errors import LoupeError, UnknownNameError
from core.files.kept import KeptFile, KeptInSession
from core.selection.selection import Selection, SelectionError

FORMAT = "sae-loupe-selections/v1"
MOST_NAMED, MOST_UNNAMED = 300, 20
MOST_BYTES = 50 * 2**20
_TITLE = re.compile(r'"title": "((?:[^"\\]|\\.){0,300})"')


class DamagedSelectionsError(SelectionError):
    """A file is not one that this app writes."""


@dataclass(frozen=True)
class Kept:
    """All kept selections of a dictionary, the oldest first."""

    selections: tuple[Selection, ...] = ()

    def named(self) -> dict[str, Selection]:
        """Return those with a name, in alphabetical order."""
        found = {one.name: one for one in self.selections if one.name}
        return dict(sorted(found.items(), key=lambda item: item[0].casefold()))

    def find(self, name_or_key: str) -> Selection:
        """Return the selection with a key or a name. Raises UnknownNameError."""
        for one in reversed(self.selections):
            if name_or_key in (one.key, one.name):
                return one
        raise UnknownNameError("kept selection", name_or_key, list(self.named()))


class SelectionStore:
    """The selections kept of one dictionary, in the folder of notes or, up to `most_bytes`, in a visitor's session."""

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
        self.dictionary_sha256, self.title, self.d_sae = dictionary_sha256, whole(title), d_sae
        name, most = f"{dictionary_sha256}.selections.json", most_bytes or MOST_BYTES
        how = {"what": "selections", "parse": self._parse, "write": self._write, "empty": Kept()}
        self.path = place / name if isinstance(place, Path) else None
        """Its file; None in a session."""
        self._file = (
            KeptFile(self.path, error=SelectionError, damaged=DamagedSelectionsError, most_bytes=most, **how)
            if self.path
            else KeptInSession(place, name, error=SelectionError, most_bytes=most, **how)
        )

    @property
    def state(self) -> str:
        """A text that changes when what is kept does."""
        return self._file.state

    def read(self) -> Kept:
        """Return all; none if the file was damaged, which is then set aside. Raises SelectionError."""
        return self._file.read()

    def set_aside(self) -> list[Path]:
        """Return the damaged files that were set aside; they stay until a person removes them."""
        return self._file.set_aside()

    def keep(self, selection: Selection) -> Kept:
        """Keep a selection, in place of one with the same name; one without a name only until newer ones come.

        Raises SelectionError.
        """
        assert selection.dictionary_sha256 == self.dictionary_sha256

        def same(one: Selection) -> bool:
            return one.name == selection.name and (bool(one.name) or one.key == selection.key)

        return self._change(lambda there: (*(one for one in there if not same(one)), selection))

    def rename(self, name: str, new: str) -> Kept:
        """Give a selection another name. Raises UnknownNameError, and SelectionError for a name that is taken."""

        def change(there: tuple[Selection, ...]) -> tuple[Selection, ...]:
            found, named = Kept(there).find(name), Kept(there).named()
            renamed = found.called(new)
            if renamed.name != name and renamed.name in named:
                raise SelectionError(f"Another selection is called {renamed.name!r}. Expected a new name; choose one.")
            return tuple(renamed if one == found else one for one in there)

        return self._change(change)

    def delete(self, name: str) -> Kept:
        """Take a named selection off the list. Raises SelectionError."""
        return self._change(lambda there: tuple(one for one in there if one.name != name))

    def _change(self, change: Callable[[tuple[Selection, ...]], tuple[Selection, ...]]) -> Kept:
        def changed(kept: Kept) -> Kept:
            after = change(kept.selections)
            unnamed = [one for one in after if not one.name][-MOST_UNNAMED:]
            if sum(bool(one.name) for one in after) > MOST_NAMED:
                raise SelectionError(
                    f"{MOST_NAMED} selections of this dictionary have names; expected no more. Delete one first."
                )
            return Kept(tuple(one for one in after if one.name or one in unnamed))

        return self._file.change(changed)

    def _write(self, kept: Kept) -> bytes:
        entries = [{"name": one.name, "origin": one.origin, "features": one.text} for one in kept.selections]
        dictionary = {"sha256": self.dictionary_sha256, "title": self.title}
        content = {"format": FORMAT, "dictionary": dictionary, "selections": entries}
        return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode("utf-8")

    def _parse(self, data: bytes) -> Kept:
        try:
            content = json.loads(data.decode("utf-8"))
            kind = content["format"]
            if kind != FORMAT and isinstance(kind, str) and kind.startswith("sae-loupe-selections/"):
                raise SelectionError(
                    f"The selections in {self.path or 'the session'} are in the format {kind[:40]!r}; expected "
                    f"{FORMAT!r}. Use a newer version."
                )
            if kind != FORMAT or content["dictionary"]["sha256"] != self.dictionary_sha256:
                raise ValueError("it is of another format or dictionary")
            return Kept(tuple(map(self._selection, content["selections"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, _BadEntryError) as error:
            raise DamagedSelectionsError(
                f"{self.path} is no file of selections ({type(error).__name__}: {str(error)[:200]}). Expected JSON in "
                f"the format {FORMAT!r}."
            ) from error

    def _selection(self, entry: Any) -> Selection:
        texts = [entry[name] for name in ("features", "name", "origin")]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("an entry is not text")
        try:
            return Selection.parse(
                texts[0], dictionary_sha256=self.dictionary_sha256, d_sae=self.d_sae, name=texts[1], origin=texts[2]
            )
        except LoupeError as error:
            raise _BadEntryError(str(error)) from error


class _BadEntryError(Exception):
    """An entry of a file of selections is none."""


def title_of(place: Path | MutableMapping[str, bytes], sha256_begins: str) -> str | None:
    """Return the title of the dictionary whose hash begins so, if selections of it are kept in a folder or session."""
    assert re.fullmatch(r"[0-9a-f]+", sha256_begins)
    for begin in _beginnings(place, f"{sha256_begins}*.selections.json"):
        match = _TITLE.search(begin.decode("utf-8", errors="replace"))
        try:
            return json.loads(f'"{match[1]}"') if match else None
        except ValueError:
            return None
    return None


def _beginnings(place: Path | MutableMapping[str, bytes], pattern: str) -> list[bytes]:
    """Return the first bytes of what is kept under the first name that fits."""
    if not isinstance(place, Path):
        return [place[name][:2_000] for name in sorted(place) if fnmatchcase(name, pattern)][:1]
    for path in sorted(place.glob(pattern))[:1]:
        with path.open("rb") as file:
            return [file.read(2_000)]
    return []
