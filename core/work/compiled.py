"""How our inner loops are compiled. Imports numba: import lazily, from kernel modules only.

No `parallel=True`: numba's thread pool must not be entered from several sessions at once. The loops
release the GIL, and the caller runs them on its own threads.
"""

from numba import njit

FAST = {"reassoc", "contract", "arcp", "nsz"}
"""Float rewrites that let sums fill whole vectors; NaN and infinity keep their meaning."""


def compiled(function=None, *, fastmath=FAST):
    """Compile on first call, keeping the code on disk where some folder can be written."""
    if function is None:
        return lambda function: compiled(function, fastmath=fastmath)
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the user's cache: compiled in every process
        return njit(**options)(function)
