"""Results at an address of fsspec: memory, and S3 as moto plays it on loopback."""

import json

import fsspec
import pytest

from core.errors import StoreError
from core.sweeps.__main__ import main
from core.sweeps.documents import record, write_record
from core.sweeps.state import progress_of, summary
from core.sweeps.sweep import Sweep, place_at
from core.work.artifacts import ArtifactStore
from core.work.elsewhere import Elsewhere, SharedStore, open_results
from tests.doubles.planted_sweep import contents, counted_saves, plan_of, sweep_in, write_sweep

WEIGHTS = '["logit_weights", "neighbors", "matching"]'


@pytest.fixture(scope="module")
def s3():
    """A server on loopback with the bucket `results`, and what clients need to find it."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "planted")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("results")
        yield "s3://results"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def memory():
    """An address in this process alone, empty at first."""
    yield "memory://sweeps-test"
    fsspec.filesystem("memory").rm("/sweeps-test", recursive=True)


@pytest.fixture
def address(request):
    return f"{request.getfixturevalue(request.param)}/{request.node.name[:12]}"


BOTH = pytest.mark.parametrize("address", ["memory", "s3"], indirect=True)


def sweep_at(address, root, cache="cache"):
    place = place_at(address, root / cache)
    return Sweep.keep(plan_of(write_sweep(root, analyses=WEIGHTS), place), place)


@BOTH
def test_results_there_are_those_of_a_run_here_and_another_machine_reads_them(tmp_path, address, monkeypatch):
    here = sweep_in(write_sweep(tmp_path, analyses=WEIGHTS), tmp_path / "here")
    here.worker().run(here.plan.tasks)
    sweep = sweep_at(address, tmp_path)
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 9, "there": 0, "failed": 0}
    assert contents(tmp_path / "cache") == contents(tmp_path / "here")

    other = Sweep.stored(sweep.plan.name, place_at(address, tmp_path / "other"))
    assert summary(progress_of(other.plan, other.place.store, other.place.documents)) == "9 done"
    saved = counted_saves(monkeypatch)
    for task in other.plan.tasks:
        for wanted in other.worker()._wanted(task):
            assert other.place.store.load(wanted.cls, wanted.key) is not None
    assert saved == []
    assert contents(tmp_path / "other") == contents(tmp_path / "here")


@BOTH
def test_a_damaged_object_is_set_aside_and_made_again(tmp_path, address):
    sweep = sweep_at(address, tmp_path)
    sweep.worker().run(sweep.plan.tasks)
    task, place = sweep.plan.tasks[0], Elsewhere(address)
    place.write(f"{task.keys[0]}.safetensors", b"no result")
    other = Sweep.stored(sweep.plan.name, place_at(address, tmp_path / "other"))
    (wanted,) = other.worker()._wanted(task)
    assert other.place.store.load(wanted.cls, wanted.key) is None
    assert not place.holds(f"{task.keys[0]}.safetensors")
    assert place.holds(f"{task.keys[0]}.safetensors.damaged")
    assert other.worker().run(other.plan.tasks) == {"done": 1, "there": 8, "failed": 0}


def test_what_was_made_here_before_is_shared_when_it_is_read(tmp_path, memory):
    sweep = sweep_in(write_sweep(tmp_path, analyses='["neighbors"]'), tmp_path / "cache")
    sweep.worker().run(sweep.plan.tasks)
    shared = sweep_at(memory, tmp_path)
    task = next(task for task in shared.plan.tasks if task.analysis == "neighbors")
    assert not shared.place.store.holds(task.keys[0])
    assert shared.worker().run([task]) == {"done": 1, "there": 0, "failed": 0}
    assert Elsewhere(memory).holds(f"{task.keys[0]}.safetensors")


def test_an_upload_that_fails_is_a_failure_in_words_and_resume_ends_well(tmp_path, memory, monkeypatch):
    sweep = sweep_at(memory, tmp_path)
    with monkeypatch.context() as patch:

        def refuse(self, path, name):
            raise OSError("ClientError: AccessDenied")

        patch.setattr(Elsewhere, "put", refuse)
        assert sweep.worker().run(sweep.plan.tasks)["failed"] == 9
    states = progress_of(sweep.plan, sweep.place.store, sweep.place.documents)
    assert all("AccessDenied" in one.record.words for one in states)
    assert sweep.worker().run(sweep.plan.tasks)["failed"] == 0


def test_a_task_that_another_machine_began_is_left_for_the_end(tmp_path, memory):
    sweep = sweep_at(memory, tmp_path)
    task = sweep.plan.tasks[0]
    began = record(task.name, "started")
    write_record(sweep.place.documents, type(began)(**(vars(began) | {"where": "elsewhere 1"})))
    told = []
    sweep.worker().run(sweep.plan.tasks, lambda task, outcome, said: told.append(task.name))
    assert told[-1] == task.name
    assert len(told) == 9


def test_a_whole_run_on_s3_from_the_command_line(tmp_path, s3, capsys):
    toml = write_sweep(tmp_path, analyses='["neighbors"]', more=f'store = "{s3}/command"')
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["plan", str(toml), *cache]) == 0
    said = capsys.readouterr().out
    name = said.rpartition("\nsweep-")[2].partition(":")[0]
    assert f"--store {s3}/command" in said
    assert main(["run", f"sweep-{name}", "--store", f"{s3}/command", *cache]) == 0
    assert main(["status", "--store", f"{s3}/command", *cache]) == 0
    assert "3 done" in capsys.readouterr().out


def test_a_bucket_that_is_not_there_is_said_before_anything_starts(tmp_path, s3, capsys):
    toml = write_sweep(tmp_path)
    assert main(["run", str(toml), "--store", "s3://no-such-bucket/x", "--cache", str(tmp_path / "cache")]) == 2
    assert "The store cannot be used" in capsys.readouterr().err
    assert not contents(tmp_path / "cache")


def test_credentials_that_are_missing_are_said_before_anything_starts(tmp_path, s3, capsys, monkeypatch):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    toml = write_sweep(tmp_path)
    assert main(["run", str(toml), "--store", f"{s3}/y", "--cache", str(tmp_path / "cache")]) == 2
    assert "redentials" in capsys.readouterr().err
    assert not contents(tmp_path / "cache")
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_store_elsewhere_from_the_future_is_refused(tmp_path, memory, capsys):
    Elsewhere(memory).write("sweeps/store.json", json.dumps({"version": 7}).encode())
    toml = write_sweep(tmp_path)
    assert main(["run", str(toml), "--store", memory, "--cache", str(tmp_path / "cache")]) == 2
    assert "The store has version 7, expected 1" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["nowhere://x", "s3:///", "://x"])
def test_an_address_that_is_none_is_said(tmp_path, capsys, address):
    toml = write_sweep(tmp_path, analyses='["neighbors"]')
    assert main(["run", str(toml), "--store", address, "--cache", str(tmp_path / "cache")]) == 2
    assert capsys.readouterr().err.startswith(("StoreError: The store", "SweepError: The store"))


def test_a_file_system_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(StoreError, match=r"pip install -r requirements-sweep\.txt"):
        open_results("s3://x/y", tmp_path)


def test_a_folder_needs_no_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    for address in (str(tmp_path / "store"), f"file://{tmp_path / 'store'}"):
        store, elsewhere = open_results(address, tmp_path / "cache")
        assert elsewhere is None
        assert type(store) is ArtifactStore
        assert store.root == tmp_path / "store"


def test_a_place_that_stops_to_answer_holds_nothing_and_reads_go_on_here(tmp_path, memory, monkeypatch):
    sweep = sweep_at(memory, tmp_path)
    sweep.worker().run(sweep.plan.tasks)
    store = SharedStore(tmp_path / "cache", Elsewhere(memory))

    def fail(*given, **how):
        raise RuntimeError("gone")

    monkeypatch.setattr(store.elsewhere.fs, "exists", fail, raising=False)
    (wanted,) = sweep.worker()._wanted(sweep.plan.tasks[0])
    assert not store.holds(wanted.key)
    assert store.load(wanted.cls, wanted.key) is not None
