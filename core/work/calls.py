"""Work as data: a function and its arguments, which another process can do as well.

Dictionaries and models travel as what opens them and their hash; all else as it is. What is read here was written by
a process of ours to its own pipe, never by a file or a network.
"""

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from core.errors import LoupeError
from core.work.memory import Loaded
from core.work.progress import SILENT, Progress


class ChangedError(LoupeError):
    """The files of a dictionary or model changed after a page had read them."""


class NoDataError(Exception):
    """Work holds something that is no data, such as a lock: only this process can do it."""


@dataclass(frozen=True)
class Call:
    """A function and its arguments; `progress` is one more, if it `tells`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    tells: bool = True

    def __call__(self, progress: Progress = SILENT) -> Any:
        told = {"progress": progress} if self.tells else {}
        return self.function(*self.arguments, **self.options, **told)


def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Call:
    """Return `function(*arguments, progress=..., **options)` as data."""
    return Call(function, arguments, options)


def silent_call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Call:
    """Return `function(*arguments, **options)` as data, which tells nobody how far it is."""
    return Call(function, arguments, options, tells=False)


_openings: WeakKeyDictionary[Any, tuple[str, partial]] = WeakKeyDictionary()
"""By a thing that was opened: the name that it is held under, and what opens it again."""


def opened_by(thing: Any, name: str, open: partial) -> None:
    """Say how another process opens this thing, which has a `sha256`. Equal names mean equal things."""
    _openings[thing] = name, open


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        try:
            opening = _openings.get(value)
        except TypeError:  # what has no hash or weak references is none of these
            return None
        return None if opening is None else (*opening, value.sha256)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, held: Loaded):
        super().__init__(file)
        self._held = held

    def persistent_load(self, opening: tuple[str, partial, str]) -> Any:
        name, open, sha256 = opening

        def read() -> Any:
            thing = open()
            if hasattr(thing, "make_room"):
                thing.make_room = lambda nbytes: self._held.make_room(nbytes, name)
            return thing

        thing = self._held.get(f"{name} {sha256}", read, name=name)
        if thing.sha256 != sha256:
            raise ChangedError(
                f"The files of {name[:200]} are others than when this page read them. Expected the same content; load "
                "the page anew."
            )
        return thing


def packed(value: Any) -> bytes:
    """Write work for another process. Raises NoDataError."""
    file = io.BytesIO()
    try:
        _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise NoDataError(str(error)) from error
    return file.getvalue()


def unpacked(content: bytes, held: Loaded) -> Any:
    """Read what `packed` wrote; what it names is opened once, and held."""
    return _Unpickler(io.BytesIO(content), held).load()
