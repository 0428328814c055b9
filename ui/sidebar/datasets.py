"""Datasets of the hub in the text picker: the size of a download, its progress, and what is kept."""

import streamlit as st

from core.corpus.datasets import BYTES_PER_TOKEN, MAX_ROWS, DatasetName, DatasetTexts, fetch_texts
from core.errors import LoupeError
from core.work.progress import Progress
from ui.shared import progress as shared_progress
from ui.shared.errors import StillRunning
from ui.shared.escape import plain
from ui.sidebar import downloads
from ui.studies import compute, corpus


def offer(name: DatasetName, megabytes: int) -> None:
    """Offer a download, draw the progress of a running one, or say what went wrong.

    Raises ClosedInPublicError for a dataset that a public app does not list.
    """
    key = corpus.dataset_key(name, megabytes)
    compute.workspace().policy.check_repository(name.repository)
    if compute.at_hand(key):
        return
    if corpus.fetching_flag(key) in st.session_state and not _follow(name, megabytes):
        return
    if _problem(key) in st.session_state:
        st.error(plain(st.session_state[_problem(key)]), icon=":material/cloud_off:")
    with st.container(border=True):
        st.markdown(plain(f"{name} is not on this machine."))
        st.caption(
            plain(
                f"Download fetches its first documents, up to {megabytes} MB of text (about "
                f"{megabytes * 10**6 // BYTES_PER_TOKEN:,} tokens) or {MAX_ROWS:,} rows, and keeps them. The "
                "app does not contact the hub before."
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
    key, max_bytes = corpus.dataset_key(name, megabytes), megabytes * 10**6

    def work(progress: Progress) -> DatasetTexts:
        return compute.store().cached(
            DatasetTexts, key, lambda: fetch_texts(name, max_bytes=max_bytes, progress=progress)
        )

    try:
        # Downloads have their own queue, so that no computation waits for the network.
        texts = shared_progress.run(downloads.jobs(), key, f"Downloading {name}", work, narrow=True)
    except StillRunning:
        return False
    except LoupeError as error:
        # Every run would restart a failed job.
        st.session_state[_problem(key)] = str(error)
        st.session_state.pop(corpus.fetching_flag(key), None)
        return True
    # The text is kept even if the store cannot be written.
    compute.loaded().get(key, lambda: texts, name=str(name))
    st.session_state.pop(corpus.fetching_flag(key), None)
    st.rerun()


def _start(key: str) -> None:
    st.session_state[corpus.fetching_flag(key)] = True
    st.session_state.pop(_problem(key), None)


def _problem(key: str) -> str:
    return f"_fetch_problem_{key}"
