"""The download cache that this machine shares with huggingface_hub and sae-lens. Nothing here uses the network.

Layout, as huggingface_hub documents it: `models--USER--REPO/blobs/HASH`, `snapshots/COMMIT/PATH` (links to
blobs), `refs/NAME` (which commit a branch was at when it was last downloaded).
"""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import HubNotFoundError

MAIN = "main"
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}"
_REPOSITORY = re.compile(rf"{_PART}(/{_PART})?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH = re.compile(r"[A-Za-z0-9_-]{8,128}")


@dataclass(frozen=True)
class HubFolder:
    """A place on the hub: a repository, a folder or file in it ('' is the root), and a branch, tag or commit."""

    repository: str
    path: str = ""
    revision: str = MAIN

    def __post_init__(self):
        for kind, value, good, example in (
            ("hub repository", self.repository, is_repository(self.repository), "jbloom/GPT2-Small-SAEs-Reformatted"),
            ("path in a repository", self.path, not self.path or is_inside(self.path), "blocks.8.hook_resid_pre"),
            ("revision", self.revision, is_revision(self.revision), "main, a tag or a commit's hash"),
        ):
            if not good:
                raise HubNotFoundError(
                    f"{value[:200]!r} cannot be a {kind}; expected something such as {example}. Correct the name."
                )

    def __str__(self) -> str:
        where = f"{self.repository}/{self.path}" if self.path else self.repository
        return where if self.revision == MAIN else f"{where}@{self.revision}"


def is_repository(text: str) -> bool:
    return _REPOSITORY.fullmatch(text) is not None and ".." not in text


def is_revision(text: str) -> bool:
    return _REVISION.fullmatch(text) is not None and ".." not in text


def is_inside(path: str) -> bool:
    """Whether a path on the hub stays inside its repository, by the rules for file names of every system."""
    parts = path.split("/")
    return len(path) <= 500 and path.isprintable() and not any(p in ("", ".", "..") or "\\" in p for p in parts)


def cache_root() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repository_folder(repository: str) -> Path:
    return cache_root() / f"models--{repository.replace('/', '--')}"


def commit_of(repository: str, revision: str = MAIN) -> str | None:
    """Return the commit of a revision at its last download; None if it was never downloaded."""
    if _COMMIT.fullmatch(revision):
        return revision if (repository_folder(repository) / "snapshots" / revision).is_dir() else None
    try:
        commit = (repository_folder(repository) / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def snapshot(repository: str, revision: str = MAIN) -> Path | None:
    """Return the folder that holds the downloaded files of a revision."""
    commit = commit_of(repository, revision)
    return repository_folder(repository) / "snapshots" / commit if commit else None


def cached_file(repository: str, path: str, revision: str = MAIN) -> Path | None:
    """Return a downloaded file, or None. No request is made."""
    folder = snapshot(repository, revision)
    file = folder / path if folder and is_inside(path) else None
    return file if file is not None and file.is_file() else None


def downloaded_files(repository: str, revision: str = MAIN) -> frozenset[str]:
    """Return the paths of all downloaded files of a revision."""
    folder = snapshot(repository, revision)
    if folder is None or not folder.is_dir():
        return frozenset()
    # os.walk is faster than rglob here: rglob looks at the target of every link.
    paths = (Path(base, name) for base, _, names in os.walk(folder) for name in names)
    return frozenset(path.relative_to(folder).as_posix() for path in paths if path.is_file())


def downloaded_repositories() -> frozenset[str]:
    """Return the repositories of which this cache holds at least one file."""
    root = cache_root()
    names = (path.name for path in root.glob("models--*")) if root.is_dir() else ()
    return frozenset(name.removeprefix("models--").replace("--", "/") for name in names)


def blob_path(repository: str, etag: str) -> Path | None:
    """Return the path for a file with this content; None if the etag is no valid file name."""
    return repository_folder(repository) / "blobs" / etag if _HASH.fullmatch(etag) else None


def link(repository: str, path: str, revision: str, commit: str, blob: Path) -> Path:
    """Link a downloaded blob as a file of a commit, and record that the revision is at this commit."""
    assert is_inside(path), path
    assert _COMMIT.fullmatch(commit), commit
    folder = repository_folder(repository)
    pointer = folder / "snapshots" / commit / path
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:  # a system without links
        shutil.copyfile(blob, pointer)
    if revision != commit:
        ref = folder / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit, encoding="utf-8")
    return pointer


def note_absent(snapshot: Path, path: str) -> None:
    """Note that a commit has no such file, where huggingface_hub notes it. `snapshot` is the commit's folder."""
    assert is_inside(path), path
    note = _absent(snapshot, path)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.touch()


def is_known_absent(snapshot: Path, path: str) -> bool:
    """Whether the hub was asked for a file of this commit before, and has none."""
    return _absent(snapshot, path).is_file()


def _absent(snapshot: Path, path: str) -> Path:
    return snapshot.parent.parent / ".no_exist" / snapshot.name / path


def stored_sha256(path: Path) -> str | None:
    """Return the SHA-256 that names a file in the cache; None if its name is another kind of hash."""
    blob = path.resolve()
    return blob.name if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name) else None


def total_size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
