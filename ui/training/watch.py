"""The tab Runs: how far each run is, its curves with those of others behind, and what can be done with it."""

import streamlit as st

from core import catalogue, tables
from core.amounts import of_seconds
from core.training import log
from core.training.log import Curves
from core.training.runs import FAILED, FINISHED, NEW, RUNNING, STOPPED, Run
from core.training.settings import TrainingSettings
from core.training.tables import COLUMNS, curve_table
from ui.shared import links
from ui.shared.errors import shown
from ui.shared.escape import plain
from ui.shared.figure import altair, figure
from ui.studies import training
from ui.training import charts
from ui.training.new_run import STARTED

_EVERY_S = 2.0
_MOST_BEHIND = 6
_ICONS = {RUNNING: ":material/autoplay:", FINISHED: ":material/check_circle:", FAILED: ":material/error:"}


def take_up() -> None:
    """Show the run that was just started. Call it before the tabs are drawn."""
    if name := st.session_state.pop(STARTED, None):
        st.session_state["tr_run"], st.session_state["tab"] = name, "Runs"


def watch() -> None:
    """Draw the tab."""
    listed = {run.name: run for run in training.runs()}
    if not listed:
        st.info("Nothing was trained yet. Start in the tab New run.", icon=":material/model_training:")
        return
    if st.session_state.get("tr_run") not in listed:
        st.session_state.pop("tr_run", None)
    left, right = st.columns([2, 3])
    name = left.selectbox("Run", list(listed), key="tr_run", bind="query-params")
    alike = [other for other, run in listed.items() if other != name and _hook(run) == _hook(listed[name])]
    behind = right.multiselect(
        "Runs behind it",
        [other for other in listed if other != name],
        alike[:_MOST_BEHIND],
        key=f"tr_behind {name}",
        max_selections=_MOST_BEHIND,
        help="Grey curves. At first those at the same hook.",
    )
    run = listed[name]
    if run.state() == RUNNING:
        st.fragment(_live, run_every=_EVERY_S)(run, behind)
    else:
        _draw(run, behind)


def _hook(run: Run) -> tuple[str, str]:
    settings = run.settings
    return settings.model, settings.hook_name


def _live(run: Run, behind: list[str]) -> None:
    """Draw a running run again and again; run the page anew when it has ended."""
    if run.state() != RUNNING:
        st.rerun()
    _draw(run, behind)


def _draw(run: Run, behind: list[str]) -> None:
    with shown():
        settings, curves, state = run.settings, run.curves(), run.state()
        _said(run, settings, curves, state)
        _buttons(run, state)
        if state == FINISHED:
            _results(run)
        _curves(run, settings, curves, behind)


def _said(run: Run, settings: TrainingSettings, curves: Curves, state: str) -> None:
    """Say how far a run is, and why it ended."""
    share = min(1.0, curves.step / settings.steps)
    parts = [f"{state}: step {curves.step:,} of {settings.steps:,}"]
    if state == RUNNING:
        if run.is_asked_to_stop():
            parts.append("stops after this step")
        elif rate := curves.tokens_per_s:
            left = (settings.steps - curves.step) * settings.batch_tokens / rate
            parts.append(f"{rate:,.0f} tokens a second, about {of_seconds(left)} left")
        elif not curves.step:
            parts.append("reading the text")
    st.progress(1.0 if state == FINISHED else share, text=plain(", ".join(parts).capitalize()))
    last = curves.last
    if state == FAILED:
        st.error(plain(last.message), icon=_ICONS[FAILED])
    elif state in (NEW, STOPPED) and (last is None or last.event != log.STOPPED):
        kept = [event.step for event in curves.events if event.event == log.CHECKPOINT]
        said = f"It was killed; it goes on from step {kept[-1] if kept else 0:,}." if last else "It has not begun."
        output = run.output().strip()
        st.warning(plain(f"{said} {output[-500:]}".strip()), icon=":material/warning:")
    elif last is not None and last.event == log.NOT_SAVED:
        st.warning(plain(last.message), icon=":material/save:")


def _buttons(run: Run, state: str) -> None:
    with st.container(horizontal=True):
        if state == RUNNING:
            stopping = run.is_asked_to_stop()
            if st.button("Stop", key=f"tr_stop {run.name}", icon=":material/stop_circle:", disabled=stopping):
                training.stop(run)
                st.rerun()
            return
        if state != FINISHED and st.button("Resume", key=f"tr_resume {run.name}", icon=":material/resume:"):
            with st.spinner("Starting"):
                training.resume(run)
            st.rerun()
        with st.popover("Delete", icon=":material/delete:", type="tertiary"):
            st.caption("Deletes the run with its checkpoints and dictionaries.")
            if st.button("Delete this run", key=f"tr_delete {run.name}", type="primary"):
                training.remove(run)
                st.rerun()


def _results(run: Run) -> None:
    """Link to the finished dictionaries, and to a comparison of each with the one that is open."""
    open_now = st.session_state.get("sae")
    for seed in run.results():
        id = f"trained/{run.name}/seed{seed}"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(plain(f"Seed {seed}"), width="content")
            links.to(st, "overview", {"sae": id}, label="Open", icon=":material/folder_open:")
            if open_now and open_now != id:
                label = "Compare with the open dictionary"
                links.to(st, "matching", {"b": id}, label=label, icon=":material/compare_arrows:")
            others = [other for other in run.results() if other != seed]
            if others:
                query = {"sae": id, "b": f"trained/{run.name}/seed{others[0]}"}
                links.to(
                    st, "matching", query, label=f"Compare with seed {others[0]}", icon=":material/compare_arrows:"
                )


def _curves(run: Run, settings: TrainingSettings, curves: Curves, behind: list[str]) -> None:
    """Draw the four curves, two beside each other."""
    if not curves.points:
        return
    known = {other.name: other for other in training.runs()}
    found = {run.name: curves} | {name: known[name].curves() for name in behind if name in known}
    table = curve_table(found)
    told = {"run": run.name, "type": settings.type, "hook_name": settings.hook_name, "seeds": str(settings.seeds)}
    source = tables.provenance(dictionary=[], method="training", settings=told)
    note = f"one batch of {settings.batch_tokens:,} tokens at each point · {settings.hook_name} of {settings.model}"
    columns = st.columns(2)
    for i, column in enumerate(COLUMNS.values()):
        with columns[i % 2]:
            _curve(table, column, run.name, note + (" · grey: other runs" if len(found) > 1 else ""), source)


def _curve(table, column: str, run: str, note: str, source: dict) -> None:
    figure(
        catalogue.statistic(column).title,
        altair(charts.curve(table, column, run), key=f"chart-{column}"),
        table,
        explains=[column, "training_tokens"],
        note=note,
        name=f"run-{run}-{column}",
        provenance=source,
    )
