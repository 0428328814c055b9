"""Temporary folders that go when their work is done, or after their writer was killed.

Each is named after its writer: the machine as it runs now, and the process. Whoever makes the next one beside it
removes those of dead writers.
"""

import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_NAME = re.compile(r"\.loupe-([0-9a-f]{8})-([1-9]\d{0,9})-\w+")
_WEEK_S = 7 * 24 * 3600.0


@contextmanager
def temporary_folder(place: Path | None = None) -> Iterator[Path]:
    """Yield a new folder in `place` (else where the system keeps such folders), and remove it at the end.

    What is to last is written into it and then renamed into place, as a whole. Folders that killed writers left in
    `place` go first.
    """
    place = place or Path(tempfile.gettempdir())
    sweep(place)
    with tempfile.TemporaryDirectory(dir=place, prefix=f".loupe-{_machine()}-{os.getpid()}-") as name:
        yield Path(name)


def sweep(place: Path) -> None:
    """Remove the folders in `place` whose writers are dead."""
    for folder in abandoned(place):
        shutil.rmtree(folder, ignore_errors=True)


def abandoned(place: Path) -> list[Path]:
    """Return the folders in `place` whose writers are dead. A place that cannot be read has none."""
    with suppress(OSError):
        folders = [path for path in sorted(place.iterdir()) if path.is_dir() and not path.is_symlink()]
        named = ((path, _NAME.fullmatch(path.name)) for path in folders)
        return [path for path, name in named if name and _dead(path, *name.groups())]
    return []


def nbytes(folder: Path) -> int:
    """Return the bytes of all files in a folder that others may be emptying."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(base, name)).st_size
    return total


def _dead(folder: Path, machine: str, process: str) -> bool:
    """Say whether a writer is dead. Of another machine, or of this one before it started anew, only time tells."""
    if machine != _machine() or os.name != "posix":
        with suppress(OSError):
            return time.time() - folder.stat().st_mtime > _WEEK_S
        return False
    try:
        os.kill(int(process), 0)  # signal 0 asks only
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


@cache
def _machine() -> str:
    """Name the world in which a process has its number: a machine since its start, or a container on it."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
