"""Reads a config from outside field by field; an error names the wrong field."""

import re
from collections.abc import Mapping, Set
from itertools import pairwise
from pathlib import Path
from typing import Any

from core.errors import BadDictionaryError

LARGEST_NUMBER = 2**40
"""No width, count or context is larger. Without a limit, Python would compute with numbers of any length."""
_NAME = r"[A-Za-z0-9_.-]{1,200}"


def short(value: object, most: int = 80) -> str:
    """Return a value from outside as a message shows it, even a number of any length."""
    try:
        return f"{value!r:.{most}}"
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"


class ConfigFields:
    """One JSON object of a config file; every method raises BadDictionaryError for a value of a wrong kind.

    null counts as absent. An absent value is None or the default; if it is needed, it is an error.
    """

    def __init__(self, values: Mapping[str, Any], file: Path):
        self._values = values
        self._file = file
        self._read: set[str] = set()

    def unread(self) -> dict[str, Any]:
        """Return the fields that nothing has read, by name, without those that are null."""
        return {
            str(name): value for name, value in self._values.items() if name not in self._read and value is not None
        }

    def peek(self, name: str) -> Any:
        """Return a value of any kind, but do not count it as read: `unread` still names it."""
        return self._values.get(name)

    def value(self, name: str) -> Any:
        """Return a value of any kind, None if it is absent."""
        return self._get(name, needed=False)

    def whole(self, name: str, *, most: int | None = None, needed: bool = False) -> int | None:
        """Return a whole number from 1 to `most`."""
        value = self._get(name, needed)
        if value is None or (type(value) is int and 1 <= value <= (most or LARGEST_NUMBER)):
            return value
        raise self.bad(name, f"a whole number from 1 to {most}" if most else "a positive whole number of memory's size")

    def count(self, name: str) -> int | None:
        """Return a whole number from 0."""
        value = self._get(name, needed=False)
        if value is None or (type(value) is int and 0 <= value <= LARGEST_NUMBER):
            return value
        raise self.bad(name, "a whole number from 0")

    def widths(self, name: str, *, most: int) -> tuple[int, ...]:
        """Return rising whole numbers from 1 to `most`; empty if absent."""
        value = self._get(name, needed=False)
        if value is None:
            return ()
        numbers = isinstance(value, list) and all(type(width) is int and 1 <= width <= most for width in value)
        if numbers and all(a < b for a, b in pairwise(value)):
            return tuple(value)
        raise self.bad(name, f"rising whole numbers from 1 to {most}")

    def text(self, name: str, *, needed: bool = False) -> str | None:
        """Return a string of at most 200 characters."""
        value = self._get(name, needed)
        if value is None or (isinstance(value, str) and len(value) <= 200):
            return value
        raise self.bad(name, "a text of at most 200 characters")

    def name(self, name: str, *, needed: bool = False) -> str | None:
        """Return the name of a hook: letters, digits, dots, dashes and underscores."""
        value = self._get(name, needed)
        if value is None or (isinstance(value, str) and re.fullmatch(_NAME, value)):
            return value
        raise self.bad(name, "a hook's name such as blocks.0.hook_resid_pre")

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._get(name, needed=False)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        raise self.bad(name, "true or false")

    def one_of(self, name: str, allowed: Set[str], *, default: str = "none") -> str:
        value = self._get(name, needed=False)
        if value is None or (isinstance(value, str) and value in allowed):
            return default if value is None else value
        raise self.bad(name, f"one of {', '.join(sorted(allowed))}")

    def group(self, name: str) -> "ConfigFields":
        """Return an object inside this one; an empty object if it is absent."""
        value = self._get(name, needed=False)
        if value is None or isinstance(value, dict):
            return ConfigFields(value or {}, self._file)
        raise self.bad(name, "a JSON object")

    def bad(self, name: str, expected: str) -> BadDictionaryError:
        """Return the error that says what a field holds and what was expected."""
        return BadDictionaryError(
            f"{self._file} has {name} {short(self._values.get(name))}; expected {expected}. "
            "Correct the file or save the dictionary again."
        )

    def _get(self, name: str, needed: bool) -> Any:
        self._read.add(name)
        value = self._values.get(name)
        if needed and value in (None, ""):
            raise BadDictionaryError(
                f"{self._file} does not say {name}. Expected it there, as sae-lens writes it on saving. "
                "Add it or save the dictionary again."
            )
        return value
