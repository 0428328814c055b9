"""Lets the C library give memory back to the system. It keeps what was freed, for each thread in a pool of its own."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""The numbers of glibc's options, from its malloc.h."""
_LARGE = 2**17
"""Bytes from which an array has pages of its own, which go back as soon as it is freed. glibc begins with as many, but
raises it with each array that is freed."""


def keep_little() -> bool:
    """Hold what is freed in one pool, and large arrays in none; return whether this system knows how.

    It costs some time, as pages are asked for anew. So it is for places where memory is short. Call it early: pools
    that threads have already do not join.
    """
    library = _library()
    if library is None:
        return False
    settings = {_ARENA_MAX: 1, _MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: _LARGE}
    taken = [library.mallopt(option, value) for option, value in settings.items()]
    return all(taken)


def give_back() -> bool:
    """Give back what is free in the pools; return whether there was any."""
    library = _library()
    return library is not None and bool(library.malloc_trim(0))


def _library() -> ctypes.CDLL | None:
    """Return the C library if it is glibc, which alone has both functions."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
