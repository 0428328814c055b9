"""A language model on a device: its activations stay there for the next step. Imports torch: import lazily."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.devices.blocks import computing_on, on_its_device, run_on_device
from core.devices.device import Device, DeviceError
from core.devices.ordering import top_keys, unpack
from core.devices.placed import fetch, place, shelf
from core.installation import started_with
from core.models.batches import rows_per_run
from core.models.gradients import Gradient, Target
from core.models.hf_runner import LAST
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress


def hooked_on(model: LanguageModel, device: Device) -> torch.nn.Module:
    """Return a copy of the running model on a device, made once; hold `model.lock` while it runs or has hooks.

    The copy counts as weights in the device's memory. Raises DeviceError if it does not fit.
    """
    # Without the lock the copy could take along hooks that another session has set. A model that is built or copied in
    # inference mode could never be differentiated.
    with model.lock, torch.inference_mode(False):
        hooked = model.running.module
        if any(tensor.is_meta for tensor in _tensors(hooked)):
            raise DeviceError(
                f"The model {model.name} runs from the disk, as it is larger than the memory left. To copy it to a "
                "device, all of it is expected in memory. Compute on the CPU, or start the app with a larger budget: "
                f"{started_with('--memory GB')}"
            )
        nbytes = sum(tensor.nbytes for tensor in _tensors(hooked))
        return shelf(device).keep(hooked, nbytes, lambda: _moved(hooked, device), f"The model {model.name}")


def _tensors(hooked: torch.nn.Module) -> list[Tensor]:
    return list(chain(hooked.parameters(), hooked.buffers()))


def _moved(hooked: torch.nn.Module, device: Device) -> torch.nn.Module:
    """Copy a model with its tensors going straight to the device, so that the CPU's memory holds them once."""
    there = {id(old): old.detach().to(device.torch, copy=True) for old in _tensors(hooked)}
    for old in hooked.parameters():
        there[id(old)] = torch.nn.Parameter(there[id(old)], requires_grad=False)
    moved = deepcopy(hooked, there)
    if hasattr(moved, "cfg"):
        moved.cfg.device = str(device.torch)  # where TransformerLens puts the tokens it is given
    return moved


def activations_on_device(
    model: LanguageModel, tokens: Int[np.ndarray, "batch pos"], hook_name: str, device: Device
) -> Float[Tensor, "batch pos d_in"]:
    """Run the model on a device up to a hook and return the activations there, as LanguageModel.activations does.

    Products are IEEE float32 only inside `core.devices.blocks.computing_on`.
    """
    return activations_of_on_device(model, tokens, [hook_name], device)[hook_name]


def activations_of_on_device(
    model: LanguageModel, tokens: Int[np.ndarray, "batch pos"], hook_names: Sequence[str], device: Device
) -> dict[str, Float[Tensor, "batch pos _"]]:
    """Run the model on a device once, up to the last of some hooks; return what passes at each."""
    for name in hook_names:
        model.hook_width(name)
    model.check_rows(tokens)
    there, n_pos = place(tokens.astype(np.int64), device), tokens.shape[1]
    sums = [name for name in hook_names if model.is_sum(name)]
    found = {name: place(model.W_E, device)[there] + place(model.W_pos, device)[:n_pos] for name in sums}
    deeper = list(dict.fromkeys(name for name in hook_names if name not in found))
    if deeper:
        module = hooked_on(model, device)
        values = model.running.read(there, deeper, module=module)
        found |= {name: values[name].float() for name in deeper}
    return found


def gradient_on_device(
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    hook_name: str,
    target: Target,
    device: Device,
    *,
    names: Sequence[str] = (),
) -> Gradient:
    """Run the model forward and back on a device, as the runner's `gradient` does; tensors stay there."""
    with computing_on(device, gradients=True):
        module = hooked_on(model, device)
        there = place(rows.astype(np.int64), device)
        return model.running.gradient(there, hook_name, target, names=names, module=module)


@on_its_device
def likeliest_on_device(
    model: LanguageModel, rows: Int[np.ndarray, "row pos"], places: Sequence[int], device: Device, *, n: int
) -> Int[np.ndarray, "row n"]:
    """Return the n tokens of the largest logits after one place of each row, the largest first; ties: lower id first.

    A few rows run at a time, fewer when memory runs out.
    """

    def work(part: slice) -> np.ndarray:
        module = hooked_on(model, device)
        last = model.running.read(place(rows[part].astype(np.int64), device), [LAST], module=module)[LAST]
        at = last[range(len(last)), list(places[part])]
        return fetch(unpack(top_keys(model.running.logits(at, module=module).float(), n))[1])

    return np.concatenate(run_on_device(work, len(rows), rows_per_run(rows.shape[1]), device))


def run_model_on_device(
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    hook_name: str,
    device: Device,
    progress: Progress = SILENT,
) -> Float[Tensor, "row pos d_in"]:
    """Return the activations at one hook for all rows; else like `run_hooks_on_device`."""
    return run_hooks_on_device(model, rows, [hook_name], device, progress)[hook_name]


@on_its_device
def run_hooks_on_device(
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    hook_names: Sequence[str],
    device: Device,
    progress: Progress = SILENT,
) -> dict[str, Float[Tensor, "row pos _"]]:
    """Return the activations at hooks for all rows. A few rows run at a time, fewer when memory runs out.

    `progress` counts rows. Raises what LanguageModel.activations raises, and DeviceError.
    """

    def work(part: slice) -> dict[str, Tensor]:
        return activations_of_on_device(model, rows[part], hook_names, device)

    runs = run_on_device(work, len(rows), rows_per_run(rows.shape[1]), device, progress=progress) or [work(slice(0))]
    return {name: torch.cat([run[name] for run in runs]) for name in hook_names}
