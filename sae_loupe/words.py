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
    if error.kind.startswith("model"):
        return (
            f"The model {error.id[:200]!r} is not on this machine. Expected its folder or a downloaded copy. Give the "
            f"folder as open(..., model='PATH'), or download it{size} with huggingface_hub.snapshot_download."
        )
    return (
        f"The {error.kind} {error.id[:200]!r} is not on this machine. Expected it among the downloads, or a path. "
        f"Download it{size} in the app, or with huggingface_hub.snapshot_download and open the path that this returns."
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
