"""Reading .npz archives: sizes are checked before anything is unpacked, and pickled objects are refused."""

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from core.errors import BadDictionaryError
from core.files.tensors import as_float32

_LARGEST_RATIO, _ALWAYS_FINE = 100, 64 * 2**20
"""The most times its size that a file may unpack to, and the bytes that are always allowed."""
_FAILURES = (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError, NotImplementedError)
_FAILURES += (KeyError, TypeError, OverflowError, SyntaxError, struct.error, tokenize.TokenError)
"""Errors that zipfile and numpy's header parser raise for damaged files."""


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz file, floating ones as float32. Raises BadDictionaryError for a damaged file."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            _check_sizes(parts, path)
            return {part.filename.removesuffix(".npy"): as_float32(_read(archive, part)) for part in parts}
    except _FAILURES as error:
        raise BadDictionaryError(
            f"{path} cannot be read as an .npz archive of arrays ({str(error)[:200]}). Expected a whole file that "
            "numpy.savez wrote, without pickled objects; copy or download it again."
        ) from error


def array_names(path: Path) -> set[str]:
    """Return the names of the arrays in an .npz file; empty if it cannot be read as one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except _FAILURES:
        return set()


def unpacked_bytes(path: Path) -> int:
    """Return how many bytes an .npz file says it unpacks to; 0 if it cannot be read as one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(part.file_size for part in archive.infolist())
    except _FAILURES:
        return 0


def _check_sizes(parts: list[zipfile.ZipInfo], path: Path) -> None:
    total, stored = sum(part.file_size for part in parts), path.stat().st_size
    if total > max(_LARGEST_RATIO * stored, _ALWAYS_FINE):
        raise ValueError(f"it would unpack to {total:,} bytes from {stored:,}")
    if len({part.filename for part in parts}) < len(parts):
        raise ValueError("two arrays have one name")


def _read(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> np.ndarray:
    """Read one array after checking its header against the size of its part. numpy would allocate any size first."""
    with archive.open(part) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{part.filename[:80]} has a header of version {version}")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        if dtype.hasobject or dtype.kind not in "fiub":
            raise ValueError(f"{part.filename[:80]} holds {str(dtype)[:40]}, not numbers")
        said, there = math.prod(shape) * dtype.itemsize, part.file_size - file.tell()
        if said != there:
            raise ValueError(f"{part.filename[:80]} says {said:,} bytes and has {there:,}")
        data = file.read(there)  # zipfile compares the checksum once all is read
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy(order="C")
