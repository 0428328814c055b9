"""Bytes for the browser: a JSON header, then arrays, each on a boundary of four bytes.

    u32 length of the header | header, padded | array | array ...

The header says where each array lies (`blocks`: name, type, offset after the header, length), so the reader can check
everything before it reads an array.
"""

import json
import struct
from collections.abc import Mapping

import numpy as np

from ui.shared.escape import signs_in

TYPES = {"f4": "<f4", "i4": "<i4", "u1": "u1"}


def pack(header: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pack a header, its texts with signs for what cannot be seen, and arrays of float32, int32 or uint8."""
    blocks, parts, offset = [], [], 0
    for name, array in arrays.items():
        kind = array.dtype.str.lstrip("<|")
        assert kind in TYPES, f"{name} is {array.dtype}"
        assert array.ndim == 1, f"{name} has {array.ndim} axes"
        data = np.ascontiguousarray(array, TYPES[kind]).tobytes()
        blocks.append({"name": name, "type": kind, "offset": offset, "length": len(array)})
        parts.append(padded(data))
        offset += len(parts[-1])
    head = padded(json.dumps(signs_in(dict(header)) | {"blocks": blocks}, allow_nan=False).encode(), b" ")
    return b"".join([struct.pack("<I", len(head)), head, *parts])


def padded(data: bytes, filler: bytes = b"\0") -> bytes:
    """Fill up to a multiple of four bytes."""
    return data + filler * (-len(data) % 4)
