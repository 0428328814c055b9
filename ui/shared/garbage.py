"""Keep Streamlit's garbage collections short.

Streamlit collects garbage after every run of a script or a fragment. With torch and similar packages imported there are
half a million objects, and nearly all of them live as long as the process. A collection then takes 0.3 s, and no other
thread runs meanwhile. The collector skips frozen objects; reference counting still frees them.
"""

import gc
import sys

_STEP = 100
_frozen_at = 0
"""How many modules were imported when objects were last frozen."""


def spare_modules() -> None:
    """Freeze what is alive if many modules were imported since the last time."""
    global _frozen_at
    if len(sys.modules) >= _frozen_at + _STEP:
        _frozen_at = len(sys.modules)
        gc.collect(1)  # freezing would keep young cycles of garbage for ever
        gc.freeze()
