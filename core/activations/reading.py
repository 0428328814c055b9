"""What passes at places of models on rows of text: for all of one model in a single run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from core.devices.device import CPU, Device
from core.models.batches import Place, by_model, read_each, rows_per_run
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress

Seen = list[Any]
"""For each place an array of one line for each token, (token, d); tensors where a device runs kernels."""


def read_places(
    places: Sequence[Place],
    rows: Int[np.ndarray, "row pos"],
    *,
    device: Device = CPU,
    progress: Progress = SILENT,
) -> Seen:
    """Run each model on the rows, a few at a time, and return what passes at each place, in order.

    What is read at one place does not depend on the others, to the bit. After each run, `progress` is told that no
    token is encoded yet, so that a cancelled computation can stop. Raises what `LanguageModel.activations` raises, and
    DeviceError.
    """
    if device.runs_kernels:
        return _on_device(places, rows, device, progress)
    runs, step = [], rows_per_run(rows.shape[1])
    for start in range(0, len(rows), step):
        runs.append(read_each(places, rows[start : start + step]))
        progress.update(0, rows.size)
    flat = {}
    for i, place in enumerate(places):
        if place not in flat:
            whole = np.concatenate([run[i] for run in runs]).reshape(rows.size, -1)
            flat[place] = np.ascontiguousarray(whole, np.float32)
    return [flat[place] for place in places]


def run_model(
    model: LanguageModel, rows: Int[np.ndarray, "row pos"], hook_name: str, progress: Progress = SILENT
) -> Float[np.ndarray, "token d_in"]:
    """Return the activations at one hook, one line for each token, else like `read_places`."""
    return read_places([(model, hook_name)], rows, progress=progress)[0]


def _on_device(places: Sequence[Place], rows: np.ndarray, device: Device, progress: Progress) -> Seen:
    from core.models.on_device import run_hooks_on_device

    stops, found = Stops(progress, rows.size), {}
    for model, hooks in by_model(places):
        values = run_hooks_on_device(model, rows, hooks, device, stops)
        found |= {(id(model), hook): x.flatten(0, 1) for hook, x in values.items()}
    return [found[id(model), hook] for model, hook in places]


class Stops:
    """Lets a cancelled computation stop between steps that are no progress; `total` is the number of counted units."""

    def __init__(self, progress: Progress, total: int):
        self._progress, self._total = progress, total

    def update(self, done: int, total: int) -> None:
        self._progress.update(0, self._total)

    def note(self, text: str) -> None:
        self._progress.note(text)
