"""The numbers: no Streamlit, no Altair. `load_dictionary` and `open_in_app` are for notebooks."""

from typing import Any

_FOR_NOTEBOOKS = ("load_dictionary", "open_in_app")


def __getattr__(name: str) -> Any:
    # Found on demand, so that importing one module of core imports only what that one needs.
    if name in _FOR_NOTEBOOKS:
        from core import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'core' has no attribute {name!r}")
