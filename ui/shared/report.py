"""A report of a page: the figures of all its tabs, noted as they are drawn.

While a report is made, the page runs once for each tab and draws it alone, as tabs share settings and Streamlit draws
a setting once in a run. What was noted of the tabs before waits in the session.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import uuid4

import pandas as pd
import streamlit as st

from ui.shared import picked_feature

_MAKING, _MADE = "_report", "_report_made"
_VIEW = ("sae", "with", "b")
"""What tells one state of a page from another, with the feature that a person picked."""


@dataclass
class Entry:
    """One figure."""

    title: str
    note: str
    name: str
    explains: Sequence[str]
    provenance: Mapping[str, object]
    table: pd.DataFrame
    charts: Sequence = ()
    texts: list[str] = field(default_factory=list)
    """Texts as HTML, made and escaped by ui.shared.token_text."""


@dataclass
class Section:
    """What one tab drew, or what stands above the tabs."""

    title: str
    numbers: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    explains: list[str] = field(default_factory=list)
    """Names of `numbers` in the catalogue."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """What `numbers` are from."""


@dataclass
class Report:
    """A report that is being made."""

    view: tuple
    key: str = field(default_factory=lambda: f"report-{uuid4().hex}")
    """Names the work of writing it."""
    sections: dict[str, Section] = field(default_factory=dict)
    """What is finished, by title; what stands above the tabs has none."""


@dataclass
class _Run:
    """What one run of a page draws."""

    report: Report | None
    sections: list[Section] = field(default_factory=lambda: [Section("")])
    tabs: Sequence[str] = ()
    texts: list[str] = field(default_factory=list)
    """Texts drawn since the last figure ended."""
    figures: int = 0


_run: ContextVar[_Run | None] = ContextVar("run", default=None)


@contextmanager
def watched(page: str) -> Iterator[None]:
    """Note what a page draws, if a person has asked for a report of what it shows. `page` is the name of its file."""
    report = st.session_state.get(_MAKING)
    token = _run.set(_Run(report if report and report.view == _view(page) else None))
    try:
        yield
    finally:
        _run.reset(token)


def being_made() -> Report | None:
    """Return the report that is being made in this run."""
    run = _run.get()
    return run.report if run else None


def has_figures() -> bool:
    """Whether this run drew a figure, so that there is something to report."""
    return bool(_run.get().figures)


def tab_to_draw(tabs: Sequence[str], opened: str) -> str:
    """Return the title of the tab to draw: the open one, or, for a report, the next that it lacks."""
    if not (report := being_made()):
        return opened
    _run.get().tabs = tabs
    lacking = [title for title in tabs if title not in report.sections]
    return opened if opened in lacking or not lacking else lacking[0]


@contextmanager
def section(title: str) -> Iterator[None]:
    """Note what is drawn inside under this title."""
    if being_made():
        _run.get().sections.append(Section(title))
    yield


def note_numbers(numbers: Mapping[str, str], explains: Sequence[str], provenance: Mapping[str, object]) -> None:
    """Note numbers that stand by themselves, such as cards, by their titles; `explains` are names in the catalogue."""
    if being_made():
        section = _run.get().sections[-1]
        section.numbers |= numbers
        section.explains += [name for name in explains if name not in section.explains]
        section.provenance = provenance


def note_text(html: str) -> None:
    """Note texts that a figure shows. They must be escaped already."""
    if being_made():
        _run.get().texts.append(html)


def note_figure(make: Callable[[], Entry]) -> None:
    """Note a figure, as `make` returns it, with the texts drawn in it. Without a report, only count it."""
    if not (run := _run.get()):
        return
    run.figures += 1
    if run.report:
        entry = make()
        entry.texts, run.texts = run.texts, []
        run.sections[-1].entries.append(entry)


def take() -> list[Section] | None:
    """Add what this run drew to its report. Return the report's sections in their order, or None if tabs are left."""
    run = _run.get()
    for drawn in run.sections:
        run.report.sections.setdefault(drawn.title, drawn)
    order = ["", *run.tabs]
    return None if set(order) - set(run.report.sections) else [run.report.sections[title] for title in order]


def ask(page: str) -> None:
    """Ask for a report of the page in its present state. For callbacks."""
    st.session_state[_MAKING] = Report(_view(page))
    st.session_state.pop(_MADE, None)


def keep(report: Report, written: bytes) -> None:
    """Keep a finished report for this page in its present state."""
    st.session_state.pop(_MAKING, None)
    st.session_state[_MADE] = (report.view, written)


def kept(page: str) -> bytes | None:
    """Return the finished report of what the page shows now, if there is one."""
    view, written = st.session_state.get(_MADE, (None, None))
    return written if view == _view(page) else None


def _view(page: str) -> tuple:
    said = st.query_params.to_dict()
    feature = picked_feature.picked_feature() if picked_feature.is_picked() else None
    return (page, feature, *(said.get(name, "") for name in _VIEW))
