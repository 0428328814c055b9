"""Reading safetensors files into float32 numpy arrays, without torch where that is possible."""

import hashlib
import json
from pathlib import Path

import numpy as np

from core.errors import BadDictionaryError

_KINDS = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")


def read_tensors(path: Path, names: list[str] | None = None) -> dict[str, np.ndarray]:
    """Read tensors (all, or those of `names` that exist) from a safetensors file as float32.

    Integers keep their type. Torch is not imported, for bfloat16 neither, which numpy lacks.
    Raises BadDictionaryError for a file that is missing, truncated or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BadDictionaryError(f"There is no weights file at {path}. Expected a safetensors file; check the folder.")
    try:
        with safe_open(path, framework="numpy") as file:
            listed = file.keys()
            wanted = [name for name in listed if names is None or name in names]
            stored = {name: file.get_slice(name).get_dtype() for name in wanted}
            check_types(stored, path)
            tensors = {name: file.get_tensor(name) for name in wanted if stored[name] != "BF16"}
        if len(tensors) < len(wanted):
            tensors |= _read_bfloat16(path, [name for name in wanted if stored[name] == "BF16"])
    except (SafetensorError, ValueError, OSError) as error:
        raise BadDictionaryError(
            f"{path} cannot be read as safetensors ({str(error)[:200]}). Expected a whole file of that format; "
            "it may be truncated or of another one: copy or download it again."
        ) from error
    return {name: as_float32(tensors[name]) for name in wanted}


def _read_bfloat16(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Read tensors of bfloat16 as float32: the same numbers, as its 16 bits are the upper half of a float32."""
    found = {}
    with open(path, "rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))  # safetensors has checked that all offsets lie in the file
        for name in names:
            begin, end = header[name]["data_offsets"]
            file.seek(start + begin)
            bits = np.fromfile(file, "<u2", (end - begin) // 2).astype(np.uint32)
            bits <<= 16
            found[name] = bits.view(np.float32).reshape(header[name]["shape"])
    return found


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return names and shapes in a safetensors file's header; none if it cannot be read as one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError):
        return {}


def read_at(path: Path, name: str, index: int) -> np.ndarray:
    """Read [:, index] of a tensor with three axes as float32; the rest of it stays on disk.

    Raises BadDictionaryError where there is no such part, and what `read_tensors` raises.
    """
    from safetensors import SafetensorError, safe_open

    shape = tensor_shapes(path).get(name)
    if shape is None or len(shape) != 3 or not 0 <= index < shape[1]:
        raise BadDictionaryError(
            f"{path} holds {name} of shape {shape}; expected three axes with at least {index + 1} in the middle. It "
            "may be truncated or of another format: copy or download it again."
        )
    try:
        with safe_open(path, framework="pt") as file:
            part = file.get_slice(name)
            check_types({name: part.get_dtype()}, path)
            return as_float32(np.ascontiguousarray(part[:, index].float().numpy()))
    except (SafetensorError, ValueError, OSError) as error:
        raise BadDictionaryError(
            f"{path} cannot be read as safetensors ({str(error)[:200]}). Expected a whole file of that format; copy or "
            "download it again."
        ) from error


def tensor_names(path: Path) -> tuple[str, ...]:
    """Return the names in a safetensors file's header; none if it cannot be read as one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return tuple(file.keys())
    except (SafetensorError, ValueError, OSError):
        return ()


def check_types(stored: dict[str, str], path: Path) -> None:
    """Raise BadDictionaryError for types that numpy or torch cannot read (floats of 8 bits and less)."""
    odd = {name: kind for name, kind in stored.items() if kind not in _KINDS}
    if odd:
        name, kind = next(iter(odd.items()))
        raise BadDictionaryError(
            f"{name} in {path} is stored as {kind}; expected one of {', '.join(_KINDS)}. "
            "Save the weights again as float32 or bfloat16."
        )


def as_float32(array: np.ndarray) -> np.ndarray:
    """Return floating arrays as contiguous float32, others unchanged."""
    if np.issubdtype(array.dtype, np.floating):
        return np.asarray(array, dtype=np.float32, order="C")
    return array


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes. Raises BadDictionaryError if the file cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadDictionaryError(
            f"{path} cannot be read ({str(error)[:200]}). Expected a file that is there and that this app may read; "
            "copy it again, or see who owns it."
        ) from error
