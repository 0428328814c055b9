"""Watching, cancelling and restarting long work in a page."""

import threading

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import CorpusError
from core.work.jobs import Jobs
from tests.doubles import pages
from tests.doubles.pages import text_of
from ui.shared.progress import describe


class Work:
    """A job that waits for the test at every step, and remembers how often it was begun."""

    def __init__(self):
        self.jobs = Jobs()
        self.begun = 0
        self.started = threading.Event()
        self.go_on = threading.Event()
        self.error = None

    def __call__(self, progress):
        self.begun += 1
        self.started.set()
        progress.update(1, 4)
        assert self.go_on.wait(30)
        progress.update(2, 4)
        if self.error:
            raise self.error
        return "the answer"


def page():
    import streamlit as st

    from ui.shared import errors, progress

    work = st.session_state["work"]
    for _ in range(st.session_state.get("views", 1)):
        with errors.shown():
            st.markdown(progress.run(work.jobs, "key", "Counting", work))


def opened(work: Work, views: int = 1) -> AppTest:
    """A session that waits for the work, in so many views."""
    return pages.run(page, work=work, views=views)


@pytest.fixture
def watched(monkeypatch):
    """The work, and the page that shows it under way."""
    monkeypatch.setattr("ui.shared.progress.PATIENCE_S", 0.01)
    work = Work()
    at = opened(work)
    assert work.started.wait(30)
    yield work, at
    work.go_on.set()


def finish(work: Work) -> None:
    work.go_on.set()
    job = work.jobs.submit("key", "Counting", work)
    assert job._finished.wait(30)


def test_progress_is_shown_and_then_the_result(watched):
    work, at = watched
    assert at.button(key="cancel-key").label == "Cancel"
    finish(work)
    at.run()
    assert [m.value for m in at.markdown] == ["the answer"]
    assert work.begun == 1


def test_cancelled_work_stays_stopped_until_it_is_started_again(watched):
    work, at = watched
    job = work.jobs._jobs["key"]
    at.button(key="cancel-key").click().run()
    work.go_on.set()
    assert job._finished.wait(30)
    for _ in range(2):
        at.run()
        assert "Stopped before it was finished" in at.info[0].value
        assert not at.error
    assert work.begun == 1
    at.button(key="again-key").click().run()
    work.jobs._jobs["key"]._finished.wait(30)
    at.run()
    assert [m.value for m in at.markdown] == ["the answer"]
    assert work.begun == 2


def test_two_views_that_wait_for_one_job_draw_one_bar_and_one_way_to_start_again(watched):
    work, _ = watched
    at = opened(work, views=2)
    assert not at.exception
    assert [button.key for button in at.button] == ["cancel-key"]
    assert [caption.value for caption in at.caption] == ["Counting\\: see its progress above\\."]
    at.button(key="cancel-key").click().run()
    assert not at.exception
    assert [button.key for button in at.button] == ["again-key"]
    at.button(key="again-key").click().run()
    finish(work)
    at.run()
    assert [m.value for m in at.markdown] == ["the answer"] * 2


def test_work_that_one_session_cancels_goes_on_for_another(watched):
    work, at = watched
    other = opened(work)
    at.button(key="cancel-key").click().run()
    assert "Another session waits for the same work" in at.info[0].value
    finish(work)
    assert [m.value for m in other.run().markdown] == ["the answer"]
    at.button(key="again-key").click().run()
    assert [m.value for m in at.markdown] == ["the answer"]
    assert work.begun == 1


def test_a_session_that_is_gone_does_not_keep_work_going(watched, monkeypatch):
    work, at = watched
    opened(work)
    gone = at.session_state["_session"]
    monkeypatch.setattr("ui.shared.progress.Session.is_open", lambda session: session == gone)
    job = work.jobs._jobs["key"]
    at.button(key="cancel-key").click().run()
    assert job.cancel_requested


def test_work_that_fails_by_a_timeout_does_not_look_as_if_it_ran(watched):
    work, at = watched
    work.error = TimeoutError("the hub is slow")
    finish(work)
    at.run()
    assert at.exception


def test_an_error_a_person_can_fix_is_shown_in_place_of_the_result(watched):
    work, at = watched
    work.error = CorpusError("Too little text. Choose more.")
    finish(work)
    at.run()
    assert text_of(at, "error") == "Too little text. Choose more."
    assert not at.exception


def test_work_that_goes_on_where_it_was_says_so_when_it_is_stopped():
    def app():
        import streamlit as st

        from core.errors import CancelledError
        from core.work.jobs import Jobs
        from ui.shared import errors, progress

        def work(progress):
            raise CancelledError("stopped")

        with errors.shown():
            st.markdown(progress.run(Jobs(), "key", "Counting", work, resumes=True))

    at = pages.run(app)
    assert at.info[0].value == "Stopped before it was finished; the finished part is kept."
    assert at.button(key="again-key").label == "Go on"


def test_work_under_way_says_its_share_its_rate_in_its_unit_and_the_time_left():
    clock = iter([0.0, 0.0, 2.0, 4.0])  # the start, and three reports
    jobs, said = Jobs(clock=lambda: next(clock)), []

    def count(progress):
        for done in (1000, 3000, 5000):
            progress.update(done, 10_000)
        said.append(describe(jobs._jobs["key"]))

    jobs.submit("key", "Counting", count, unit="tokens").result(30)
    assert said == ["Counting: 50%, 1,000 tokens a second, about 5 s left"]


def test_work_that_waits_names_what_runs_and_stops_it_if_nobody_looks_at_it(watched, monkeypatch):
    work, at = watched
    other = Work()
    other.jobs = work.jobs
    other.go_on.set()

    def second():
        import streamlit as st

        from ui.shared import errors, progress

        work = st.session_state["work"]
        with errors.shown():
            st.markdown(progress.run(work.jobs, "other", "Sorting", work))

    behind = pages.run(second, work=other)
    assert "waits for Counting" in behind.get("progress")[0].text
    assert [button.label for button in behind.button] == ["Cancel"]  # somebody looks at what runs
    work.jobs.look_away(at.session_state["_session"])
    behind.run()
    (stop,) = [button for button in behind.button if button.label == "Stop Counting"]
    stop.click()
    behind.run()
    work.go_on.set()
    monkeypatch.setattr("ui.shared.progress.PATIENCE_S", 20)
    assert behind.run().markdown[0].value == "the answer"
    assert work.begun == 1
