"""The list of running work in the sidebar."""

from core.work.jobs import Jobs
from tests.doubles import pages
from tests.work.test_jobs_view import Work


def any_page():
    """A page that shows the work with the key `shows`, if any, and lists the rest."""
    import streamlit as st

    from ui.shared import errors, progress
    from ui.sidebar import running

    jobs, work, shows = (st.session_state[name] for name in ("jobs", "work", "shows"))
    progress.begin(jobs)
    with errors.shown():
        if shows:
            progress.run(jobs, shows, "Counting", work)
    running.draw(jobs)


def bars(at) -> list[str]:
    return [bar.text for bar in at.get("progress")]


def test_work_that_was_left_is_listed_elsewhere_once_and_can_be_stopped(monkeypatch):
    monkeypatch.setattr("ui.shared.progress.PATIENCE_S", 0.01)
    jobs, work = Jobs(), Work()
    at = pages.run(any_page, jobs=jobs, work=work, shows="key")
    assert work.started.wait(30)
    assert len(bars(at.run())) == 1  # where the page shows it, the list does not
    assert not at.caption

    at.session_state["shows"] = None
    at.run()
    assert [bar.partition(":")[0] for bar in bars(at)] == ["Counting\\"]
    assert [caption.value for caption in at.caption] == ["Other work"]
    (job,) = jobs.unfinished()
    at.button(key="stop-key-sidebar").click().run()
    assert job.cancel_requested
    work.go_on.set()
    assert job.finished_within(30)
    assert bars(at.run()) == []


def test_work_that_another_person_looks_at_is_listed_without_a_way_to_stop_it(monkeypatch):
    monkeypatch.setattr("ui.shared.progress.PATIENCE_S", 0.01)
    jobs, work = Jobs(), Work()
    pages.run(any_page, jobs=jobs, work=work, shows="key")
    at = pages.run(any_page, jobs=jobs, work=work, shows=None)
    assert len(bars(at)) == 1
    assert not at.button
    work.go_on.set()
