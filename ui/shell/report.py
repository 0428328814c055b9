"""The offer under each page with figures: all of them as one HTML file."""

import re

import streamlit as st

from core.work.jobs import Jobs
from core.work.progress import Progress
from ui.shared import errors, progress, report, report_file
from ui.shared.figure import is_dark


def offer(page: str, title: str, question: str, jobs: Jobs) -> None:
    """Offer a report of the page; go on with one that was asked for; offer what is written.

    `page` is the name of its file; `question` what it asks.
    """
    if (written := report.kept(page)) is not None:
        _save(title, written)
    elif making := report.being_made():
        with errors.shown():
            _go_on(making, title, question, jobs)
    elif report.has_figures():
        st.button(
            "Report of this page",
            key="report",
            icon=":material/lab_profile:",
            help="One HTML file with the figures of all tabs, as they are set now: pictures, tables, formulas and "
            "provenance. It opens anywhere and fetches nothing.",
            on_click=report.ask,
            args=(page,),
        )


def _go_on(making: report.Report, title: str, question: str, jobs: Jobs) -> None:
    if progress.here(jobs):  # the page runs again when that has ended
        st.caption("The report is written when this work has ended.")
        return
    sections = report.take()
    if sections is None:
        st.rerun()
    settings = [f"{name} {value}" for name, value in sorted(st.query_params.items()) if name != "tab"]
    about, dark = " · ".join([question[:1].upper() + question[1:], *settings]), is_dark()

    def write(told: Progress) -> bytes:
        return report_file.write(title, about, sections, dark=dark, progress=told)

    report.keep(making, progress.run(jobs, making.key, "Report", write, unit="figures"))
    st.rerun()


def _save(title: str, written: bytes) -> None:
    st.download_button(
        f"Save the report ({len(written) / 1e6:.1f} MB)",
        written,
        f"{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}.html",
        "text/html",
        key="report_save",
        icon=":material/download:",
        on_click="ignore",
    )
