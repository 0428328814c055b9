"""The job runner: sharing, cancelling, failing, forgetting, telling the time left."""

import gc
import threading
import weakref

import pytest

from core.errors import CancelledError, LoupeError
from core.work.job import TooMuchWorkError
from core.work.jobs import Jobs
from core.work.progress import SILENT, Progress

PATIENT = 20
"""Seconds until a test that hangs gives up; no test waits for them."""


class Gate:
    """Work that says when it has begun and goes on when told."""

    def __init__(self, value="result"):
        self.value = value
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.calls = 0

    def __call__(self, progress: Progress):
        self.calls += 1
        self.begun.set()
        assert self.go_on.wait(PATIENT)
        progress.update(1, 2)
        return self.value


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.go_on.set()


def test_a_job_goes_from_waiting_through_running_to_done(gate):
    jobs = Jobs()
    first, second = jobs.submit("a", "First", gate), jobs.submit("b", "Second", lambda progress: 2, total=5)
    assert gate.begun.wait(PATIENT)
    assert (first.state, second.state) == ("running", "waiting")
    assert (second.label, second.total, second.fraction) == ("Second", 5, 0)
    with pytest.raises(TimeoutError, match="First is running"):
        first.result(timeout=0)
    gate.go_on.set()
    assert (first.result(PATIENT), second.result(PATIENT)) == ("result", 2)
    assert (first.state, second.state) == ("done", "done")
    assert (first.done, first.total, first.fraction, first.error) == (1, 2, 0.5, None)


def test_work_of_one_worker_runs_one_at_a_time_in_order():
    jobs, order, active = Jobs(workers=1), [], []

    def work(progress, n):
        active.append(n)
        assert active == [n]
        order.append(n)
        active.remove(n)

    submitted = [jobs.submit(str(n), "", lambda progress, n=n: work(progress, n)) for n in range(20)]
    for job in submitted:
        job.result(PATIENT)
    assert order == list(range(20))


def test_work_that_somebody_looks_at_comes_before_what_was_asked_for_earlier(gate):
    jobs, order, here = Jobs(present=lambda viewer: viewer != "gone"), [], ("me", "you", "gone")
    jobs.submit("first", "First", gate)
    assert gate.begun.wait(PATIENT)
    waiting = {key: jobs.submit(key, key, lambda _, key=key: order.append(key)) for key in "abcdef"}
    for viewer, key in zip(here, "edf", strict=True):
        jobs.look(waiting[key], viewer)
    assert [jobs.in_view(waiting[key]) for key in "def"] == [True, True, False]
    jobs.look(waiting["c"], "me")
    jobs.look_away("you")  # whose page is drawn anew
    jobs.look(waiting["b"], "you")
    assert [job.label for job in jobs.unfinished()] == ["First", *"abcdef"]
    assert [job.state for job in jobs.unfinished()] == ["running", *["waiting"] * 6]
    gate.go_on.set()
    for job in waiting.values():
        job.result(PATIENT)
    assert order == ["b", "c", "e", "a", "d", "f"]


def test_an_answer_comes_before_the_controls_of_an_earlier_one(gate):
    jobs, order = Jobs(), []
    jobs.submit("first", "First", gate)
    assert gate.begun.wait(PATIENT)
    waiting = {key: jobs.submit(key, key, lambda _, key=key: order.append(key)) for key in "abcd"}
    for key in "bc":
        jobs.look(waiting[key], "me", control=True)
    jobs.look(waiting["d"], "me")
    jobs.look(waiting["c"], "you")  # who waits for it as an answer
    jobs.look(waiting["c"], "you", control=True)
    assert all(jobs.in_view(waiting[key]) for key in "bcd")
    gate.go_on.set()
    for job in waiting.values():
        job.result(PATIENT)
    assert order == ["c", "d", "b", "a"]


def test_one_visitor_with_much_work_cannot_hold_up_the_others(gate):
    jobs, order = Jobs(), []
    jobs.submit("first", "First", gate, waiter="busy")
    assert gate.begun.wait(PATIENT)
    asked = [("busy", i) for i in range(5)] + [("calm", 0), ("late", 0), ("calm", 1)]
    waiting = []
    for name in asked:
        waiting.append(jobs.submit(str(name), "", lambda _, name=name: order.append(name), waiter=name[0]))
        jobs.look(waiting[-1], name[0])
    gate.go_on.set()
    for job in waiting:
        job.result(PATIENT)
    turns = ["calm", "late", "busy", "calm", *["busy"] * 4]
    assert [name for name, _ in order] == turns
    assert [i for name, i in order if name == "busy"] == [0, 1, 2, 3, 4]


def test_what_several_wait_for_comes_with_the_one_who_waited_longest(gate):
    jobs, order = Jobs(present=lambda viewer: viewer != "gone"), []
    jobs.submit("first", "First", gate, waiter="busy")
    assert gate.begun.wait(PATIENT)
    for key, waiter in (("own", "busy"), ("shared", "busy"), ("shared", "calm"), ("left", "gone")):
        job = jobs.submit(key, "", lambda _, key=key: order.append(key), waiter=waiter)
        jobs.look(job, waiter)
    gate.go_on.set()
    job.result(PATIENT)
    assert order == ["shared", "own", "left"]  # what nobody looks at any more comes last
    assert set(jobs._served) <= {"busy", "calm"}  # who has gone is forgotten


def test_one_visitor_may_queue_only_so_much_and_others_still_may(gate):
    jobs = Jobs(waiting=2)
    running = jobs.submit("first", "First", gate, waiter="busy")
    assert gate.begun.wait(PATIENT)
    for key in "ab":
        jobs.submit(key, key, lambda _: None, waiter="busy")
    with pytest.raises(TooMuchWorkError, match=r"Third: 2 pieces of your work wait already.* Other work"):
        jobs.submit("c", "Third", lambda _: None, waiter="busy")
    assert jobs.submit("first", "First", gate, waiter="busy") is running  # what is there already is no more work
    assert jobs.submit("c", "Third", lambda _: None, waiter="calm").state == "waiting"
    gate.go_on.set()


def test_work_that_runs_too_long_stops_at_its_next_report_and_says_so():
    now = [0.0]
    jobs = Jobs(seconds=60, clock=lambda: now[0])

    def work(progress: Progress) -> None:
        for second in (59, 61):
            now[0] = second
            progress.update(second, 100)

    with pytest.raises(TooMuchWorkError, match=r"Long one was stopped after 60 s\. Expected less work"):
        jobs.submit("a", "Long one", work).result(PATIENT)


def test_work_that_waits_for_other_work_is_a_bug_that_is_named_and_no_deadlock():
    jobs = Jobs()
    outer = jobs.submit("outer", "Outer", lambda _: jobs.submit("inner", "Inner", lambda _: 1).result())
    with pytest.raises(AssertionError, match="Work waits for another job, Inner"):
        outer.result(PATIENT)
    after = jobs.submit("after", "After", lambda _: jobs.submit("inner", "Inner", lambda _: 1).result(PATIENT))
    assert after.result(PATIENT) == 1  # what has ended needs no waiting


def test_two_workers_run_two_jobs_at_once():
    jobs, both = Jobs(workers=2), threading.Barrier(2)
    submitted = [jobs.submit(key, "", lambda progress: both.wait(PATIENT)) for key in "ab"]
    assert sorted(job.result(PATIENT) for job in submitted) == [0, 1]


def test_a_job_that_one_waiter_leaves_goes_on_until_the_last_has_left(gate):
    jobs = Jobs()
    job = jobs.submit("a", "", gate, waiter="me")
    assert jobs.submit("a", "", gate, waiter="you") is job
    assert not job.leave("me")
    assert not job.cancel_requested
    assert job.leave("you")
    assert job.cancel_requested
    assert jobs.submit("a", "", gate, waiter="me") is not job


def test_a_waiter_that_is_no_longer_there_does_not_count(gate):
    job = Jobs().submit("a", "", gate, waiter="me")
    assert job.join("you")
    assert job.leave("me", present=lambda waiter: waiter != "you")


def test_equal_keys_share_a_running_and_a_finished_job(gate):
    jobs = Jobs()
    job = jobs.submit("a", "", gate)
    assert gate.begun.wait(PATIENT)
    assert jobs.submit("a", "", gate) is job
    gate.go_on.set()
    assert job.result(PATIENT) == "result"
    assert jobs.submit("a", "", gate) is job
    assert gate.calls == 1


def test_one_key_asked_for_by_many_threads_is_worked_on_once(gate):
    jobs, together, found = Jobs(), threading.Barrier(8), []

    def ask():
        together.wait(PATIENT)
        found.append(jobs.submit("a", "", gate))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.go_on.set()
    assert len(set(map(id, found))) == 1
    assert found[0].result(PATIENT) == "result"
    assert gate.calls == 1


def test_a_failure_is_raised_to_everyone_who_waits_and_the_next_submit_tries_again():
    jobs, error = Jobs(), LoupeError("no such thing")

    def fail(progress):
        raise error

    job = jobs.submit("a", "", fail)
    for _ in range(2):
        with pytest.raises(LoupeError, match="no such thing"):
            job.result(PATIENT)
    assert (job.state, job.error) == ("failed", error)
    again = jobs.submit("a", "", lambda progress: 1)
    assert again is not job
    assert again.result(PATIENT) == 1


def test_raising_a_failure_again_does_not_grow_its_traceback():
    def fail(progress):
        raise LoupeError("no")

    job, lengths = Jobs().submit("a", "", fail), []
    for _ in range(3):
        with pytest.raises(LoupeError) as caught:
            job.result(PATIENT)
        lengths.append(len(caught.traceback))
    assert lengths[0] == lengths[2]


def test_even_an_exit_in_the_work_reaches_the_waiter_and_the_queue_goes_on():
    jobs = Jobs()

    def leave(progress):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        jobs.submit("a", "", leave).result(PATIENT)
    assert jobs.submit("b", "", lambda progress: 1).result(PATIENT) == 1


def test_cancelling_stops_running_work_at_its_next_report(gate):
    jobs = Jobs()
    job = jobs.submit("a", "Long work", gate)
    assert gate.begun.wait(PATIENT)
    job.cancel()
    assert job.state == "running"
    gate.go_on.set()
    with pytest.raises(CancelledError, match="Long work was cancelled"):
        job.result(PATIENT)
    assert job.state == "cancelled"


def test_a_note_stops_cancelled_work_too_and_is_shown_before():
    noted, go_on = threading.Event(), threading.Event()

    def work(progress):
        progress.note("sorting")
        noted.set()
        assert go_on.wait(PATIENT)
        progress.note("never")

    job = Jobs().submit("a", "", work)
    assert noted.wait(PATIENT)
    assert job.text == "sorting"
    job.cancel()
    go_on.set()
    with pytest.raises(CancelledError):
        job.result(PATIENT)
    assert job.text == "sorting"


def test_waiting_work_is_cancelled_at_once_and_never_runs(gate):
    jobs, ran = Jobs(), []
    first = jobs.submit("a", "", gate)
    waiting = jobs.submit("b", "", ran.append)
    waiting.cancel()
    assert waiting.state == "cancelled"
    with pytest.raises(CancelledError):
        waiting.result(0)
    gate.go_on.set()
    first.result(PATIENT)
    jobs.submit("c", "", lambda progress: None).result(PATIENT)
    assert ran == []
    assert waiting.state == "cancelled"


def test_cancelled_work_is_replaced_even_before_it_has_noticed(gate):
    jobs = Jobs()
    job = jobs.submit("a", "", gate)
    assert gate.begun.wait(PATIENT)
    job.cancel()
    again = jobs.submit("a", "", lambda progress: "new")
    assert again is not job
    gate.go_on.set()
    assert again.result(PATIENT) == "new"
    assert jobs.submit("a", "", lambda progress: "newer") is again


def test_finished_work_cannot_be_cancelled():
    job = Jobs().submit("a", "", lambda progress: 1)
    job.result(PATIENT)
    job.cancel()
    assert (job.state, job.result()) == ("done", 1)


class Large:
    """Stands for a result that takes much memory."""


def test_only_the_results_used_last_are_kept():
    jobs, results, threads = Jobs(keep=2), {}, []

    def compute(key):
        def work(progress):
            threads.append(threading.current_thread())
            result = Large()
            results[key] = weakref.ref(result)
            return result

        jobs.submit(key, "", work).result(PATIENT)
        threads[-1].join(PATIENT)

    for key in ["a", "b", "a", "c"]:  # the second "a" is shared, and now more recent than "b"
        compute(key)
    gc.collect()
    assert len(threads) == 3
    assert {key for key, result in results.items() if result() is not None} == {"a", "c"}


def test_a_finished_job_does_not_hold_what_its_work_read():
    large = Large()
    held = weakref.ref(large)
    job = Jobs().submit("a", "", lambda progress, large=large: None)
    job.result(PATIENT)
    del large
    gc.collect()
    assert job.state == "done"
    assert held() is None


def test_a_failed_job_does_not_hold_what_its_work_held():
    held = []

    def inner(large):
        raise LoupeError("no")

    def fail(progress):
        large = Large()
        held.append(weakref.ref(large))
        inner(large)

    job = Jobs().submit("a", "", fail)
    with pytest.raises(LoupeError):
        job.result(PATIENT)
    gc.collect()
    assert held[0]() is None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rate_and_time_left_follow_the_recent_past():
    clock, seen = Clock(), []

    def work(progress):
        for done, seconds in [(0, 0), (100, 1), (200, 2)]:  # 100 a second
            clock.now = seconds
            progress.update(done, 1000)
        seen.append((job.rate, job.seconds_left, job.fraction))
        for i in range(60):  # then 1 a second, for a minute
            clock.now += 1
            progress.update(201 + i, 1000)
        seen.append((job.rate, job.seconds_left))

    submitted = threading.Event()

    def wait_for_name(progress):
        assert submitted.wait(PATIENT)
        work(progress)

    job = Jobs(clock=clock).submit("a", "", wait_for_name)
    assert (job.rate, job.seconds_left, job.fraction) == (None, None, None)
    submitted.set()
    job.result(PATIENT)
    assert seen[0] == (100, 8, 0.2)
    assert seen[1] == (1, 740)


def test_many_quick_reports_do_not_shorten_the_window():
    clock = Clock()

    def work(progress):
        for i in range(5001):  # a thousand a second for five seconds
            clock.now = i / 1000
            progress.update(i, 10_000)

    job = Jobs(clock=clock).submit("a", "", work)
    job.result(PATIENT)
    assert job._samples[0] == (0, 0)
    assert job.rate == pytest.approx(1000)


def test_a_second_stage_starts_its_own_rate():
    clock = Clock()

    def work(progress):
        for done, total, now in [(0, 10, 0), (10, 10, 1), (0, 4, 2), (2, 4, 3)]:
            clock.now = now
            progress.update(done, total)

    job = Jobs(clock=clock).submit("a", "", work)
    job.result(PATIENT)
    assert (job.rate, job.seconds_left, job.fraction) == (2, 1, 0.5)


def test_work_that_never_says_how_much_there_is_has_no_fraction():
    job = Jobs().submit("a", "", lambda progress: progress.update(3, 0))
    job.result(PATIENT)
    assert (job.fraction, job.seconds_left) == (None, None)


def test_more_done_than_there_was_to_do_is_all_of_it():
    job = Jobs().submit("a", "", lambda progress: progress.update(5, 4))
    job.result(PATIENT)
    assert job.fraction == 1


def test_threads_end_with_the_work_and_do_not_hold_up_a_stopping_server():
    seen = []
    Jobs().submit("a", "", lambda progress: seen.append(threading.current_thread())).result(PATIENT)
    assert seen[0].daemon
    seen[0].join(PATIENT)
    assert not seen[0].is_alive()


def test_progress_without_a_job_is_silent():
    assert isinstance(SILENT, Progress)
    SILENT.update(1, 2)
    SILENT.note("text")
