"""Reads files of torch.save into numpy arrays; never runs code from the file."""

import pickle
import struct
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import BadDictionaryError
from core.work.torch_library import import_torch

_LARGEST_PICKLE = 4 * 2**20
"""The most bytes of the pickle, which holds only names and shapes. The numbers lie beside it."""
_MOST_PARTS = 10_000
"""The most parts of an archive. Each tensor is one part."""
_DEEPEST = 3
"""The deepest nesting of dicts in a checkpoint. Without a limit, a dict that holds itself would never end."""
_FAILURES = (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, NotImplementedError, struct.error)
"""Errors that zipfile raises for damaged archives."""


def read_torch(path: Path) -> dict[str, Any]:
    """Read a dict of tensors (float32, integers as they are) and plain values from a .pt file.

    Raises BadDictionaryError for files that are damaged, of the layout before torch 1.6, that hold
    anything but tensors and plain values, or whose tensors are larger than the numbers stored.
    """
    check_archive(path)
    import_torch()
    import torch

    try:
        # Memory-mapped: as_array copies only what is kept, so no number is in memory twice.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged or hostile pickle can raise any error
        # torch's own message would advise the reader to run the code in the file.
        if isinstance(error, pickle.UnpicklingError):
            raise _bad(
                path, "it holds more than tensors and plain values (its code is not run), or it is damaged"
            ) from error
        raise _bad(path, f"{type(error).__name__}: {str(error)[:200]}") from error
    if not isinstance(content, dict):
        raise _bad(path, f"it holds a {type(content).__name__}, not a dict of tensors")
    return _plain(content, path)


def _plain(content: dict, path: Path, depth: int = 0) -> dict[str, Any]:
    """Return a dict and the dicts inside it, with arrays in place of tensors. Dicts nested too deeply are left out."""
    import torch

    def one(name: str, value: Any) -> Any:
        if torch.is_tensor(value):
            return as_array(name, value, path)
        return _plain(value, path, depth + 1) if isinstance(value, dict) else value

    return {str(name): one(str(name), value) for name, value in content.items()} if depth < _DEEPEST else {}


def as_array(name: str, tensor, path: Path) -> np.ndarray:
    """Copy a tensor into an array. Raises BadDictionaryError unless it holds plain numbers that are all stored."""
    import torch

    plain = tensor.layout == torch.strided and tensor.is_cpu and not tensor.is_quantized
    if not plain or tensor.is_complex() or tensor.is_nested:
        raise _bad(path, f"{name[:80]} is no plain tensor of real numbers")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise _bad(path, f"{name[:80]} of shape {tuple(tensor.shape)} is larger than what is stored of it")
    # detach: parameters may require gradients. copy: the file may change while a tensor maps it.
    tensor = tensor.detach()
    return np.array((tensor.float() if tensor.is_floating_point() else tensor).numpy(), order="C")


def check_archive(path: Path) -> None:
    """Raise BadDictionaryError unless the file is an undamaged archive whose parts have their declared sizes."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if len(parts) > _MOST_PARTS:
                raise _bad(path, f"it has {len(parts):,} parts, where a dictionary has some dozens")
            names = {part.filename for part in parts}
            if len(names) < len(parts) or not any(name.endswith("data.pkl") for name in names):
                raise _bad(path, "its parts are not those of torch.save")
            # torch.save compresses nothing, so the unpacked content can never be larger than the file.
            packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
            if packed or sum(part.file_size for part in parts) > path.stat().st_size:
                raise _bad(path, "its parts are compressed or larger than the file")
            damaged = archive.testzip()
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
        NotImplementedError,
        OverflowError,
    ) as error:
        raise _bad(path, f"it is no zip archive: {str(error)[:200]}") from error
    if damaged is not None:
        raise _bad(path, f"the checksum of {damaged[:80]} is wrong")


def mentions(path: Path, *names: str) -> bool:
    """Whether a .pt file contains all these names. Nothing is unpickled."""
    try:
        stat = path.stat()
    except OSError:
        return False
    text = _pickle_in(path, stat.st_mtime_ns, stat.st_size)
    return text is not None and all(name.encode() in text for name in names)


@lru_cache(maxsize=4)  # each format asks for its own names
def _pickle_in(path: Path, mtime_ns: int, size: int) -> bytes | None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            part = next(part for part in parts if part.filename.endswith("data.pkl"))
            fine = len(parts) <= _MOST_PARTS and part.file_size <= _LARGEST_PICKLE
            return archive.read(part) if fine and part.compress_type == zipfile.ZIP_STORED else None
    except (StopIteration, *_FAILURES):
        return None


def _bad(path: Path, reason: str) -> BadDictionaryError:
    return BadDictionaryError(
        f"{path} cannot be read as a file of torch.save ({reason}). Expected a dict of tensors, saved by torch 1.6 "
        "or later; download it again, or save the weights alone with torch.save(sae.state_dict(), PATH)."
    )
