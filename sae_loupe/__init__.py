"""SAE Loupe as one package: `sae-loupe` starts the app, `import sae_loupe` is for notebooks.

In the repository this folder stands beside core/, ui/ and pages/. The build (setup.py) puts those inside it and turns
`from core.x import y` into `from sae_loupe.core.x import y`. So an installed environment has one name of ours, and a
`core` of somebody else stays theirs.
"""

from typing import Any

import core
from core.installation import APP_VERSION

__version__ = APP_VERSION


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(core, name)
