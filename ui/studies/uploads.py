"""Files that a person uploads. They are read in memory; in a public app only small ones are."""

from typing import Any

import streamlit as st

from ui.shared import errors
from ui.studies import compute


def uploader(label: str, *, most_bytes: int, **widget: Any) -> Any:
    """Draw a field for uploads and return what `st.file_uploader` does, or None after saying that a file is too large.

    The browser refuses what is larger first; a program that stands for one is refused here.
    """
    policy = compute.workspace().policy
    most = min(most_bytes, policy.upload_bytes or most_bytes)
    given = st.file_uploader(label, max_upload_size=max(1, -(-most // 2**20)), **widget)
    with errors.shown():
        for file in given if isinstance(given, list) else [given] if given else []:
            policy.check_upload(file.name, file.size)
        return given
    return None
