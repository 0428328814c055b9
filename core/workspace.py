"""Where the running app may read and write; made once at the start from the command line."""

import argparse
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from core.characters import whole
from core.errors import NoSuchPathError, PathNotAllowedError
from core.installation import PROJECT, cache_folder, notes_folder, readable_folder, runs_folder, started_with
from core.policy import OWN, Policy, of_visitors, on_community_cloud


def located(path: Path) -> Path:
    """Resolve a path, but keep the name of a file that is a link: the files of a download cache have no ending."""
    return path.parent.resolve() / path.name if path.is_symlink() and path.is_file() else path.resolve()


def split_tail(text: str) -> tuple[str, str]:
    """Split PATH#NAME=VALUE&NAME=VALUE at the #. A # that no setting follows is part of the path."""
    match = re.fullmatch(r"([^\n]*?)#((?:\w+=[^#&]*)(?:&\w+=[^#&]*)*)", text.strip()) if len(text) <= 4096 else None
    return (match[1], match[2]) if match else (text, "")


def pinned_text(text: str) -> tuple[Path, str]:
    """Return the path that a --sae names, and the key that offers it: path and settings."""
    path, tail = split_tail(text)
    # No file has such a name (too long, an unknown user, half a character). Opening it says so.
    with suppress(OSError, RuntimeError, ValueError):
        if Path(text).expanduser().exists():  # a folder may be called lr=1#seed=2
            path, tail = text, ""
    place = Path(path)
    with suppress(OSError, RuntimeError, ValueError):
        place = located(place.expanduser())
    return place, f"{place}#{tail}" if tail else str(place)


@dataclass(frozen=True)
class Workspace:
    """Folders that the app knows."""

    cache: Path = field(default_factory=cache_folder)
    """Folder of results. It may be deleted at any time."""
    roots: tuple[Path, ...] = (PROJECT,)
    """A path that a person types must lie below one of these."""
    pinned: tuple[Path, ...] = ()
    """Dictionary folders and files named on the command line, offered first."""
    offered: tuple[str, ...] = ()
    """The same paths with their settings, as PATH#NAME=VALUE. Empty means that none has settings."""
    models: tuple[Path, ...] = field(default=(PROJECT / "demo" / "model",))
    """Model folders that can be found by the name in their config."""
    start_page: str | None = None
    """Name, in the URL, of the page that the bare address shows. None means the first page."""
    memory_bytes: int | None = None
    """The most bytes held in memory; None means half of what is free."""
    device: str = "auto"
    """Where large analyses and models run, unless a session chose otherwise (core.devices.device.chosen)."""
    dtype: str = "own"
    """What models run in: float32, bfloat16, float16, or own, which is that of their weights."""
    notes: Path = field(default_factory=notes_folder)
    """Folder of notes on features. Unlike the cache, it cannot be computed again."""
    runs: Path = field(default_factory=runs_folder)
    """Folder of training runs and of the dictionaries that they made."""
    policy: Policy = OWN
    """What visitors may do."""
    apart: bool = False
    """Whether models run in a process of their own, which ends when it is idle (core.work.apart)."""
    store: str = ""
    """Address of a place where results are shared, see core.work.elsewhere; empty means the cache alone."""

    def allowed_folder(self, text: str) -> Path:
        """Resolve a typed path and return it if it is a folder below a root (or pinned).

        Links are followed before the check. Raises PathNotAllowedError with the same message for a folder
        outside and for one that does not exist, so that nobody can probe what lies outside. Raises
        ClosedInPublicError for every path in a public app.
        """
        self.policy.check_path(text)
        for root in (*self.roots, *self.pinned) if len(text) <= 1024 and text.strip() else ():
            # An unknown user, a loop of links, a name that is too long or has invalid bytes: none of these is a folder.
            with suppress(OSError, RuntimeError, ValueError):
                typed, root = Path(text.strip()).expanduser(), root.resolve()
                path = (typed if typed.is_absolute() else root / typed).resolve()
                if path.is_relative_to(root) and path.is_dir():
                    return path
        raise self._refusal(text, "a folder")

    def allowed_path(self, text: str) -> Path:
        """Resolve a typed path and return it if it is a folder or a file below a root (or pinned).

        Like `allowed_folder`. A file that is a link keeps its name, and its target is checked as well.
        """
        self.policy.check_path(text)
        for root in (*self.roots, *self.pinned) if len(text) <= 1024 and text.strip() else ():
            with suppress(OSError, RuntimeError, ValueError, PathNotAllowedError):
                typed, root = Path(text.strip()).expanduser(), located(root)
                path = located(typed if typed.is_absolute() else root / typed)
                if path.is_relative_to(root) and (path.is_dir() or path.is_file()):
                    if path.is_file() and not self.is_pinned(path):
                        self.check_files(path.parent, (path.name,))
                    return path
        raise self._refusal(text, "a folder or file")

    def is_pinned(self, path: Path) -> bool:
        """Whether the command line named this resolved path or a folder above it."""
        return any(path.is_relative_to(located(place)) for place in self.pinned)

    def check_files(self, folder: Path, names: Iterable[str]) -> None:
        """Raise PathNotAllowedError if a file of an allowed folder is a link to somewhere outside.

        Folders named on the command line may contain links to any place; the download cache of
        huggingface_hub does.
        """
        if self.is_pinned(folder):
            return
        for name in names:
            path = (folder / name).resolve()
            if not any(path.is_relative_to(root.resolve()) for root in self.roots):
                raise self._refusal(str(folder / name), "a file")

    def _refusal(self, text: str, what: str) -> PathNotAllowedError:
        path = self._below(text)
        if path is not None and path.exists():
            held = "a folder" if path.is_dir() else "a file" if path.is_file() else "neither a file nor a folder"
            return NoSuchPathError(f"{text[:200]!r} is {held}, expected {what}. Choose another path.")
        if path is not None:
            return no_such_path(text, path, what)
        roots = ", ".join(str(root) for root in self.roots)
        return PathNotAllowedError(
            f"{text[:200]!r} is not {what} that this app may read. Expected {what} below {roots}. "
            f"To allow another place, start the app with: {started_with('--root FOLDER')}"
        )

    def _below(self, text: str) -> Path | None:
        """Resolve a typed path and return it if it lies below a root. A relative path starts at the first root."""
        roots = (*self.roots, *self.pinned) if text.strip().startswith(("/", "~")) else self.roots[:1]
        for root in roots if len(text) <= 1024 and text.strip() else ():
            with suppress(OSError, RuntimeError, ValueError):
                typed, root = Path(text.strip()).expanduser(), located(root)
                path = (typed if typed.is_absolute() else root / typed).resolve()
                if path.is_relative_to(root):
                    path.exists()  # raises for impossible names
                    return path
        return None


def is_there(path: Path) -> bool:
    """Whether there is a file or folder; False too for what can be no name: too long, with half a character or NUL."""
    with suppress(OSError, ValueError):
        return path.exists()
    return False


def no_such_path(text: str, path: Path, what: str = "a folder or file") -> NoSuchPathError:
    """Say that a typed path does not exist, and how to write ids: the id USER/NAME looks like a path."""
    other = " Write registry/RELEASE/ID for an entry of sae-lens' registry, hub/USER/NAME for a repository."
    return NoSuchPathError(
        f"There is nothing at {text[:200]!r}. Expected {what}: {whole(str(path)[:300])} does not exist. Check the path."
        + (other if "/" in text and not text.startswith((".", "/", "~")) else "")
    )


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of all words that say what the app looks at; each way to start the app reads them by it."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    offered = "dictionary (an SAE) to offer, a folder or file: PATH[#NAME=VALUE&...]"
    parser.add_argument("path", nargs="*", default=[], metavar="PATH", help=offered)
    parser.add_argument("--sae", action="append", default=[], metavar="PATH", help="the same, by name")
    parser.add_argument("--root", action="append", type=Path, default=[], help="allow typed paths below this folder")
    parser.add_argument("--model", action="append", type=Path, default=[], help="folder of a language model")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where results are kept")
    parser.add_argument("--store", default="", help="where results are shared: an address such as s3://BUCKET/PREFIX")
    parser.add_argument("--notes", type=Path, default=notes_folder(), help="where notes on features are kept")
    parser.add_argument("--runs", type=Path, default=runs_folder(), help="where training runs are kept")
    parser.add_argument("--page", help="start page, by its name in the address")
    parser.add_argument("--memory", type=float, help="most GB to hold in memory; default: half of what is free")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps: where to compute")
    parser.add_argument(
        "--dtype", default="own", choices=("own", "float32", "bfloat16", "float16"), help="what models run in"
    )
    parser.add_argument(
        "--apart", action=argparse.BooleanOptionalAction, help="run models in a process that ends when it is idle"
    )
    parser.add_argument("--public", action=argparse.BooleanOptionalAction, help="for visitors whom you do not know")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="USER/NAME", help="on the hub, what a public app downloads"
    )
    parser.add_argument("--allow-file", type=Path, help="file with such a name on each line")
    return parser


def check_arguments(options: argparse.Namespace) -> None:
    """Raise NoSuchPathError for a dictionary or model that is not there, so that a command can say so at once."""
    for text in (*options.path, *options.sae):
        place, _ = pinned_text(text)
        if not is_there(place):
            raise no_such_path(text, place)
    for folder in options.model:
        if not (is_there(folder) and folder.is_dir()):
            raise no_such_path(str(folder), folder, "the folder of a model")


def parse_arguments(arguments: list[str], environment: Mapping[str, str] | None = None) -> Workspace:
    """Turn the words that start the app into a workspace; ignore unknown options.

    Where the environment is that of Streamlit Community Cloud, the app is public unless the words say otherwise.
    """
    known, _ = argument_parser().parse_known_intermixed_args(arguments)
    return workspace_of(known, environment)


def workspace_of(known: argparse.Namespace, environment: Mapping[str, str] | None = None) -> Workspace:
    """Return the workspace that the words of `argument_parser` mean."""
    roots = tuple(path.resolve() for path in known.root) or (readable_folder(),)
    pinned = [pinned_text(text) for text in (*known.path, *known.sae)]
    models = (*(path.resolve() for path in known.model), PROJECT / "demo" / "model")
    public = on_community_cloud(environment or {}, PROJECT) if known.public is None else known.public
    return Workspace(
        cache=known.cache.resolve(),
        roots=roots,
        pinned=tuple(place for place, _ in pinned),
        offered=tuple(key for _, key in pinned),
        models=models,
        start_page=known.page,
        memory_bytes=int(known.memory * 1e9) if known.memory else None,
        device=known.device,
        dtype=known.dtype,
        notes=known.notes.resolve(),
        runs=known.runs.resolve(),
        store=known.store,
        apart=public if known.apart is None else known.apart,
        policy=of_visitors((*known.allow, *_lines(known.allow_file))) if public else OWN,
    )


def _lines(file: Path | None) -> list[str]:
    """Return the lines of a file that are neither empty nor begin with #. Raises NoSuchPathError."""
    if file is None:
        return []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NoSuchPathError(
            f"The list of allowed repositories, {str(file)[:200]!r}, cannot be read ({type(error).__name__}). "
            "Expected a text file with USER/NAME on each line. Check the path."
        ) from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
