"""Checkpoints of a run: whole or not there. Imports torch: import lazily.

A checkpoint is a folder `checkpoint-STEP` that holds, for each seed, what sae-lens' trainer saves (weights, optimizer,
schedulers, counters of dead features, scale of the inputs), the state of torch's random numbers, and the step, from
which the data's position follows.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from core.devices import generators
from core.errors import BadSettingError, OutOfSpaceError
from core.work.temporary import temporary_folder

_NAME = re.compile(r"checkpoint-(\d{1,12})")
_STATE = "run.pt"


def steps_of(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in a run's folder, in order."""
    with suppress(OSError):
        return sorted(int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)))
    return []


def save(folder: Path, step: int, trainers: Mapping[int, Any]) -> None:
    """Write a checkpoint of all trainers by seed, then remove older ones.

    Raises OutOfSpaceError if it cannot be written. The older ones are then still there.
    """
    from safetensors import SafetensorError

    try:
        with temporary_folder(folder) as new:
            for seed, trainer in trainers.items():
                trainer.save_checkpoint(f"seed{seed}", base_path=new / "new")
            state = {"step": step, "threads": torch.get_num_threads(), **generators.states()}
            torch.save(state, new / "new" / _STATE)
            _flush(new / "new")
            place = folder / f"checkpoint-{step}"
            shutil.rmtree(place, ignore_errors=True)
            os.rename(new / "new", place)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors report a full disk by their own
        raise OutOfSpaceError(
            f"The checkpoint of step {step:,} cannot be written to {folder} ({str(error)[:200]}). Expected a folder "
            "that can be written and has room. Make room; earlier checkpoints are still there."
        ) from error
    for older in steps_of(folder):
        if older != step:
            shutil.rmtree(folder / f"checkpoint-{older}", ignore_errors=True)


def restore(folder: Path, step: int, trainers: Mapping[int, Any]) -> None:
    """Bring trainers to the state of a checkpoint. Raises BadSettingError if the checkpoint cannot be read."""
    place = folder / f"checkpoint-{step}"
    try:
        state = torch.load(place / _STATE, weights_only=True)
        # The number of threads decides how sums are split, and so the last bits of every product.
        torch.set_num_threads(int(state["threads"]))
        for seed, trainer in trainers.items():
            trainer.sae.load_weights_from_checkpoint(place / f"seed{seed}")
            trainer.load_trainer_state(place / f"seed{seed}")
            trainer.data_provider.step = step
        generators.restore(state)
    except (OSError, RuntimeError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise BadSettingError(
            f"The checkpoint {place} cannot be read ({type(error).__name__}: {str(error)[:200]}). Expected what this "
            "run wrote; start the training again under another name."
        ) from error


def remove_all(folder: Path) -> None:
    """Remove the checkpoints of a finished run."""
    for step in steps_of(folder):
        shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)


def _flush(folder: Path) -> None:
    """Wait until the disk has all files of a folder, so that a power cut cannot leave a hollow checkpoint."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
