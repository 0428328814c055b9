"""Results on disk. The name of each follows from its inputs.

A result is a frozen dataclass of arrays and plain values, stored as one safetensors file. Results may be deleted:
what is missing, damaged or from another version is computed again.
"""

import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.work import temporary

T = TypeVar("T")
log = logging.getLogger(__name__)

_KEY = r"[A-Za-z0-9_-]+-v\d+-[0-9a-f]{16}"
_SUFFIX, _SET_ASIDE, _TEMPORARY = ".safetensors", ".safetensors.damaged", ".tmp"
_UNFINISHED = re.compile(rf"\.{_KEY}\.[^.]*\.tmp|\.tmp[A-Za-z0-9]{{6}}")
"""Files that a killed writer leaves: ours, and the one that safetensors writes beside it."""
_OWN = re.compile(rf"{_KEY}\.safetensors(\.damaged)?|{_UNFINISHED.pattern}")
_NOTEBOOK, _SAVED = "notebook", re.compile(r"[0-9a-f]{16}")
"""Where notebooks save the dictionaries that they hold in memory, and what they call them."""
_IN_USE_S = 60.0
"""What was read or written within this time stays, whatever the limit: it may be read just now."""
_DAY_S = 24 * 3600.0


def artifact_key(kind: str, version: int, **inputs: str | int | float | bool | None) -> str:
    """A file stem such as 'neighbors-v1-9c0f27b1a4de8831'; argument order is irrelevant."""
    blob = json.dumps(inputs, sort_keys=True, allow_nan=False)
    key = f"{kind}-v{version}-{hashlib.sha256(blob.encode()).hexdigest()[:16]}"
    assert re.fullmatch(_KEY, key), f"{kind!r} does not make a file name"
    return key


class DamagedError(Exception):
    """A file does not hold what its name says. Only this module raises and catches it."""


class ArtifactStore:
    """One folder of results. Safe to share between threads and between processes.

    A reader sees a whole file or none, because writers rename finished files into place. The root may be
    read-only, full or missing: then everything is computed and nothing is stored. `most_bytes` limits the folder: the
    results that were read or written longest ago leave, but none that was within the last minute.
    """

    def __init__(self, root: Path, *, most_bytes: int | None = None):
        self.root, self.most_bytes = root, most_bytes

    def load(self, cls: type[T], key: str) -> T | None:
        """Return the result stored under a key, its arrays read-only; None if nothing is stored.

        Every read checks the content hash. A file that fails, or that holds another class or version,
        is renamed to `<name>.damaged`.
        """
        path = self._path(key)
        try:
            if not path.is_file():
                return None
            self._mark_used(path)
            return _read(path, cls, key)
        except DamagedError as error:
            log.warning("Set aside %s: %s. It is computed again.", path.name, error)
            self._set_aside(path)
        except OSError as error:
            log.warning("%s cannot be read (%s). It is computed again.", path, error)
        return None

    def save(self, result: Any, key: str, provenance: Mapping[str, Any] | None = None) -> Path:
        """Write a result (a dataclass of arrays, str, int, float, bool, None and tuples of those).

        The file also holds `provenance` as JSON, for people to read. Raises OSError if the folder cannot be
        written, and TypeError for a field of another type.
        """
        arrays, header = _pack(result, key, provenance)
        self.root.mkdir(parents=True, exist_ok=True)
        self._remove_old_temporaries()
        path = self._path(key)
        handle, name = tempfile.mkstemp(dir=self.root, prefix=f".{key}.", suffix=_TEMPORARY)
        os.close(handle)
        try:
            _write(Path(name), arrays, header)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
        self._make_room()
        return path

    def cached(self, cls: type[T], key: str, compute: Callable[[], T]) -> T:
        """Return the stored result, or compute and store it. In a folder that cannot be written, nothing is stored."""
        stored = self.load(cls, key)
        if stored is not None:
            return stored
        result = compute()
        try:
            self.save(result, key)
        except OSError as error:
            log.warning("%s is not kept: %s", key, error)
        # Read-only as after the next read, so that code that writes into a result fails at once.
        for value in vars(result).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        return result

    def holds(self, key: str) -> bool:
        """Whether a file exists under a key. Its content is checked only when it is read."""
        return self._path(key).is_file()

    def holds_kind(self, kind: str) -> bool:
        """Whether any result of a kind is there, the first word of its key."""
        return any(self.root.glob(f"{kind}-v*{_SUFFIX}"))

    def usage(self) -> int:
        """Return the bytes of all results, damaged and unfinished files, dictionaries that notebooks saved, and folders
        of killed writers.
        """
        left = [folder for place in self._places() for folder in temporary.abandoned(place)]
        folders = sum(map(temporary.nbytes, [*left, *self._saved_by_notebooks()]))
        return folders + sum(status.st_size for _, status in self._own_files())

    def clear(self) -> None:
        """Delete all results, damaged files and dictionaries that notebooks saved; other files in the folder stay."""
        for path, _ in self._own_files():
            path.unlink(missing_ok=True)
        for folder in self._saved_by_notebooks():
            # Renamed first, so that no notebook finds one that is half gone.
            with temporary.temporary_folder(folder.parent) as going, suppress(OSError):
                folder.rename(going / "gone")
        self._sweep_folders()

    def saved_by_notebook(self, sha256: str) -> Path:
        """Return the folder in which a notebook saves a dictionary that it holds in memory."""
        return self.root / _NOTEBOOK / sha256[:16]

    def _path(self, key: str) -> Path:
        # Only this function and _own_files make paths, so that another kind of root needs changes only here.
        assert re.fullmatch(_KEY, key), f"{key!r} is no artifact key"
        return self.root / f"{key}{_SUFFIX}"

    def _own_files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Find our files by name, because the folder may hold other files too."""
        for path in self.root.glob("*"):
            if _OWN.fullmatch(path.name):
                try:
                    yield path, path.stat()
                except FileNotFoundError:
                    continue  # another process was faster

    def _saved_by_notebooks(self) -> list[Path]:
        with suppress(OSError):
            found = sorted((self.root / _NOTEBOOK).iterdir())
            return [path for path in found if _SAVED.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]
        return []

    def _set_aside(self, path: Path) -> None:
        try:
            os.replace(path, path.with_suffix(_SET_ASIDE))
        except OSError as error:
            log.warning("%s could not be renamed: %s", path, error)

    def _remove_old_temporaries(self) -> None:
        """Remove what killed writers left: files older than a day, longer than any write takes."""
        for path, status in self._own_files():
            if _UNFINISHED.fullmatch(path.name) and time.time() - status.st_mtime > _DAY_S:
                path.unlink(missing_ok=True)
        self._sweep_folders()

    def _sweep_folders(self) -> None:
        for place in self._places():
            temporary.sweep(place)

    def _mark_used(self, path: Path) -> None:
        if self.most_bytes is not None:
            with suppress(OSError):
                os.utime(path)

    def _make_room(self) -> None:
        """Delete what was used longest ago until the folder keeps to its limit."""
        if self.most_bytes is None:
            return
        files = [(status.st_mtime, status.st_size, path) for path, status in self._own_files()]
        over = sum(size for _, size, _ in files) - self.most_bytes
        for used, size, path in sorted(files):
            if over <= 0 or time.time() - used < _IN_USE_S:
                return
            with suppress(OSError):  # another process was faster, or has it open where that holds a file
                path.unlink()
                over -= size

    def _places(self) -> list[Path]:
        """Return the root and the folders in it, such as those of downloads and of notebooks."""
        with suppress(OSError):
            return [self.root, *(path for path in self.root.iterdir() if path.is_dir() and not path.is_symlink())]
        return []


def _pack(result: Any, key: str, provenance: Mapping[str, Any] | None) -> tuple[dict[str, np.ndarray], str]:
    """Split a result into arrays and a JSON header with all other fields."""
    arrays, values = {}, {}
    for field in fields(result):
        value = getattr(result, field.name)
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8:
                raise TypeError(f"{field.name} has dtype {value.dtype}, which safetensors does not hold")
            # asarray, because ascontiguousarray would give a 0-d array an axis.
            arrays[field.name] = np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C")
        else:
            values[field.name] = _to_json(value, field.name)
    header = {
        "class": type(result).__qualname__,
        "version": type(result).version,
        "key": key,
        "values": values,
        "provenance": dict(provenance or {}),
    }
    return arrays, json.dumps(header)


def _write(path: Path, arrays: dict[str, np.ndarray], header: str) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(arrays, path, metadata={"header": header, "sha256": _sha256(arrays, header)})
    except SafetensorError as error:  # a full disk, for example
        raise OSError(str(error)) from error
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _read(path: Path, cls: type[T], key: str) -> T:
    """Read and check a file; raise DamagedError if anything differs from what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
        header, sha256 = metadata["header"], metadata["sha256"]
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    if _sha256(arrays, header) != sha256:
        raise DamagedError("its content hash is wrong")
    stored = json.loads(header)
    for name, expected in (("class", cls.__qualname__), ("version", cls.version), ("key", key)):
        if stored.get(name) != expected:
            raise DamagedError(f"its {name} is {stored.get(name)!r}, expected {expected!r}")
    for array in arrays.values():
        array.flags.writeable = False
    content = arrays | {name: _from_json(value) for name, value in stored["values"].items()}
    if set(content) != {field.name for field in fields(cls)}:
        raise DamagedError(f"it has the fields {', '.join(sorted(content))}")
    return cls(**content)


def _to_json(value: Any, name: str) -> Any:
    if isinstance(value, tuple):
        return [_to_json(item, name) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}; a result holds arrays, plain values and tuples of those")


def _from_json(value: Any) -> Any:
    return tuple(_from_json(item) for item in value) if isinstance(value, list) else value


def _sha256(arrays: Mapping[str, np.ndarray], header: str) -> str:
    """Hash names, dtypes, shapes and bytes of all arrays, and the header."""
    digest = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes() if array.ndim == 0 else array.data)
    return digest.hexdigest()
