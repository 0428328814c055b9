"""Work in a process of its own: what comes back, what errors say, what cancelling does, and when the process ends."""

import os
import threading
import time
from functools import partial

import numpy as np
import pytest

from core.errors import CancelledError, CorpusError, NotDownloadedError
from core.work.apart import Apart, ApartSettings, RemoteError, WorkerLostError, kept
from core.work.artifacts import ArtifactStore
from core.work.calls import ChangedError, NoDataError, call, opened_by, packed
from core.work.jobs import Jobs
from tests.doubles import apart_work
from tests.doubles.apart_work import Numbers, Thing


@pytest.fixture(scope="module")
def apart():
    apart = Apart(ApartSettings(held_bytes=2**20, idle_s=60))
    yield apart
    apart.end()


def gone(pid: int, within_s: float = 20.0) -> bool:
    """Wait until a process of ours has ended."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        except ChildProcessError:
            return True
        time.sleep(0.02)
    return False


def test_work_is_done_in_another_process_and_tells_how_far_it_is(apart):
    said = []

    class Watched:
        def update(self, done, total):
            said.append((done, total))

        def note(self, text):
            said.append(text)

    assert apart.do(call(apart_work.add, np.arange(3), b=1), Watched()).tolist() == [1, 2, 3]
    assert "adding" in said
    assert said[-1] == (2, 2)
    assert apart.do(call(apart_work.pid)) == apart.pid != os.getpid()


def test_what_no_other_process_can_do_is_done_here(apart):
    with pytest.raises(NoDataError):
        packed(call(apart_work.add, threading.Lock()))
    assert apart.do(call(lambda *, progress: os.getpid())) == os.getpid()


def test_a_thing_that_was_opened_is_opened_there_once_and_is_the_same_one(apart):
    here = Thing("abc")
    opened_by(here, "thing abc", partial(Thing, "abc"))
    first, second = apart.do(call(apart_work.hash_of, here)), apart.do(call(apart_work.hash_of, here))
    assert first == second
    assert first[0] == "abc"
    assert first[2] != os.getpid()


def test_a_thing_whose_files_changed_is_refused(apart):
    here = Thing("old")
    opened_by(here, "thing old", partial(Thing, "new"))
    with pytest.raises(ChangedError, match="load the page anew"):
        apart.do(call(apart_work.hash_of, here))


def test_errors_arrive_whole_and_bugs_with_their_traceback(apart):
    with pytest.raises(CorpusError, match=r"^No text. Expected some; choose another.$"):
        apart.do(call(apart_work.fail, "corpus"))
    with pytest.raises(NotDownloadedError, match="Press Download") as caught:
        apart.do(call(apart_work.fail, "download"))
    assert (caught.value.kind, caught.value.id, caught.value.nbytes) == ("model", "gpt2", 7)
    with pytest.raises(ZeroDivisionError, match="a bug") as bug:
        apart.do(call(apart_work.fail, "bug"))
    assert isinstance(bug.value.__cause__, RemoteError)
    assert "in fail" in str(bug.value.__cause__)


def test_a_result_that_is_no_data_is_a_bug_that_is_said(apart):
    with pytest.raises(TypeError, match="RLock"):
        apart.do(call(apart_work.lock))


def test_what_a_library_prints_gets_not_among_the_messages(apart):
    assert apart.do(call(apart_work.print_much)) is input


def test_two_who_want_one_result_wait_for_one_job(apart):
    jobs, work = Jobs(), call(apart_work.pid)
    first = jobs.submit("key", "Work", lambda progress: apart.do(work, progress), waiter="a")
    second = jobs.submit("key", "Work", lambda progress: apart.do(work, progress), waiter="b")
    assert first is second
    assert second.result(60) == apart.pid


@pytest.mark.parametrize(("work", "lives"), [(apart_work.report_for_ever, True), (apart_work.say_nothing, False)])
def test_a_cancelled_job_stops_there_and_if_it_does_not_listen_the_process_ends(work, lives):
    apart = Apart(ApartSettings(held_bytes=2**20, stop_s=5.0 if lives else 0.1))
    pid = apart.do(call(apart_work.pid))
    job = Jobs().submit("key", "Work", lambda progress: apart.do(call(work), progress))
    while job.state != "running" or (lives and not job.done):
        time.sleep(0.01)
    job.cancel()
    with pytest.raises(CancelledError):
        job.result(60)
    if lives:
        assert apart.do(call(apart_work.pid)) == pid
        apart.end()
    assert gone(pid)


def test_a_process_that_is_killed_is_named_and_the_next_work_gets_a_new_one(apart):
    with pytest.raises(WorkerLostError, match=r"was killed \(signal 9\).*fewer rows") as lost:
        apart.do(call(apart_work.die))
    assert "load the page anew" in str(lost.value)
    assert apart.do(call(apart_work.add, 1, 1)) == 2


def test_the_process_ends_when_it_is_idle_and_with_the_one_that_started_it():
    apart = Apart(ApartSettings(held_bytes=2**20, idle_s=0.05))
    pid = apart.do(call(apart_work.pid))
    assert gone(pid)
    assert apart.pid is None
    other = apart.do(call(apart_work.pid))
    assert other != pid


def test_the_process_rests_at_once_where_it_has_nothing_to_do():
    apart = Apart(ApartSettings(held_bytes=2**20))
    apart.rest()
    pid = apart.do(call(apart_work.pid))
    apart.rest()
    assert gone(pid)


def test_a_result_is_stored_there_and_comes_back_only_where_it_cannot_be_stored(apart, tmp_path):
    store = ArtifactStore(tmp_path)
    assert apart.do(kept(store, Numbers, "numbers-v1-0123456789abcdef", call(apart_work.numbers, 3))) is None
    assert store.load(Numbers, "numbers-v1-0123456789abcdef").values.tolist() == [0, 1, 2]
    (tmp_path / "file").touch()
    nowhere = ArtifactStore(tmp_path / "file" / "folder")
    found = apart.do(kept(nowhere, Numbers, "numbers-v1-0123456789abcdef", call(apart_work.numbers, 3)))
    assert found.values.tolist() == [0, 1, 2]
