"""Work that offers no way to stop it, in a process of its own that can be ended.

The embedders run for seconds to minutes, hold the interpreter's lock and compile anew in every process.
`python -m MODULE FOLDER` reads inputs.npz from a folder, prints `step N of M` as it goes and leaves
points.npy there.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from core.work.jobs import SILENT, Progress
from core.workspace import PROJECT

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
    """Hand arrays and numbers to `python -m module` and return the points it leaves.

    `progress.update(done, total)` counts its steps and may raise, which ends the process. Raises RuntimeError,
    with what it printed, if it fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "inputs.npz", **inputs)
        command = [sys.executable, "-u", "-m", module, name]
        with (
            open(folder / "log", "wb") as log,
            subprocess.Popen(
                command, cwd=PROJECT, env=os.environ | dict(environment or {}), stdout=log, stderr=log
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
    """Wait for the process to end, passing on the last step it printed."""
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
    """Run in that process: call `embed(inputs)` and leave the points."""
    with np.load(folder / "inputs.npz", allow_pickle=False) as inputs:
        points = embed(dict(inputs))
    np.save(folder / "points.npy", points)
