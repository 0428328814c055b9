"""Runs on disk: a folder for each, with its settings, its log, its checkpoints and, at the end, its dictionaries.

A run is a process of its own, so it goes on when the browser is closed or the app ends. Whether it runs is told by a
lock that the system takes from a dead process; a file `stop` asks it to save a checkpoint and end.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from core.corpus.samples import FILES
from core.errors import LoupeError, OutOfSpaceError, UnknownNameError
from core.installation import START_FOLDER, importable, started_with
from core.training import log
from core.training.log import Curves, read_log
from core.training.settings import TrainingSettings, read_settings, to_toml
from core.work.temporary import temporary_folder
from core.workspace import Workspace

NEW, RUNNING, STOPPED, FAILED, FINISHED = "not started", "running", "stopped", "failed", "finished"
_SETTINGS, _LOG, _STOP, _LOCK, _OUTPUT = "settings.toml", "log.jsonl", "stop", "lock", "output.txt"
_PATIENCE_S = 20.0
"""How long a new process may take until it holds its lock."""


class TrainingError(LoupeError):
    """A run cannot begin, go on or end as it should."""


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def settings(self) -> TrainingSettings:
        """Raises BadSettingError if the folder's settings cannot be read."""
        return read_settings(self.folder / _SETTINGS)

    @property
    def log_path(self) -> Path:
        return self.folder / _LOG

    def curves(self) -> Curves:
        """Read what the run has logged so far."""
        return read_log(self.log_path)

    def result(self, seed: int) -> Path:
        """Return the folder of a seed's finished dictionary, whether or not it is there."""
        return self.folder / f"seed{seed}"

    def results(self) -> dict[int, Path]:
        """Return the finished dictionaries by seed."""
        folders = {seed: self.result(seed) for seed in self.settings.seeds}
        return {seed: folder for seed, folder in folders.items() if folder.is_dir()}

    def state(self) -> str:
        """Return one of NEW, RUNNING, STOPPED (also by a kill), FAILED and FINISHED."""
        if self.is_running():
            return RUNNING
        if len(self.results()) == len(self.settings.seeds):
            return FINISHED
        last = self.curves().last
        return NEW if last is None else FAILED if last.event == log.FAILED else STOPPED

    def is_running(self) -> bool:
        """Whether a process holds the lock."""
        from filelock import FileLock, Timeout

        if not (self.folder / _LOCK).exists():
            return False
        try:
            with FileLock(self.folder / _LOCK, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a folder that cannot be written has no running process
            return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process. Raises TrainingError if another does."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / _LOCK, timeout=1)
        try:
            lock.acquire()
        except Timeout as error:
            raise TrainingError(
                f"The run {self.name} is running already. Expected one process; stop it first."
            ) from error
        try:
            (self.folder / _STOP).unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def ask_to_stop(self) -> None:
        """Ask the process to save a checkpoint and end. It does so after the step that it is at."""
        (self.folder / _STOP).touch()

    def is_asked_to_stop(self) -> bool:
        return (self.folder / _STOP).exists()

    def output(self) -> str:
        """Return the end of what the process printed, such as the traceback of a bug."""
        with suppress(OSError):
            return (self.folder / _OUTPUT).read_bytes()[-4000:].decode("utf-8", "replace")
        return ""


def runs(workspace: Workspace) -> list[Run]:
    """Return all runs whose settings can be read, the newest first."""
    found = []
    with suppress(OSError):
        folders = [path for path in workspace.runs.iterdir() if (path / _SETTINGS).is_file()]
        found = sorted(folders, key=lambda path: (path / _SETTINGS).stat().st_mtime, reverse=True)
    return [run for run in map(Run, found) if _is_readable(run)]


def _is_readable(run: Run) -> bool:
    with suppress(LoupeError):
        return bool(run.settings)
    return False


def find_run(name: str, workspace: Workspace) -> Run:
    """Return the run with a name. Raises UnknownNameError."""
    known = {run.name: run for run in runs(workspace)}
    if name not in known:
        raise UnknownNameError("training run", name, list(known))
    return known[name]


def create(settings: TrainingSettings, workspace: Workspace) -> Run:
    """Make the folder of a new run. Raises TrainingError if there is one of this name, OutOfSpaceError."""
    workspace.policy.check_training(settings.name)
    folder = workspace.runs / settings.name
    if folder.exists():
        raise TrainingError(
            f"There is a run called {settings.name} already, in {workspace.runs}. Expected a new name; choose another, "
            f"or go on with that run: `python -m {importable('core.training')} --resume {settings.name}`"
        )
    try:
        workspace.runs.mkdir(parents=True, exist_ok=True)
        with temporary_folder(workspace.runs) as new:
            (new / "new").mkdir()
            (new / "new" / _SETTINGS).write_text(to_toml(settings), encoding="utf-8")
            os.rename(new / "new", folder)
    except OSError as error:
        raise OutOfSpaceError(
            f"The run {settings.name} cannot be kept in {workspace.runs} ({error}). Expected a folder that can be "
            f"written and has room. To name another, start the app with: {started_with('--runs FOLDER')}"
        ) from error
    return Run(folder)


def launch(run: Run, workspace: Workspace) -> None:
    """Start or go on with a run, in a process that outlives this one. Raises TrainingError if it runs already."""
    workspace.policy.check_training(run.name)
    if run.is_running():
        raise TrainingError(f"The run {run.name} is running already. Watch it, or stop it first.")
    (run.folder / _STOP).unlink(missing_ok=True)
    command = [sys.executable, "-m", importable("core.training"), "--resume", run.name, *arguments(workspace)]
    with open(run.folder / _OUTPUT, "wb") as output:
        process = subprocess.Popen(
            command, cwd=START_FOLDER, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    threading.Thread(target=process.wait, daemon=True).start()  # else a dead process stays on the system's list
    end = time.monotonic() + _PATIENCE_S
    while process.poll() is None and not run.is_running() and time.monotonic() < end:
        time.sleep(0.1)


def stop(run: Run, workspace: Workspace) -> None:
    """Ask a run to stop. Raises TrainingError where nobody may."""
    workspace.policy.check_training(run.name)
    run.ask_to_stop()


def remove(run: Run, workspace: Workspace) -> None:
    """Delete a run with its dictionaries. Raises TrainingError while it runs."""
    workspace.policy.check_training(run.name)
    if run.is_running():
        raise TrainingError(f"The run {run.name} is running. Expected one that has ended; stop it first.")
    shutil.rmtree(run.folder)


def arguments(workspace: Workspace) -> list[str]:
    """Return the command line that gives another process this workspace."""
    said = ["--runs", str(workspace.runs), "--cache", str(workspace.cache), "--device", workspace.device]
    said += ["--dtype", workspace.dtype]
    for model in workspace.models:
        said += ["--model", str(model)]
    return said


def absolute(settings: TrainingSettings) -> TrainingSettings:
    """Return settings whose text is found from any folder: the process of a run may start elsewhere."""
    text = settings.text
    if text.source != FILES:
        return settings
    return replace(settings, text=replace(text, name=str(Path(text.name).expanduser().resolve())))
