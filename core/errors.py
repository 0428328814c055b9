"""The errors a person at the screen can do something about. Everything else is a bug."""

from collections.abc import Sequence
from difflib import get_close_matches


class LoupeError(Exception):
    """Base of the family: pages show its message and go on.

    A message names the value it got, what was expected, and the next step.
    """


class UnknownNameError(LoupeError):
    """A name was asked for that is not on the list."""

    def __init__(self, kind: str, name: str, known: Sequence[str]):
        close = get_close_matches(name, known, n=3)
        if close:
            hint = f"Did you mean {' or '.join(close)}?"
        elif known:
            hint = f"Choose one of: {', '.join(list(known)[:12])}."
        else:
            hint = "None is available."
        super().__init__(f"There is no {kind} called {name[:200]!r}. {hint}")


class OutOfRangeError(LoupeError):
    """An index lies outside its range."""

    def __init__(self, kind: str, value: object, size: int):
        super().__init__(
            f"{kind} {str(value)[:50]} does not exist: expected a whole number from 0 to {size - 1}. "
            f"Choose one in that range."
        )


class BadDictionaryError(LoupeError):
    """A folder or file does not hold a dictionary that can be read."""


class PathNotAllowedError(LoupeError):
    """A path points outside the folders this app may read."""


class CorpusError(LoupeError):
    """A text source is missing, empty or too short."""


class DoesNotFitError(LoupeError):
    """A dictionary and a model, or a method and a dictionary, do not go together."""


class CancelledError(LoupeError):
    """The person stopped a long computation."""
