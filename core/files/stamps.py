"""Whether files changed since they were read, told without reading them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def stamp(paths: Iterable[Path]) -> str:
    """Return a text that changes when one of these files does: by name, size and time of change.

    Folders stand for the files in them, but not for those of folders in them. What is not there, or what the system
    does not give, counts as absent.
    """
    digest = hashlib.sha256()
    for path in paths:
        for file in _files_at(path):
            try:
                status = file.stat()
                digest.update(f"{file}\n{status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            except OSError:
                digest.update(f"{file}\nabsent\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _files_at(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError:
        return [path]
