"""Downloads from the hub, when a person asks: their size, their progress, and what went wrong.

The sidebar shows one download at a time. It continues while pages are used. The code that downloads is in core.
"""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.amounts import of_bytes
from core.dictionaries import sources
from core.errors import LoupeError, NotDownloadedError
from core.models import downloads, names
from core.work.jobs import Jobs
from core.work.progress import Progress
from ui.shared import errors
from ui.shared import progress as shared_progress
from ui.shared.errors import StillRunning
from ui.shared.escape import plain
from ui.studies import compute

_WANTED, _PROBLEM = "_download", "_download_problem"
NEXT_DICTIONARY = "_sae_next"
"""The id that the picker selects on the next run."""
DICTIONARY, MODEL, TENSORS = "dictionary", "model", "model tensors"
"""What can be downloaded: a dictionary, a whole model, or the tensors of a model that pages without text need."""


@dataclass(frozen=True)
class Wanted:
    """What a person asked to download."""

    kind: str
    id: str

    @property
    def key(self) -> str:
        return f"download {self.kind} {self.id}"

    def work(self) -> Callable[[Progress], object]:
        self.check()
        workspace = compute.workspace()
        return {
            DICTIONARY: lambda progress: sources.download(self.id, progress),
            MODEL: lambda progress: downloads.download(self.id, progress),
            TENSORS: lambda progress: downloads.download_tensors(self.id, workspace, progress),
        }[self.kind]

    def check(self) -> None:
        """Raise ClosedInPublicError for what a public app does not download, UnknownNameError for what nobody can."""
        policy = compute.workspace().policy
        if policy.public:
            of_model = names.repository(self.id) or self.id
            policy.check_repository(sources.repository(self.id) if self.kind == DICTIONARY else of_model)

    def nbytes(self) -> int:
        """Ask the hub how many bytes are missing."""
        self.check()
        if self.kind == DICTIONARY:
            return sources.cost(self.id).missing
        return downloads.tensor_plan(self.id).nbytes if self.kind == TENSORS else self._model_bytes()

    def _model_bytes(self) -> int:
        return downloads.cost(self.id).missing


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """Downloads have their own queue, so that no computation waits for the network."""
    return Jobs(workers=2, keep=4)


def start(wanted: Wanted) -> None:
    """Remember what to download; `show` starts it on this run or the next."""
    st.session_state[_WANTED] = wanted
    st.session_state.pop(_PROBLEM, None)
    st.session_state.pop(f"_stopped_{wanted.key}", None)


def going_on() -> bool:
    """Say whether a download is shown: it runs, was stopped, or went wrong."""
    return _WANTED in st.session_state


def show() -> None:
    """Draw the running download, if any, or its error, and pick a dictionary that has arrived."""
    wanted = st.session_state.get(_WANTED)
    if wanted is None:
        return
    if _PROBLEM in st.session_state:
        st.error(plain(st.session_state[_PROBLEM]), icon=":material/cloud_off:")
        st.button("Download again", key="_download_again", on_click=start, args=(wanted,), width="stretch")
        st.button("Dismiss", key="_download_leave", on_click=_forget, width="stretch")
        return
    try:
        shared_progress.run(jobs(), wanted.key, f"Downloading {wanted.id}", wanted.work(), narrow=True)
    except StillRunning:
        if f"_stopped_{wanted.key}" in st.session_state:
            st.caption("The bytes that have arrived are kept. Download again continues from there.")
            st.button("Dismiss", key="_download_leave", on_click=_forget, width="stretch")
        return
    except LoupeError as error:
        # Every run would restart a failed job.
        st.session_state[_PROBLEM] = str(error)
        st.rerun()
    _forget()
    if wanted.kind == DICTIONARY:
        st.session_state[NEXT_DICTIONARY] = wanted.id
    st.rerun()


def _forget() -> None:
    wanted = st.session_state.pop(_WANTED, None)
    st.session_state.pop(_PROBLEM, None)
    if wanted:
        st.session_state.pop(f"_stopped_{wanted.key}", None)


def buttons(wanted: Wanted, label: str = "Download") -> None:
    """Draw the buttons that ask for the size and that download, or say why a public app does not."""
    with errors.shown():
        wanted.check()
        _buttons(wanted, label)


def _buttons(wanted: Wanted, label: str) -> None:
    size = f"_size of {wanted.key}"
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Ask the hub for the size", key=f"ask {wanted.key}", type="tertiary"):
            with errors.shown(), st.spinner("Asking the hub"):
                st.session_state[size] = wanted.nbytes()
        if size in st.session_state:
            st.markdown(plain(f"{of_bytes(st.session_state[size])} to fetch"))
        if st.button(label, key=f"fetch {wanted.key}", icon=":material/download:", type="primary"):
            start(wanted)
            st.rerun()


def offer(error: NotDownloadedError) -> None:
    """Say what is not on this machine, and offer to download it."""
    with errors.shown():
        Wanted(error.kind, error.id).check()
        _offer(error)


def _offer(error: NotDownloadedError) -> None:
    st.warning(plain(str(error)), icon=":material/cloud_download:")
    if error.kind == DICTIONARY:
        buttons(Wanted(DICTIONARY, error.id))
        return
    if error.nbytes is None:  # not even its tensors are here
        buttons(Wanted(TENSORS, error.id), "Download embeddings only")
    buttons(Wanted(MODEL, error.id), "Download the whole model")
