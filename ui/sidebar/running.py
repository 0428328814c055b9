"""Work under way that the open page does not show: how far it is, and a way to stop it."""

import streamlit as st

from core.work.jobs import Jobs
from ui.shared import progress
from ui.shared.escape import plain
from ui.shared.garbage import spare_modules


def draw(jobs: Jobs) -> None:
    """List the work, once the page has drawn what it waits for. The page runs again when all of it has ended."""

    @st.fragment(run_every=1.0)
    def watch() -> None:
        spare_modules()
        others = progress.elsewhere(jobs)
        if not others:
            st.rerun()
        st.caption("Other work")
        for job in others:
            st.progress(job.fraction or 0.0, text=plain(progress.describe(job)))
            progress.offer_to_stop(job, jobs, "Stop", beside="sidebar")

    if progress.elsewhere(jobs):
        watch()
