"""How our inner loops are compiled. Imports numba: import lazily, from kernel modules only.

No `parallel=True`, because several sessions must not use numba's thread pool at once. The loops release the GIL, and
the caller runs them on its own threads.
"""

from numba import njit

FAST = {"reassoc", "contract", "arcp", "nsz"}
"""Float rewrites that vectorise sums and keep the meaning of NaN and infinity."""


def compiled(function=None, *, fastmath=FAST):
    """Compile on the first call. Keep the machine code on disk if a folder can be written."""
    if function is None:
        return lambda function: compiled(function, fastmath=fastmath)
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written: every process compiles anew
        return njit(**options)(function)
