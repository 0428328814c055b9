"""What visitors of the running app may do: everything on a person's own machine, little where anybody may come.

Every entry that a public app closes asks the one `Policy` of the workspace, so that this file is the whole list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.amounts import of_bytes
from core.errors import LoupeError

_CLOUD_FOLDER = Path("/mount/src")
_CLOUD_HOST = "streamlit"
_ELSEWHERE = "or run SAE Loupe on your own machine, where nothing is closed"


class ClosedInPublicError(LoupeError):
    """A visitor asked a public app for what only the app on a person's own machine does."""

    def __init__(self, got: str, rule: str, expected: str, step: str):
        super().__init__(f"{got[:200]!r}: this public app {rule}. Expected {expected}. {step}, {_ELSEWHERE}.")


@dataclass(frozen=True)
class Policy:
    """What visitors may do. The default is that of a person's own machine."""

    public: bool = False
    """Whether anybody may come: then paths, settings of files and most downloads are closed."""
    repositories: tuple[str, ...] = ()
    """Repositories of the hub that a public app opens and downloads, as USER/NAME."""
    upload_bytes: int | None = None
    """The most bytes of an uploaded file. None: as much as the field that takes it."""
    kept_bytes: int | None = None
    """The most bytes of notes, and of selections, that a session keeps of a dictionary. None: as a file holds."""
    tokens: int | None = None
    """The most tokens of text that a token pass reads. None: as many as a person asks for."""
    held_bytes: int | None = None
    """The most bytes of dictionaries, models and results in memory. None: half of what is free."""
    cache_bytes: int | None = None
    """The most bytes of results on disk. None: no limit."""
    waiting: int | None = None
    """The most pieces of work that one session may have waiting. None: any number."""
    seconds: int | float | None = None
    """The longest that one piece of work may run. None: to its end."""

    @property
    def takes_paths(self) -> bool:
        """Whether a visitor may name paths of this machine: else no field asks for one, and links are refused."""
        return not self.public

    def check_path(self, text: str) -> None:
        """Raise ClosedInPublicError for a path that a visitor names."""
        if not self.takes_paths:
            raise ClosedInPublicError(
                text, "opens no path that a visitor names", "a dictionary or text of its lists", "Choose one there"
            )

    def lists(self, name: str) -> bool:
        """Whether a repository of the hub (or a set of Neuronpedia's) may be opened and downloaded."""
        return not self.public or name in self.repositories

    def check_repository(self, name: str) -> None:
        """Raise ClosedInPublicError for a repository of the hub (or a set of Neuronpedia's) that is not on the list."""
        if not self.lists(name):
            listed = f"one of {', '.join(self.repositories[:12])}" if self.repositories else "no download at all"
            raise ClosedInPublicError(
                name, "opens and downloads only what it lists", listed, "Choose a dictionary of the list"
            )

    def check_settings(self, id: str) -> None:
        """Raise ClosedInPublicError for settings that a visitor writes behind the id of a dictionary."""
        if self.public:
            raise ClosedInPublicError(
                id, "takes no settings of files behind a #", "an id of its list", "Leave out the # and what follows"
            )

    def check_upload(self, name: str, nbytes: int) -> None:
        """Raise ClosedInPublicError for an uploaded file that is too large to be held in memory."""
        if self.upload_bytes is not None and nbytes > self.upload_bytes:
            raise ClosedInPublicError(
                name,
                f"holds uploads in memory alone, and this one has {of_bytes(nbytes)}",
                f"at most {of_bytes(self.upload_bytes)}",
                "Upload a smaller file",
            )

    def check_training(self, name: str) -> None:
        """Raise ClosedInPublicError for a training run that a visitor starts, stops or removes."""
        if self.public:
            raise ClosedInPublicError(name, "trains nothing", "the dictionaries that it lists", "Choose one of them")

    def check_sweeps(self) -> None:
        """Raise ClosedInPublicError: plans name folders and machines, and the words of failures hold more of them."""
        if self.public:
            raise ClosedInPublicError("sweeps", "shows no plans", "one of its other pages", "Choose one in the menu")

    def check_tokens(self, n: int) -> None:
        """Raise ClosedInPublicError for a token pass over too many tokens."""
        if self.tokens is not None and n > self.tokens:
            raise ClosedInPublicError(
                f"{n:,} tokens", "shares one machine among all", f"at most {self.tokens:,} tokens", "Ask for fewer rows"
            )


OWN = Policy()
"""The policy of a person's own machine, which closes nothing."""


def of_visitors(repositories: tuple[str, ...] = ()) -> Policy:
    """Return the policy of a public app, with the repositories that it may download.

    An upload of up to 1 MiB is never written to a temporary file by the web server (starlette's formparsers).
    """
    return Policy(
        public=True,
        repositories=repositories,
        upload_bytes=2**20,
        kept_bytes=2**20,
        tokens=2**18,
        held_bytes=2**28,
        cache_bytes=2**31,
        waiting=24,
        seconds=300.0,
    )


def on_community_cloud(environment: Mapping[str, str], project: Path) -> bool:
    """Whether this is Streamlit Community Cloud.

    It sets no variable that says so. Its containers hold the repository below /mount/src, as tracebacks of apps there
    show, and their host is called streamlit. One of the two is enough: a wrong guess closes too much, not too little,
    and the option --no-public opens it again.
    """
    return project.is_relative_to(_CLOUD_FOLDER) or environment.get("HOSTNAME") == _CLOUD_HOST
