"""Errors in the words of a notebook, which has no buttons."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from core.amounts import of_bytes
from core.errors import LoupeError, NotDownloadedError

F = TypeVar("F", bound=Callable)


def said(error: LoupeError) -> str:
    """Return what an error says to somebody who types calls."""
    if not isinstance(error, NotDownloadedError):
        return str(error)
    size = f" ({of_bytes(error.nbytes)})" if error.nbytes is not None else ""
    where = "its folder as open(..., model='PATH')" if error.kind.startswith("model") else "the path of its files"
    return (
        f"The {error.kind} {error.id[:200]!r} is not on this machine. Expected it among the downloads. Get it{size} "
        f"with sae_loupe.download({error.id[:200]!r}), or give {where}."
    )


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
