"""The numbers: no Streamlit, no Altair. `load_dictionary` and `open_in_app` are for notebooks."""

import os
import sys
from typing import Any

_FOR_NOTEBOOKS = ("load_dictionary", "open_in_app")

# huggingface_hub reads this once, when it is imported. Without it, a download also asks the hub which agents there are,
# and tells it the version of torch and the agent that runs this program.
if "HF_HUB_DISABLE_TELEMETRY" not in os.environ:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if "huggingface_hub.constants" in sys.modules:
        sys.modules["huggingface_hub.constants"].HF_HUB_DISABLE_TELEMETRY = True


def __getattr__(name: str) -> Any:
    # Imported on demand, so that importing one module of core imports only what that module needs.
    if name in _FOR_NOTEBOOKS:
        from core import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'core' has no attribute {name!r}")
