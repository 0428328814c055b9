"""What Streamlit itself must be told where anybody may come."""

import os
import tempfile
from pathlib import Path

from streamlit import config

from core.hub.cache import cache_root
from core.installation import PROJECT
from core.work import allocator
from ui.shared import escape
from ui.studies import compute

_UPLOAD_MB = 1
"""The server writes larger uploads to a temporary file before any of our code sees them."""


def settle() -> None:
    """Set the limits of the server, and keep folders of this machine off the screen, if the app is public."""
    workspace = compute.workspace()
    if not workspace.policy.public:
        escape.hide(())
        return
    allocator.keep_little()
    config.set_option("server.maxUploadSize", _UPLOAD_MB)
    config.set_option("client.showErrorDetails", "none")
    named = (*workspace.roots, *workspace.pinned, *workspace.models, workspace.cache, workspace.notes)
    escape.hide((*named, PROJECT, cache_root(), Path(tempfile.gettempdir()), Path(os.path.expanduser("~"))))
