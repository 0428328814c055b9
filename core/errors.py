"""The errors a person at the screen can do something about. Everything else is a bug."""

from collections.abc import Sequence
from difflib import get_close_matches

from core.amounts import of_bytes


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


class NoSuchPathError(PathNotAllowedError):
    """A path below a folder that this app may read leads to nothing, or to something of another kind."""


class CorpusError(LoupeError):
    """A text source is missing, empty or too short."""


class DoesNotFitError(LoupeError):
    """A dictionary and a model, or a method and a dictionary, do not go together."""


class BadSettingError(LoupeError):
    """A setting has a value that the method cannot use."""


class CancelledError(LoupeError):
    """The person stopped a long computation."""


class NotDownloadedError(LoupeError):
    """Something named by the person lies on the hub and not on this machine. Nothing was asked of the hub."""

    def __init__(self, kind: str, id: str, nbytes: int | None = None, *, what: str = ""):
        self.kind = kind
        """'dictionary', 'model' (all of it) or 'model tensors'."""
        self.id = id
        self.nbytes = nbytes
        size = of_bytes(nbytes) if nbytes is not None else "size not known before the hub is asked"
        missing = f" ({what[:200]} is missing)" if what else ""
        super().__init__(
            f"The {kind} {id[:200]!r} is not on this machine{missing}. Expected it among the downloads; nothing is "
            f"fetched unasked. Press Download to get it ({size})."
        )


class HubError(LoupeError):
    """The hub did not give what was asked of it."""


class HubUnreachableError(HubError):
    """No answer: no network, no such host, a timeout, or offline mode is on."""


class HubNotFoundError(HubError):
    """The hub answers that there is no such repository, revision or file (404)."""


class HubAccessError(HubError):
    """The hub wants to know who asks (401), or refuses (403): a private or gated repository."""


class HubBusyError(HubError):
    """The hub answers with 429 or a server error, again and again."""


class HubDamagedError(HubError):
    """What came is not what was announced: too short, too long, another checksum, not the format."""


class OutOfSpaceError(LoupeError):
    """A disk has no room for what was asked."""


class MissingActivationsError(LoupeError):
    """Stored activations are not, or no longer, all there."""


class TokenSetError(LoupeError):
    """What was typed or uploaded does not make a token set."""
