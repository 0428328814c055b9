"""A stored result comes back exactly, or not at all."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors import safe_open

from core.work.artifacts import ArtifactStore, artifact_key

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sample:
    """A result with every type of field."""

    floats: np.ndarray
    flags: np.ndarray
    name: str = "caf\u00e9"
    count: int = 3
    share: float = float("nan")
    exact: bool = True
    nothing: Any = None
    parts: tuple = (1, "a", 0.5)
    version: ClassVar[int] = 1


@dataclass(frozen=True)
class Other:
    floats: np.ndarray
    flags: np.ndarray
    version: ClassVar[int] = 1


KEY = artifact_key("sample", 1, weights="abc")


def sample(scale: float = 1.0) -> Sample:
    floats = np.arange(6, dtype=np.float32).reshape(2, 3) * scale
    floats[0, 0] = np.nan
    return Sample(floats, np.array([True, False]))


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache")


def test_a_key_names_kind_version_and_every_input_but_not_their_order():
    key = artifact_key("near", 2, weights="abc", k=5)
    assert key.startswith("near-v2-")
    assert key == artifact_key("near", 2, k=5, weights="abc")
    others = [
        artifact_key("near", 3, weights="abc", k=5),
        artifact_key("far", 2, weights="abc", k=5),
        artifact_key("near", 2, weights="abd", k=5),
        artifact_key("near", 2, weights="abc", k=6),
        artifact_key("near", 2, weights="abc", k=True),
        artifact_key("near", 2, weights="abc", k="5"),
        artifact_key("near", 2, weights="abc", k=None),
        artifact_key("near", 2, weights="abc"),
        artifact_key("near", 2, weights="abc", n=5),
    ]
    assert len({key, *others}) == 10


def test_a_key_refuses_what_equals_nothing_and_what_is_no_file_name():
    with pytest.raises(ValueError, match="Out of range float"):
        artifact_key("near", 1, k=float("nan"))
    with pytest.raises(AssertionError, match="does not make a file name"):
        artifact_key("../near", 1)


def test_a_result_comes_back_with_values_types_and_shapes(store):
    store.save(sample(), KEY)
    found = store.load(Sample, KEY)
    np.testing.assert_array_equal(found.floats, sample().floats)
    assert (found.floats.dtype, found.flags.dtype) == (np.float32, np.bool_)
    assert found.flags.tolist() == [True, False]
    assert (found.name, found.count, found.exact, found.nothing) == ("caf\u00e9", 3, True, None)
    assert type(found.count) is int
    assert np.isnan(found.share)
    assert found.parts == (1, "a", 0.5)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "u2", "i4", "i8", "u8", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)])
def test_every_dtype_and_shape_comes_back(store, dtype, shape):
    array = np.asarray(np.random.default_rng(0).normal(size=shape) * 9).astype(dtype)
    store.save(Sample(array, np.array([False])), KEY)
    found = store.load(Sample, KEY).floats
    assert found.shape == shape
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(found, array)


def test_transposed_arrays_and_numpy_numbers_come_back(store):
    array = np.arange(6.0).reshape(2, 3)
    store.save(Sample(array.T, np.array([True])[::-1], count=np.int64(7), share=np.float32(0.5)), KEY)
    found = store.load(Sample, KEY)
    np.testing.assert_array_equal(found.floats, array.T)
    assert (found.count, found.share) == (7, 0.5)


@pytest.mark.parametrize(
    "bad", [np.array(["a"]), np.array([1j]), np.zeros(2, np.longdouble), [1, 2], {1: 2}, (np.zeros(1),)]
)
def test_a_field_that_would_not_come_back_is_refused(store, bad):
    field = "floats" if isinstance(bad, np.ndarray) else "nothing"
    with pytest.raises(TypeError, match=field):
        store.save(Sample(**{**vars(sample()), field: bad}), KEY)
    assert not store.root.exists()


def test_provenance_is_in_the_file(store):
    path = store.save(sample(), KEY, {"dictionary": "demo/x"})
    with safe_open(path, framework="numpy") as file:
        assert '"provenance": {"dictionary": "demo/x"}' in file.metadata()["header"]


def damage(store: ArtifactStore, content: bytes) -> Path:
    path = store.root / f"{KEY}.safetensors"
    path.write_bytes(content)
    return path


def assert_set_aside(store: ArtifactStore, content: bytes) -> None:
    path = damage(store, content)
    assert store.load(Sample, KEY) is None
    assert not path.exists()
    assert path.with_name(path.name + ".damaged").read_bytes() == content


def test_a_truncated_or_longer_file_is_set_aside_and_never_read(store):
    whole = store.save(sample(), KEY).read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        assert_set_aside(store, whole[:length])
    assert_set_aside(store, whole + b"\0")
    assert_set_aside(store, b"\xff" * len(whole))


def test_a_flipped_bit_anywhere_is_noticed(store):
    whole = store.save(sample(), KEY).read_bytes()
    draw = random.Random(0)
    for offset in range(len(whole)):
        flipped = bytearray(whole)
        flipped[offset] ^= 1 << draw.randrange(8)
        assert_set_aside(store, bytes(flipped))


def test_a_result_of_another_class_version_or_key_is_set_aside(store, caplog):
    def found_as(cls, key=KEY):
        store.save(sample(), KEY)
        (store.root / f"{KEY}.safetensors").rename(store.root / f"{key}.safetensors")
        caplog.clear()
        assert store.load(cls, key) is None
        return caplog.text

    newer = dataclass(frozen=True)(type("Sample", (Sample,), {"version": 2, "__qualname__": "Sample"}))
    assert "its version is 1, expected 2" in found_as(newer)
    assert "its class is 'Sample', expected 'Other'" in found_as(Other)
    assert "its key is" in found_as(Sample, artifact_key("sample", 1, weights="other"))


def test_a_class_that_gained_a_field_without_a_new_version_is_set_aside(store):
    store.save(Other(np.zeros(1), np.zeros(1)), KEY)
    grown = type("Other", (Other,), {"extra": 1, "__annotations__": {"extra": int}, "__qualname__": "Other"})
    assert store.load(dataclass(frozen=True)(grown), KEY) is None


def test_cached_computes_once_and_after_damage_again(store):
    calls = []

    def compute():
        calls.append(1)
        return sample()

    store.cached(Sample, KEY, compute)
    store.cached(Sample, KEY, compute)
    assert len(calls) == 1
    damage(store, b"not safetensors")
    assert store.cached(Sample, KEY, compute).count == 3
    assert len(calls) == 2
    assert store.load(Sample, KEY) is not None


def test_nobody_can_write_into_a_cached_result(store):
    fresh = store.cached(Sample, KEY, sample)
    read = store.cached(Sample, KEY, sample)
    for result in (fresh, read):
        with pytest.raises(ValueError, match="read-only"):
            result.floats[0, 0] = 1


KILLED = """
import sys, os, signal, numpy as np
from pathlib import Path
import core.work.artifacts as artifacts
from tests.work.test_artifacts import KEY, sample
real = os.replace
def stop(*_):
    print("ready", flush=True)
    signal.pause()
if sys.argv[2] == "before-rename":
    os.replace = stop
else:
    os.fsync = stop
artifacts.ArtifactStore(Path(sys.argv[1])).save(sample(scale=2.0), KEY)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("moment", ["before-fsync", "before-rename"])
@pytest.mark.parametrize("old", [True, False])
def test_a_killed_writer_leaves_the_old_file_or_none(store, moment, old):
    if old:
        store.save(sample(), KEY)
    command = [sys.executable, "-c", KILLED, str(store.root), moment]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        writer.kill()
    found = store.load(Sample, KEY)
    assert (found.floats[1, 2] == 5) if old else found is None

    left = [path for path in store.root.iterdir() if path.suffix == ".tmp"]
    assert len(left) == 1
    store.save(sample(), KEY)
    assert left[0].exists(), "a young temporary file may belong to a living writer"
    os.utime(left[0], (0, 0))
    store.save(sample(), KEY)
    assert not left[0].exists()


def test_what_safetensors_leaves_when_it_is_killed_is_counted_and_goes_with_the_rest(store):
    store.save(sample(), KEY)
    size, left, other = store.usage(), store.root / ".tmpF1IoF0", store.root / ".tmp-of-others"
    for path in (left, other):
        path.write_bytes(b"x" * 1000)
    assert store.usage() == size + 1000
    store.save(sample(), KEY)
    assert left.exists(), "a young temporary file may belong to a living writer"
    for path in (left, other):
        os.utime(path, (0, 0))
    store.save(sample(), KEY)
    assert (left.exists(), other.exists()) == (False, True)


def test_two_writers_at_once_leave_one_whole_result(store):
    together = threading.Barrier(4)

    def write(scale: float):
        together.wait()
        for _ in range(4):
            store.save(sample(scale), KEY)
            assert store.load(Sample, KEY) is not None

    errors = []
    threads = [threading.Thread(target=capture(write, errors), args=(scale,)) for scale in (1.0, 2.0, 3.0)]
    for thread in threads:
        thread.start()
    together.wait()
    for thread in threads:
        thread.join()
    assert not errors
    assert store.load(Sample, KEY).floats[1, 2] in (5, 10, 15)
    assert [path.name for path in store.root.iterdir()] == [f"{KEY}.safetensors"]


def capture(function, errors):
    def run(*args):
        try:
            function(*args)
        except BaseException as error:
            errors.append(error)

    return run


def unusable_roots(tmp_path):
    (tmp_path / "file").write_text("no folder")
    yield tmp_path / "file"
    yield tmp_path / "file" / "below"
    if os.name == "posix" and os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        yield locked


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, caplog):
    for root in unusable_roots(tmp_path):
        caplog.clear()
        store = ArtifactStore(root)
        assert store.cached(Sample, KEY, sample).count == 3
        assert "is not kept" in caplog.text
        assert store.load(Sample, KEY) is None
        assert store.usage() == 0
        with pytest.raises(OSError, match=r"directory|exists|ermission"):
            store.save(sample(), KEY)


def test_a_full_disk_costs_only_time_and_leaves_no_rest(store, caplog):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        found = store.cached(Sample, KEY, lambda: Sample(np.zeros(10_000), np.zeros(1)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found.floats.size == 10_000
    assert "is not kept" in caplog.text
    assert list(store.root.iterdir()) == []


def test_a_file_that_cannot_be_read_is_left_alone(store, monkeypatch, caplog):
    path = store.save(sample(), KEY)

    def refuse(*args):
        raise PermissionError("no")

    monkeypatch.setattr("core.work.artifacts._read", refuse)
    with caplog.at_level(logging.WARNING):
        assert store.load(Sample, KEY) is None
    assert "cannot be read" in caplog.text
    assert path.exists()


def test_usage_and_clear_know_their_own_files_only(store):
    size = store.save(sample(), KEY).stat().st_size
    other = artifact_key("sample", 1, weights="def")
    store.save(sample(), other)
    (store.root / f"{other}.safetensors").write_bytes(b"broken")
    store.load(Sample, other)
    foreign = store.root / "sae_weights.safetensors"
    foreign.write_bytes(b"somebody's weights")
    assert store.usage() == size + len(b"broken")
    store.clear()
    assert [path.name for path in store.root.iterdir()] == [foreign.name]
    assert store.usage() == 0


def test_a_key_cannot_leave_the_folder(store):
    with pytest.raises(AssertionError, match="no artifact key"):
        store.load(Sample, "../sample-v1-0123456789abcdef")


def _aged(store: ArtifactStore, key: str, seconds: float) -> None:
    """Let a result have been used so long ago."""
    used = time.time() - seconds
    os.utime(store._path(key), (used, used))


def test_a_folder_with_a_limit_loses_what_was_used_longest_ago(tmp_path):
    old, read, new = (artifact_key("sample", 1, weights=name) for name in ("old", "read", "new"))
    size = ArtifactStore(tmp_path).save(sample(), old).stat().st_size
    store = ArtifactStore(tmp_path, most_bytes=2 * size + 100)
    store.save(sample(), read)
    _aged(store, old, 500)
    _aged(store, read, 1000)
    assert store.load(Sample, read) is not None  # now it is the one used last
    (tmp_path / "somebody's.txt").write_bytes(bytes(10 * size))
    store.save(sample(), new)
    assert [store.holds(key) for key in (old, read, new)] == [False, True, True]
    assert (tmp_path / "somebody's.txt").exists()


def test_nothing_that_was_used_within_the_last_minute_leaves(tmp_path):
    store, keys = ArtifactStore(tmp_path, most_bytes=1), [artifact_key("sample", 1, weights=str(i)) for i in range(3)]
    for key in keys:
        store.save(sample(), key)
    assert all(map(store.holds, keys))


def test_a_folder_without_a_limit_keeps_everything_and_the_times_of_its_files(tmp_path):
    store = ArtifactStore(tmp_path)
    store.save(sample(), KEY)
    _aged(store, KEY, 10_000)
    before = store._path(KEY).stat().st_mtime
    store.load(Sample, KEY)
    store.save(sample(), artifact_key("sample", 1, weights="other"))
    assert store._path(KEY).stat().st_mtime == before
