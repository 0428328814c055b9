"""Datasets of the hub in the text picker: what a download would fetch, its progress, and what is kept."""

import streamlit as st

from core.corpus.datasets import BYTES_PER_TOKEN, MAX_ROWS, DatasetName, DatasetTexts, fetch_texts
from core.errors import LoupeError, NotDownloadedError
from core.work.jobs import Progress
from ui.shared import progress as job_view
from ui.shared.errors import StillRunningError
from ui.shared.escape import plain
from ui.sidebar import downloads
from ui.studies import compute

MEGABYTES = (1, 4, 16, 64, 256)
"""How much text can be asked for."""


def texts(name: DatasetName, megabytes: int) -> DatasetTexts:
    """Return what was fetched earlier; raise StillRunningError while it comes, else NotDownloadedError."""
    key = _key(name, megabytes)

    def read() -> DatasetTexts:
        found = compute.store().load(DatasetTexts, key)
        if found is None:
            raise NotDownloadedError("dataset", str(name), megabytes * 10**6)
        return found

    if not _is_here(key) and _flag(key) in st.session_state:
        raise StillRunningError(f"{name} is being downloaded.")
    return compute.loaded().get(key, read, name=str(name))


def offer(name: DatasetName, megabytes: int) -> None:
    """Offer to fetch what is not here, draw the download that goes on, or say what went wrong."""
    key = _key(name, megabytes)
    if _is_here(key):
        return
    if _flag(key) in st.session_state and not _follow(name, megabytes):
        return
    if _problem(key) in st.session_state:
        st.error(plain(st.session_state[_problem(key)]), icon=":material/cloud_off:")
    with st.container(border=True):
        st.markdown(plain(f"{name} is not on this machine."))
        st.caption(
            plain(
                f"Download fetches its first documents, up to {megabytes} MB of text (about "
                f"{megabytes * 10**6 // BYTES_PER_TOKEN:,} tokens) or {MAX_ROWS:,} rows, and keeps them. Nothing is "
                "asked of the hub before."
            )
        )
        st.button(
            "Download",
            key=f"fetch {key}",
            type="primary",
            icon=":material/download:",
            width="stretch",
            on_click=_start,
            args=(key,),
        )


def _follow(name: DatasetName, megabytes: int) -> bool:
    """Watch a download; return whether it failed."""
    key, max_bytes = _key(name, megabytes), megabytes * 10**6

    def work(progress: Progress) -> DatasetTexts:
        return compute.store().cached(
            DatasetTexts, key, lambda: fetch_texts(name, max_bytes=max_bytes, progress=progress)
        )

    try:
        # On the queue of downloads, so that no computation waits for the network.
        found = job_view.run(downloads.jobs(), key, f"Downloading {name}", work, narrow=True)
    except StillRunningError:
        return False
    except LoupeError as error:
        # A failed job would be started anew on every run.
        st.session_state[_problem(key)] = str(error)
        st.session_state.pop(_flag(key), None)
        return True
    # Also where the store cannot be written.
    compute.loaded().get(key, lambda: found, name=str(name))
    st.session_state.pop(_flag(key), None)
    st.rerun()


def _start(key: str) -> None:
    st.session_state[_flag(key)] = True
    st.session_state.pop(_problem(key), None)


def _key(name: DatasetName, megabytes: int) -> str:
    return DatasetTexts.key(name, max_bytes=megabytes * 10**6)


def _is_here(key: str) -> bool:
    return compute.at_hand(key)


def _flag(key: str) -> str:
    return f"_fetch_{key}"


def _problem(key: str) -> str:
    return f"_fetch_problem_{key}"
