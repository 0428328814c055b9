"""Whatever a killed writer leaves is counted, and goes; whatever a living one writes stays."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import notebook
from core.notebook import load_dictionary
from core.work.artifacts import ArtifactStore
from core.work.temporary import abandoned, sweep, temporary_folder
from tests.doubles.planted import planted_dictionary

ROOT = Path(__file__).parents[2]
KILLED = """
import sys, time
from pathlib import Path
from core.work.temporary import temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "part").mkdir()
    (folder / "part" / "weights").write_bytes(bytes(1000))
    print("ready", flush=True)
    time.sleep(600)
"""
CLEANS_ITSELF = {
    "core/work/artifacts.py": "its own temporary files, by their age",
    "core/files/kept.py": "its own temporary files, by their age",
    "core/work/temporary.py": "makes the folders",
}
RENAMES = {"core/hub/download.py": "a part stays, as the next download goes on from it"}


@pytest.fixture
def writer(tmp_path):
    """A process that has begun to write below a cache, as a notebook and a download do."""
    place = tmp_path / "cache" / "notebook"
    place.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(place)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_folder_of_a_killed_writer_is_counted_and_swept_and_one_of_a_living_writer_stays(tmp_path, writer):
    store, place = ArtifactStore(tmp_path / "cache"), tmp_path / "cache" / "notebook"
    (left,) = place.iterdir()
    os.utime(left, (0, 0))
    store.clear()
    assert (abandoned(place), store.usage()) == ([], 0)
    assert left.exists(), "its writer lives, however old it is"
    writer.kill()
    writer.wait()
    assert (abandoned(place), store.usage()) == ([left], 1000)
    store.clear()
    assert (list(place.iterdir()), store.usage()) == ([], 0)


def test_dictionaries_that_notebooks_saved_are_counted_and_cleared_as_other_results(tmp_path, monkeypatch):
    monkeypatch.setattr(notebook, "cache_folder", lambda: tmp_path / "cache")
    store = ArtifactStore(tmp_path / "cache")
    sae = planted_dictionary()
    folder = Path(notebook._folder_of(sae))
    assert folder == store.saved_by_notebook(sae.sha256)
    others = [folder.parent / "own notes", tmp_path / "cache" / "models" / folder.name]
    for place in others:
        place.mkdir(parents=True)
        (place / "file").write_bytes(bytes(500))
    (folder.parent / "0123456789abcdef").symlink_to(others[0])
    (folder.parent / "fedcba9876543210").write_bytes(bytes(7))
    written = [path.stat().st_size for path in folder.iterdir()]
    assert min(written) > 0
    assert store.usage() == sum(written)
    store.clear()
    assert store.usage() == 0
    assert not folder.exists()
    assert [(place / "file").stat().st_size for place in others] == [500, 500]
    assert len(list(folder.parent.iterdir())) == 3
    again = Path(notebook._folder_of(sae))
    assert load_dictionary(again).sha256 == load_dictionary(notebook._folder_of(sae)).sha256


def test_a_saved_dictionary_that_cannot_be_removed_is_whole_or_gone(tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)
    folder = store.saved_by_notebook("0123456789abcdef" * 4)
    folder.mkdir(parents=True)
    (folder / "cfg.json").write_bytes(bytes(9))

    def busy(path, target):
        raise PermissionError(13, "in use")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", busy)
        store.clear()
    assert (folder / "cfg.json").exists()
    store.clear()
    assert list(folder.parent.iterdir()) == []


def test_the_next_writer_sweeps_what_the_last_one_left(tmp_path, writer):
    place = tmp_path / "cache" / "notebook"
    (left,) = place.iterdir()
    with temporary_folder(place):
        assert left.exists()
    writer.kill()
    writer.wait()
    with temporary_folder(place) as mine:
        assert list(place.iterdir()) == [mine]
    assert list(place.iterdir()) == []


def test_of_a_writer_on_another_machine_only_time_tells(tmp_path):
    theirs = tmp_path / ".loupe-00000000-1-abc"
    theirs.mkdir()
    sweep(tmp_path)
    assert theirs.exists()
    os.utime(theirs, (0, 0))
    sweep(tmp_path)
    assert not theirs.exists()


def test_nothing_of_other_people_is_swept(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / ".loupe-00000000-1-link").symlink_to(tmp_path / "folder")
    (tmp_path / ".loupe-00000000-1-file").write_text("")
    (tmp_path / ".loupe-mine").mkdir()
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    before = sorted(tmp_path.iterdir())
    assert abandoned(tmp_path) == []
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert abandoned(tmp_path / "nowhere") == []


def calls(path: Path) -> set[str]:
    """Return the functions that a file calls, by the last two parts of their names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_every_writer_of_temporary_files_makes_them_where_they_are_swept():
    paths = [ROOT / "app.py", *(path for folder in ("core", "ui", "pages") for path in (ROOT / folder).rglob("*.py"))]
    named = {path.relative_to(ROOT).as_posix(): calls(path) for path in paths}
    # TemporaryFile has no name, so nothing of it can be left.
    nameless = {"tempfile.TemporaryFile", "tempfile.gettempdir"}
    makers = {name for name, called in named.items() if any(one.startswith("tempfile.") for one in called - nameless)}
    assert makers == set(CLEANS_ITSELF)
    movers = {name for name, called in named.items() if called & {"os.replace", "os.rename", "shutil.move"}}
    swept = {name for name, called in named.items() if "temporary_folder" in called}
    assert movers - swept - set(CLEANS_ITSELF) == set(RENAMES)
    imported = [path.name for path in paths if "from tempfile" in path.read_text(encoding="utf-8")]
    assert imported == []
    assert len(swept) > 4
