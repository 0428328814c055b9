"""Run an embedder in a process of its own, as it offers no other way to stop it.

Embedders run for seconds to minutes and hold the interpreter's lock. `python -m MODULE FOLDER` reads inputs.npz from a
folder, prints `step N of M` on the way, and writes points.npy there.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from core.installation import START_FOLDER
from core.work.progress import SILENT, Progress
from core.work.temporary import temporary_folder

_LOOK_S = 0.2
_STEP = re.compile(r"step (\d+) of (\d+)")
_TAIL = 4096


def run_embedder(
    module: str,
    inputs: Mapping[str, object],
    *,
    progress: Progress = SILENT,
    environment: Mapping[str, str] | None = None,
) -> Float[np.ndarray, "n axis"]:
    """Give arrays and numbers to `python -m module` and return the points that it writes.

    `progress.update(done, total)` counts its steps. If `progress` raises, the process ends. Raises RuntimeError with
    the output of the process if it fails.
    """
    with temporary_folder() as folder:
        np.savez(folder / "inputs.npz", **inputs)
        command = [sys.executable, "-u", "-m", module, str(folder)]
        with (
            open(folder / "log", "wb") as log,
            subprocess.Popen(
                command, cwd=START_FOLDER, env=os.environ | dict(environment or {}), stdout=log, stderr=log
            ) as process,
        ):
            try:
                _watch(process, folder / "log", progress)
            finally:
                process.kill()
        if process.returncode:
            said = (folder / "log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{module} ended with code {process.returncode}: {said[-2000:]}")
        return np.load(folder / "points.npy", allow_pickle=False)


def _watch(process: subprocess.Popen, log: Path, progress: Progress) -> None:
    """Wait until the process ends, and report the last step that it has printed."""
    while True:
        steps = _STEP.findall(_end_of(log))
        progress.update(*(map(int, steps[-1]) if steps else (0, 1)))
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            continue
        return


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        return file.read().decode("utf-8", errors="replace")


def serve(folder: Path, embed) -> None:
    """Run in the embedder's process: call `embed(inputs)` and write the points."""
    with np.load(folder / "inputs.npz", allow_pickle=False) as inputs:
        points = embed(dict(inputs))
    np.save(folder / "points.npy", points)
