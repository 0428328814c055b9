"""Results at an address of fsspec, such as s3://BUCKET/PREFIX, with a folder of copies on this machine.

An object appears there as a whole or not at all, as uploads do. It bears the name that a file here would, and is
checked when it is read. Only this module and core/sweeps/documents.py know that there is another place.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from core.errors import StoreError
from core.work.artifacts import ArtifactStore
from core.work.temporary import temporary_folder

T = TypeVar("T")
log = logging.getLogger(__name__)
_DAMAGED = ".damaged"


def is_elsewhere(address: str) -> bool:
    """Whether an address names another place than a folder of this machine."""
    return "://" in address and not address.startswith(("file://", "local://"))


def local_folder(address: str) -> Path:
    """Return the folder that an address of this machine names."""
    return Path(address.removeprefix("file://").removeprefix("local://")).expanduser().resolve()


class Elsewhere:
    """A prefix of a file system of fsspec. All failures are OSError, whatever the library raises."""

    def __init__(self, address: str):
        with _explained(address):
            import fsspec

            self.fs, path = fsspec.core.url_to_fs(address, use_listings_cache=False)
        self.address, self.prefix = address, path.rstrip("/")

    def read(self, name: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        with _as_os_error():
            try:
                return self.fs.cat_file(self._now(name))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        with _as_os_error():
            self.fs.pipe_file(self._at(name), content)

    def holds(self, name: str) -> bool:
        with _as_os_error():
            return self.fs.exists(self._now(name))

    def names(self, folder: str) -> list[str]:
        """Return the names below a folder, sorted; none where there is no such folder."""
        with _as_os_error():
            try:
                found = self.fs.ls(self._now(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rpartition("/")[2] for path in found)

    def put(self, path: Path, name: str) -> None:
        """Copy a file there."""
        with _as_os_error():
            self.fs.put_file(str(path), self._at(name))

    def get(self, name: str, path: Path) -> bool:
        """Copy an object here; return whether it was there."""
        with _as_os_error():
            try:
                self.fs.get_file(self._now(name), str(path))
            except FileNotFoundError:
                return False
        return True

    def set_aside(self, name: str) -> None:
        """Give a damaged object another name, so that it is made again."""
        with _as_os_error():
            self.fs.mv(self._at(name), self._at(name + _DAMAGED))

    def _at(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def _now(self, name: str) -> str:
        """Return the path of an object and forget its folder's listing: the file system of hf:// keeps them always."""
        self.fs.invalidate_cache(self._at(name))
        return self._at(name)


class SharedStore(ArtifactStore):
    """A store that other machines share. What it holds is what they can read; the folder here is a copy."""

    def __init__(self, root: Path, elsewhere: Elsewhere, *, most_bytes: int | None = None):
        super().__init__(root, most_bytes=most_bytes)
        self.elsewhere = elsewhere
        self._shared: set[str] = set()
        """Keys that are known to be there. Nobody deletes results one by one."""

    def load(self, cls: type[T], key: str) -> T | None:
        """Return a result from the copy here, else from there; None if neither has it whole."""
        found = super().load(cls, key)
        if found is not None:
            self._share(key)
            return found
        with self._logged(f"{key} cannot be fetched from {self.elsewhere.address}"):
            if self._fetch(key):
                found = super().load(cls, key)
                if found is None:
                    self._shared.discard(key)
                    self.elsewhere.set_aside(self._path(key).name)
        return found

    def save(self, result: Any, key: str, provenance: Mapping[str, Any] | None = None) -> Path:
        """Write a result here and then there. Raises OSError as ArtifactStore.save, or where the upload fails."""
        path = super().save(result, key, provenance)
        self.elsewhere.put(path, path.name)
        self._shared.add(key)
        return path

    def holds(self, key: str) -> bool:
        """Whether others can read it. A place that does not answer holds nothing."""
        if key not in self._shared:
            with self._logged(f"{self.elsewhere.address} does not answer"):
                if self.elsewhere.holds(self._path(key).name):
                    self._shared.add(key)
        return key in self._shared

    def holds_kind(self, kind: str) -> bool:
        """Whether any result of a kind is here or there."""
        if super().holds_kind(kind):
            return True
        with self._logged(f"{self.elsewhere.address} does not answer"):
            return any(name.startswith(f"{kind}-v") for name in self.elsewhere.names(""))
        return False

    def _share(self, key: str) -> None:
        """Upload a result that was made here before the place was shared."""
        with self._logged(f"{key} cannot be shared"):
            if not self.holds(key):
                self.elsewhere.put(self._path(key), self._path(key).name)
                self._shared.add(key)

    def _fetch(self, key: str) -> bool:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(self.root) as folder:
            there = self.elsewhere.get(path.name, folder / path.name)
            if there:
                os.replace(folder / path.name, path)
            return there

    @contextmanager
    def _logged(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            log.warning("%s: %s", what, error)


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each file system has errors of its own, such as NoCredentialsError
        raise OSError(f"{type(error).__name__}: {error}") from error


@contextmanager
def _explained(address: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise StoreError(
            f"The store {address[:200]!r} needs a package that is not installed ({error}). Expected it beside the app: "
            "`pip install -r requirements-sweep.txt`, or the package of fsspec for this kind of address."
        ) from error
    except Exception as error:
        raise StoreError(
            f"The store {address[:200]!r} cannot be opened ({type(error).__name__}: {str(error)[:200]}). Expected a "
            "folder, or an address of fsspec such as s3://BUCKET/PREFIX; correct it."
        ) from error


def open_results(address: str, cache: Path, *, most_bytes: int | None = None) -> tuple[ArtifactStore, Elsewhere | None]:
    """Return the store at an address: `cache` where it is empty. `most_bytes` limits the cache. Raises StoreError."""
    if not address:
        return ArtifactStore(cache, most_bytes=most_bytes), None
    if not is_elsewhere(address):
        return ArtifactStore(local_folder(address)), None
    place = Elsewhere(address)
    return SharedStore(cache, place, most_bytes=most_bytes), place
