"""Downloads of hub files into the cache: with progress, cancelled at any chunk, resumed, checked.

huggingface_hub discards the partial file when a download stops. Here the partial file stays, and the next download
continues it.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.amounts import of_bytes
from core.errors import HubDamagedError, HubNotFoundError, OutOfSpaceError
from core.hub import cache, client
from core.hub.client import CHUNK, HubFile
from core.work.progress import SILENT, Progress

_SPARE = 64 << 20


@dataclass(frozen=True)
class Cost:
    """What a download will fetch, known before it begins."""

    files: tuple[HubFile, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return sum(file.nbytes for file in self.files)

    @property
    def missing(self) -> int:
        """Bytes still to fetch."""
        return sum(file.nbytes - _already(file) for file in self.files)


def cost(repository: str, revision: str, needed: Iterable[str], optional: Sequence[str] = ()) -> Cost:
    """Ask the hub for the sizes of files, all of one commit; `optional` ones may be absent. Raises HubError."""
    client.check_reachable()
    files: list[HubFile] = []
    for path in (*needed, *optional):
        try:
            files.append(client.describe(repository, path, files[0].commit if files else revision))
        except HubNotFoundError:
            if path not in optional:
                raise
    return Cost(tuple(files))


def download(wanted: Cost, revision: str, progress: Progress = SILENT) -> list[Path]:
    """Fetch what is missing and return the files in the cache, in order.

    Files appear in the cache only when all of them are complete. Raises HubError if the hub fails, OutOfSpaceError
    before a download that cannot fit on the disk, and CancelledError. Partial files stay for the next attempt.
    """
    check_space(wanted.missing)
    blobs, before = [], 0
    for file in wanted.files:

        def report(done: int, base: int = before, name: str = file.path.rpartition("/")[2]) -> None:
            progress.note(name)
            progress.update(base + done, wanted.nbytes)

        blobs.append(cache.blob_path(file.repository, file.etag))
        if not blobs[-1].is_file():
            _fetch(file, blobs[-1], report)
        before += file.nbytes
        report(file.nbytes)
    return [
        cache.link(file.repository, file.path, revision, file.commit, blob)
        for file, blob in zip(wanted.files, blobs, strict=True)
    ]


def check_space(nbytes: int) -> None:
    """Raise OutOfSpaceError unless the disk of the cache has room for this many bytes."""
    place = cache.cache_root()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if nbytes + _SPARE > free:
        raise OutOfSpaceError(
            f"The download needs {of_bytes(nbytes)}, but the disk of {cache.cache_root()} has "
            f"{of_bytes(free)} free. Make room, or set HF_HOME to a larger disk and restart."
        )


def _part_of(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.part")


def _already(file: HubFile) -> int:
    blob = cache.blob_path(file.repository, file.etag)
    if blob.is_file():
        return file.nbytes
    part = _part_of(blob)
    return min(part.stat().st_size, file.nbytes) if part.is_file() else 0


def _fetch(file: HubFile, blob: Path, report: Callable[[int], None]) -> None:
    """Fetch one file to a temporary path, check it, and move it to its place."""
    part = _part_of(blob)
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        _append(file, part, report)
    except client.RangeRefusedError:  # then fetch the whole file again
        part.unlink()
        _append(file, part, report)
    wrong = _checksum_problem(file, part)
    if wrong:
        part.unlink()
        raise HubDamagedError(
            f"{file.path} of {file.repository} arrived with {wrong}. Expected what the hub announced. The app "
            "deleted the file: download it again. If this happens again, look for a proxy that changes files."
        )
    os.replace(part, blob)


def _append(file: HubFile, part: Path, report: Callable[[int], None]) -> None:
    """Fetch the missing bytes of a partial file."""
    with open(part, "ab") as out:
        report(out.tell())
        for piece in client.stream(file, out.tell()):
            out.write(piece)
            report(out.tell())


def _checksum_problem(file: HubFile, part: Path) -> str | None:
    """Say what is wrong with the content; None if its hash is as announced, or of an unknown kind."""
    with open(part, "rb") as stored:
        if len(file.etag) == 64:
            computed = hashlib.file_digest(stored, "sha256").hexdigest()
        elif len(file.etag) == 40:  # a git blob
            digest = hashlib.sha1(f"blob {file.nbytes}\0".encode(), usedforsecurity=False)
            while chunk := stored.read(CHUNK):
                digest.update(chunk)
            computed = digest.hexdigest()
        else:
            return None
    return None if computed == file.etag else f"the checksum {computed[:16]}… instead of {file.etag[:16]}…"
