"""Keeping Streamlit's garbage collections short.

Streamlit looks through all objects after every run of a script or a fragment. With torch and its friends imported
those are half a million, nearly all of them modules that never go: 0.3 s each time, during which no other thread
runs. Objects that are frozen are not looked through; they still go as soon as nothing refers to them.
"""

import gc
import sys

_STEP = 100
_frozen_at = 0
"""How many modules there were when objects were last frozen."""


def spare_modules() -> None:
    """Freeze what is alive if many modules were imported since the last time."""
    global _frozen_at
    if len(sys.modules) >= _frozen_at + _STEP:
        _frozen_at = len(sys.modules)
        gc.collect(1)  # young cycles that are garbage already would stay for ever
        gc.freeze()
