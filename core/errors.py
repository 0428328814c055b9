"""The errors that a person at the screen can fix. Everything else is a bug."""

from collections.abc import Sequence
from difflib import get_close_matches

from core.amounts import of_bytes


class LoupeError(Exception):
    """Base of the family: pages show its message and go on.

    A message names the value, what was expected, and the next step.
    """


class UnknownNameError(LoupeError):
    """A name is not on the list of known names."""

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
    """A path below an allowed folder does not exist, or is of the wrong kind (a file for a folder, for example)."""


class CorpusError(LoupeError):
    """A text source is missing, empty or too short."""


class DoesNotFitError(LoupeError):
    """A dictionary and a model, or a method and a dictionary, do not go together."""


class BadSettingError(LoupeError):
    """A setting has a value that the method cannot use."""


class CancelledError(LoupeError):
    """The person stopped a long computation."""


class NotDownloadedError(LoupeError):
    """A dictionary or model is on the hub but not on this machine. No request was made."""

    def __init__(self, kind: str, id: str, nbytes: int | None = None, *, what: str = ""):
        self.kind = kind
        """'dictionary', 'model' (all of it) or 'model tensors'."""
        self.id = id
        self.nbytes = nbytes
        size = of_bytes(nbytes) if nbytes is not None else "the size is not known yet"
        missing = f" ({what[:200]} is missing)" if what else ""
        super().__init__(
            f"The {kind} {id[:200]!r} is not on this machine{missing}. Expected it among the downloads; the "
            f"app downloads only what you ask for. Press Download to get it ({size})."
        )


class HubError(LoupeError):
    """A request to the hub failed."""


class HubUnreachableError(HubError):
    """The hub did not answer: no network, an unknown host, a timeout, or offline mode."""


class HubNotFoundError(HubError):
    """The hub answers that there is no such repository, revision or file (404)."""


class HubAccessError(HubError):
    """The hub asks for a login (401) or refuses access (403): the repository is private or gated."""


class HubBusyError(HubError):
    """The hub answers with 429 or a server error, even after several attempts."""


class HubDamagedError(HubError):
    """The received data are wrong: too short, too long, a different checksum, or an unexpected format."""


class OutOfSpaceError(LoupeError):
    """A disk has too little free space."""


class StoreError(LoupeError):
    """A place for results cannot be opened."""


class SweepError(LoupeError):
    """A sweep, its plan or its store cannot be used as it is."""


class MissingActivationsError(LoupeError):
    """Some of the stored activations are missing."""


class TokenSetError(LoupeError):
    """Typed or uploaded text is not a valid token set."""
