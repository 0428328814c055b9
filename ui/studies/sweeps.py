"""Where sweeps meet Streamlit: the plans in the store of this app, and which of them makes what a page lacks."""

from collections.abc import Collection

import streamlit as st

from core.sweeps.missing import coming
from core.sweeps.sweep import Place, place_at
from ui.shared.escape import plain
from ui.studies import compute


def place() -> Place:
    """Return where this app looks for plans; nothing is written. Raises ClosedInPublicError, StoreError."""
    workspace = compute.workspace()
    workspace.policy.check_sweeps()
    return place_at(workspace.store, workspace.cache, check=False)


def say_missing(text: str, keys: Collection[str]) -> None:
    """Say what is missing, which sweeps make it, how far they are, and how to go on with them."""
    found = [] if compute.workspace().policy.public else coming(keys, place())
    said = [f'The sweep "{one.sweep.plan.title}" makes {len(one.tasks):,} of them: {one.summary}.' for one in found]
    st.info(plain(" ".join([text, *said])), icon=":material/hourglass_empty:")
    for one in found:
        st.code(one.sweep.command("resume"), language=None, wrap_lines=True)
