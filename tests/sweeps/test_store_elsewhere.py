"""Results at an address of fsspec: memory, S3 as moto plays it on loopback, the hub's stand-in, and a Google of ours.

The client of S3 and that of the hub are the real ones. The file system of gs:// is not installed: ours keeps objects in
memory under that protocol, and refuses in the words of the real one, so it tests addresses and refusals alone.
"""

import json
from importlib import import_module

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from core.errors import StoreError
from core.sweeps.__main__ import main
from core.sweeps.documents import record, write_record
from core.sweeps.state import progress_of, summary
from core.sweeps.sweep import Sweep, place_at
from core.work.artifacts import ArtifactStore
from core.work.elsewhere import Elsewhere, SharedStore, open_results
from tests.doubles.hub_files import use_hub
from tests.doubles.planted_sweep import contents, counted_saves, plan_of, sweep_in, write_sweep
from tests.doubles.standin_hub import StandIn

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
def hf(tmp_path, monkeypatch):
    """A repository of the hub that takes files from whoever has a token."""
    import huggingface_hub

    (tmp_path / "repository").mkdir()
    with StandIn({"someone/results": tmp_path / "repository"}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub cache")
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("HF_TOKEN", "hf_planted")
        huggingface_hub.HfFileSystem.clear_instance_cache()
        yield "hf://someone/results/sweeps"
        huggingface_hub.HfFileSystem.clear_instance_cache()


class HttpError(Exception):
    """As gcsfs.retry.HttpError: no OSError."""


class PlayedGoogle(MemoryFileSystem):
    """Objects in memory under gs://, which only those with credentials may write."""

    protocol = ("gs",)
    store, pseudo_dirs, known = {}, [""], True

    @classmethod
    def _strip_protocol(cls, path):
        return f"/{path.removeprefix('gs://').strip('/')}"

    def pipe_file(self, path, value, **how):
        if not self.known:
            raise HttpError("Anonymous caller does not have storage.objects.create access, 401")
        super().pipe_file(path, value, **how)


@pytest.fixture
def gs(monkeypatch):
    monkeypatch.setattr(PlayedGoogle, "store", {})
    monkeypatch.setitem(import_module("fsspec.registry")._registry, "gs", PlayedGoogle)
    PlayedGoogle.clear_instance_cache()
    return "gs://bucket/sweeps"


@pytest.fixture
def address(request):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # one may be logged out
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


@pytest.mark.parametrize("address", ["gs", "hf"], indirect=True)
def test_a_bucket_of_google_and_a_repository_of_the_hub_hold_what_a_run_here_makes(tmp_path, address, capsys):
    toml = write_sweep(tmp_path, analyses='["neighbors"]')
    here = sweep_in(toml, tmp_path / "here")
    here.worker().run(here.plan.tasks)
    assert main(["run", str(toml), "--store", address, "--cache", str(tmp_path / "cache")]) == 0
    assert "3 done" in capsys.readouterr().out
    other = Sweep.stored(here.plan.name, place_at(address, tmp_path / "other"))
    assert summary(progress_of(other.plan, other.place.store, other.place.documents)) == "3 done"
    for task in other.plan.tasks:
        for wanted in other.worker()._wanted(task):
            assert other.place.store.load(wanted.cls, wanted.key) is not None
    assert contents(tmp_path / "other") == contents(tmp_path / "here")


def test_what_another_machine_writes_to_the_hub_is_seen(tmp_path, hf):
    place, folder = Elsewhere(hf), tmp_path / "repository" / "sweeps"
    place.write("a", b"ours")
    for name, look in {
        "b": lambda: place.holds("b"),
        "c": lambda: place.read("c"),
        "d": lambda: place.names("")[3:],
        "e": lambda: place.get("e", tmp_path / "e"),
    }.items():
        assert not look()
        (folder / name).write_bytes(b"theirs")
        assert look()


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


def no_s3(monkeypatch, tmp_path):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


def no_hf(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))


def no_gs(monkeypatch, tmp_path):
    monkeypatch.setattr(PlayedGoogle, "known", False)


LOGGED_OUT = pytest.mark.parametrize(
    ("address", "log_out", "words"),
    [
        ("s3", no_s3, ("NoCredentialsError", "AWS_ACCESS_KEY_ID")),
        ("hf", no_hf, ("401 Unauthorized", "`hf auth login`")),
        ("gs", no_gs, ("Anonymous caller", "`gcloud auth application-default login`")),
    ],
    indirect=["address"],
)


@LOGGED_OUT
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_credentials_that_are_missing_are_said_before_anything_starts(
    tmp_path, address, capsys, monkeypatch, log_out, words, used
):
    toml, cache = write_sweep(tmp_path, analyses='["neighbors"]'), tmp_path / "cache"
    run = ["run", str(toml), "--store", address, "--cache", str(cache)]
    if used:
        assert main(["plan", *run[1:]]) == 0
        capsys.readouterr()
    log_out(monkeypatch, tmp_path)
    assert main(run) == 2
    said = capsys.readouterr().err
    assert said.startswith("SweepError: The store cannot be used (")
    assert all(word in said for word in words)
    assert not contents(cache)


def test_a_stored_plan_is_not_begun_where_results_cannot_be_written_and_its_state_is_said(
    tmp_path, gs, capsys, monkeypatch
):
    where = ["--store", gs, "--cache", str(tmp_path / "cache")]
    assert main(["plan", str(write_sweep(tmp_path, analyses='["neighbors"]')), *where]) == 0
    name = f"sweep-{capsys.readouterr().out.rpartition('sweep-')[2].partition(':')[0]}"
    no_gs(monkeypatch, tmp_path)
    assert main(["resume", name, *where]) == 2
    assert "The store cannot be used" in capsys.readouterr().err
    assert main(["status", name, *where]) == 0
    assert main(["status", *where]) == 0
    assert capsys.readouterr().out.count("0 done, 3 to do") == 2


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


@pytest.mark.parametrize(("package", "address"), [("fsspec", "s3://x/y"), ("s3fs", "s3://x/y"), ("gcsfs", "gs://x/y")])
def test_a_file_system_that_is_not_installed_is_named(tmp_path, monkeypatch, package, address):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, address[:2], raising=False)
    with pytest.raises(StoreError, match=rf"{package}.*pip install -r requirements-sweep\.txt"):
        open_results(address, tmp_path)


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
