"""Errors in the words of a notebook, which has no buttons."""

import operator
import re
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from core.errors import LoupeError, NotDownloadedError, OutOfRangeError

F = TypeVar("F", bound=Callable)


_BUTTON = re.compile(r"Expected it among the downloads; the app [^.]*\. Press Download to get it \((.*?)\)\.")


def said(error: LoupeError) -> str:
    """Return what an error says to somebody who types calls."""
    if not isinstance(error, NotDownloadedError):
        return str(error)
    where = "its folder as open(..., model='PATH')" if error.kind.startswith("model") else "the path of its files"
    call = f"sae_loupe.download({error.id[:200]!r})"

    def step(found: re.Match) -> str:
        return f"Expected it among the downloads. Get it with {call} ({found[1]}), or give {where}."

    return _BUTTON.sub(step, str(error))


def number(kind: str, value: object, size: int) -> int:
    """Return a whole number below `size` that a person gave. Raises OutOfRangeError for anything else."""
    try:
        found = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise OutOfRangeError(kind, value, size) from None
    if not 0 <= found < size:
        raise OutOfRangeError(kind, found, size)
    return found


def in_words(call: F) -> F:
    """Let a public call raise errors in the words of a notebook."""

    @wraps(call)
    def worded(*args, **kwargs):
        try:
            return call(*args, **kwargs)
        except LoupeError as error:
            error.args = (said(error),)
            raise

    return worded  # type: ignore[return-value]
