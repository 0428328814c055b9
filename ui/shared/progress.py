"""Draw the progress of long work, its rate, the time left and a cancel button. The work itself is in core."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import uuid4

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.amounts import of_seconds
from core.errors import CancelledError
from core.work.job import Job
from core.work.jobs import Jobs
from ui.shared.errors import StillRunning
from ui.shared.escape import plain
from ui.shared.garbage import spare_modules

PATIENCE_S = 1.0
"""Work that ends within this time shows no progress bar at all."""
BACKGROUND_S = 0.0
"""How long work in the background is waited for."""
_GLANCE_S = 0.05
_NAMED = "_jobs_named_here"
_begun: ContextVar[list[Job] | None] = ContextVar("begun", default=None)
_patience: ContextVar[float | None] = ContextVar("patience", default=None)
_control: ContextVar[bool] = ContextVar("control", default=False)


@dataclass(frozen=True)
class Session:
    """Who waits for a job."""

    id: str
    token: str = field(default_factory=lambda: uuid4().hex)

    def is_open(self) -> bool:
        """Whether a browser is connected: a page that was closed or loaded anew waits for nothing."""
        return not runtime.exists() or runtime.get_instance().is_active_session(self.id)


def this_session() -> Session:
    if "_session" not in st.session_state:
        context = get_script_run_ctx()  # none where a view is called outside of a server
        st.session_state["_session"] = Session(context.session_id if context else "")
    return st.session_state["_session"]


def begin(jobs: Jobs) -> None:
    """Begin a run of a page: what this person's page showed before counts no more."""
    jobs.look_away(this_session())
    st.session_state[_NAMED] = set()


def elsewhere(jobs: Jobs) -> list[Job]:
    """Return the jobs that are not done and that the open page does not name."""
    named = st.session_state.get(_NAMED, ())
    return [job for job in jobs.unfinished() if job.key not in named]


def here(jobs: Jobs) -> list[Job]:
    """Return the jobs that are not done and that the open page names."""
    named = st.session_state.get(_NAMED, ())
    return [job for job in jobs.unfinished() if job.key in named]


def named(key: str) -> None:
    """Note that the open page says how far the job of this name is, which may not have begun."""
    st.session_state.setdefault(_NAMED, set()).add(key)


@contextmanager
def in_background(*, patience_s: float | None = None) -> Iterator[list[Job]]:
    """Let `run` wait for nothing, or only so long, and draw nothing within this block.

    It raises StillRunning at once, and the list gets the jobs that are not done. `watch` draws them later.
    """
    jobs: list[Job] = []
    token, patience = _begun.set(jobs), _patience.set(max(BACKGROUND_S, patience_s or 0))
    try:
        yield jobs
    finally:
        _begun.reset(token)
        _patience.reset(patience)


def is_in_background() -> bool:
    """Whether this is within `in_background`, where nothing is drawn."""
    return _begun.get() is not None


@contextmanager
def as_control(*, patience_s: float = 0) -> Iterator[None]:
    """Let work within this block come after the answers that somebody waits for, and draw its bar after so long."""
    token, patience = _control.set(True), _patience.set(patience_s)
    try:
        yield
    finally:
        _control.reset(token)
        _patience.reset(patience)


def watch_all(jobs: list[Job]) -> None:
    """Say in one line what is being computed, and run the page again when one of the jobs has ended."""

    @st.fragment(run_every=0.25)
    def watch() -> None:
        spare_modules()
        if any(job.finished_within(0) for job in jobs):
            st.rerun()
        st.caption(plain("Computing: " + "; ".join(describe(job) for job in jobs)))

    for job in jobs:
        named(job.key)
    if jobs:
        watch()


def stands_already(key: str) -> bool:
    """Whether a widget with this key was drawn in this run; Streamlit takes a key once.

    Several views of a page may wait for one job.
    """
    return key in get_script_run_ctx().shared.widget_user_keys_this_run


def _finished_within(job: Job, seconds: float) -> bool:
    """Wait for a job, but no longer for a page that the person has left meanwhile."""
    end = time.monotonic() + seconds
    while not job.finished_within(min(_GLANCE_S, max(0.0, end - time.monotonic()))):
        if time.monotonic() >= end:
            return False
        _ = _NAMED in st.session_state  # Streamlit ends a run that is out of date where it reads the session
    return True


def wait(job: Job, jobs: Jobs, *, narrow: bool = False):
    """Return the job's result. If the job takes longer than a second, draw its progress and raise StillRunning.

    A job that waits names what runs before it, and offers to stop that if nobody looks at it any more. In a `narrow`
    place, such as the sidebar, the cancel button is below the bar. If several views wait for one job, the first draws
    its progress.

    Raises StillRunning while the job runs (`errors.shown` shows nothing for it), and what the job raised.
    """
    begun, patience = _begun.get(), _patience.get()
    if _finished_within(job, PATIENCE_S if patience is None else patience):
        return job.result()
    st.session_state[f"_job_{job.key}"] = job
    named(job.key)
    if begun is not None:
        begun.append(job)
        raise StillRunning(f"{job.label} is still running.")
    if stands_already(f"cancel-{job.key}"):
        st.caption(plain(f"{job.label}: see its progress above."))
        raise StillRunning(f"{job.label} is still running.")

    @st.fragment(run_every=0.5)
    def watch() -> None:
        spare_modules()  # jobs import the heaviest ones
        if job.finished_within(0) or f"_stopped_{job.key}" in st.session_state:
            st.rerun()
        bar, button = (st, st) if narrow else st.columns([6, 1], vertical_alignment="bottom")
        before = [other for other in jobs.unfinished() if other.state == "running"] if job.state == "waiting" else []
        bar.progress(min(1.0, job.fraction or 0.0), text=plain(describe(job, before)))
        button.button("Cancel", key=f"cancel-{job.key}", on_click=_leave, args=(job,), width="stretch")
        for other in before:
            named(other.key)
            offer_to_stop(other, jobs, f"Stop {other.label}", beside=job.key)

    watch()
    raise StillRunning(f"{job.label} is still running.")


def offer_to_stop(job: Job, jobs: Jobs, label: str, *, beside: str) -> None:
    """Draw a button that stops a job, if nobody looks at it. `beside` tells such buttons of a page apart."""
    if not jobs.in_view(job):
        st.button(
            plain(label),
            key=f"stop-{job.key}-{beside}",
            icon=":material/stop_circle:",
            help="No open page shows this work. What it has stored stays.",
            on_click=job.cancel,
        )


def describe(job: Job, before: Sequence[Job] = ()) -> str:
    """Say how far a job is: label, share, rate, time left; of one that waits, what runs before it."""
    if job.state == "waiting":
        return f"{job.label}: waits for {'; '.join(map(describe, before)) or 'other work to finish'}"
    parts = [f"{job.label}: {job.fraction:.0%}" if job.fraction is not None else job.label]
    if job.unit and job.rate:
        parts.append(f"{job.rate:,.0f} {job.unit} a second")
    if job.seconds_left is not None:
        parts.append(f"about {of_seconds(job.seconds_left)} left")
    if job.text:
        parts.append(job.text)
    return ", ".join(parts)


def _leave(job: Job) -> None:
    """Stop waiting for a job, which ends unless another session waits for it."""
    st.session_state.pop(f"_job_{job.key}", None)
    ended = job.leave(this_session(), present=Session.is_open)
    st.session_state[f"_stopped_{job.key}"] = "here" if ended else "elsewhere it goes on"


def stopped(key: str, *, resumes: bool = False) -> bool:
    """Say that this work was stopped and offer to start it again; True while it stays stopped."""
    flag = f"_stopped_{key}"
    if flag not in st.session_state:
        return False
    if _begun.get() is not None:
        return True
    if stands_already(f"again-{key}"):
        return True
    if st.session_state[flag] == "here":
        kept = "the finished part is kept" if resumes else "nothing was kept"
        said = f"Stopped before it was finished; {kept}."
    else:
        said = "Stopped here. Another session waits for the same work, so it goes on there."
    st.info(said, icon=":material/stop_circle:")
    st.button("Go on" if resumes else "Start again", key=f"again-{key}", on_click=lambda: st.session_state.pop(flag))
    return True


def run(jobs, key: str, label: str, work, *, narrow: bool = False, unit: str = "", resumes: bool = False):
    """Submit work under a key, wait for it, and offer to start it again if it was cancelled.

    Progress counts in `unit`, a plural; with `resumes`, stopped work continues where it stopped.
    """
    if stopped(key, resumes=resumes):
        raise StillRunning(f"{label} was stopped.")
    try:
        # Wait for a job that is shown already. Submitting again would restart a job that was stopped.
        watched = st.session_state.pop(f"_job_{key}", None)
        job = watched or jobs.submit(key, label, work, unit=unit, waiter=this_session())
        if _begun.get() is None:  # work in the background gives way
            jobs.look(job, this_session(), control=_control.get())
        return wait(job, jobs, narrow=narrow)
    except CancelledError as error:
        st.session_state[f"_stopped_{key}"] = "here"
        stopped(key, resumes=resumes)
        raise StillRunning(f"{label} was stopped.") from error
