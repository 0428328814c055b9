"""SAE Loupe as one package: `sae-loupe` starts the app, and `import sae_loupe` is for notebooks and scripts.

import sae_loupe as loupe
sae = loupe.open("demo/layer0-standard-2048")     # or a path, or a sae-lens SAE in memory
acts = sae.encode(x)                              # numpy arrays or torch tensors, (..., d_in) to (..., d_sae)
positions = sae.positions()                       # every analysis is one call
positions.to_frame()                              # its table, in pandas
positions.chart()                                 # its chart, in Altair

docs/notebook.md lists all calls. Results are kept in the app's cache, so that pages and notebooks share them.

In the repository this folder stands beside core/, ui/ and pages/. The build (setup.py) puts those inside it and turns
`from core.x import y` into `from sae_loupe.core.x import y`. So an installed environment has one name of ours, and a
`core` of somebody else stays theirs.
"""

from typing import Any

from core.installation import APP_VERSION

__version__ = APP_VERSION
__all__ = [
    "LoupeError",
    "OpenDictionary",
    "Result",
    "dictionaries",
    "download",
    "load_dictionary",
    "match",
    "open",
    "open_in_app",
]


def __getattr__(name: str) -> Any:
    # Imported on demand, so that the command and the import of the package take no time.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has {', '.join(__all__)}.")
    from sae_loupe import front

    return getattr(front, name)


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__name__", "__path__", "__version__"]
