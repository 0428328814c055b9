"""Work in blocks that fit into a device's memory. Imports torch: import lazily."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

import torch

from core.amounts import of_bytes
from core.devices.device import Device, DeviceError, OutOfDeviceMemoryError, named_failures
from core.devices.products import ieee_products
from core.work.progress import SILENT, Progress

T = TypeVar("T")
SHARE = 0.4
"""Share of the free memory for one block: sorting and selecting need as much again, and sessions share the device."""
MOST_ELEMENTS = 2**30
"""The most elements in one array, because several kernels count in 32 bits."""
_ON_CPU = 2**28
"""Bytes for a block where the device is the CPU."""


def rows_that_fit(device: Device, n: int, *, bytes_per_row: int, width: int, fixed: int = 0) -> int:
    """Return how many of n rows of `width` elements form one block. Above 128 it is a multiple of 128.

    One row needs `bytes_per_row` at the peak; `fixed` bytes are needed besides all blocks. Raises DeviceError if not
    even one row fits.
    """
    free = device.free_bytes()
    room = min(_ON_CPU if device.kind == "cpu" else free * SHARE, free) - (0 if device.kind == "cpu" else fixed)
    rows = int(min(max(room, 0) // bytes_per_row, MOST_ELEMENTS // max(1, width), n))
    if rows < 1 and device.kind != "cpu":
        raise _too_small(device, fixed + bytes_per_row)
    rows = max(1, rows)
    return rows if rows < 128 or rows == n else rows // 128 * 128


@contextmanager
def computing_on(device: Device, *, gradients: bool = False) -> Iterator[None]:
    """Compute products in IEEE float32, and turn a driver's failure and a lack of memory into DeviceError.

    Nothing made inside can be differentiated, unless it is asked for `gradients`.
    """
    with torch.inference_mode(not gradients), ieee_products(), named_failures(device):
        yield


def on_its_device(function: Callable[..., T]) -> Callable[..., T]:
    """Let a function run inside `computing_on` of its argument `device`: what it places before its blocks, too."""
    parameters = signature(function)

    @wraps(function)
    def inside(*args: Any, **options: Any) -> T:
        with computing_on(parameters.bind(*args, **options).arguments["device"]):
            return function(*args, **options)

    return inside


def run_on_device(
    work: Callable[[slice], Any],
    n: int,
    step: int,
    device: Device,
    *,
    progress: Progress = SILENT,
    gradients: bool = False,
) -> list[Any]:
    """Return `work` on slices that cover 0 to n by `step`, one after the other; `progress` counts to n.

    Products are IEEE float32. If memory runs out, the step is halved and the work continues, so the answer must not
    depend on the step. Raises DeviceError if one row does not fit, and if the driver fails.
    """
    results, start = [], 0
    with computing_on(device, gradients=gradients):
        while start < n:
            part, fits = slice(start, min(start + step, n)), True
            try:
                result = work(part)
            except (torch.OutOfMemoryError, OutOfDeviceMemoryError):
                fits = False  # handled below: inside `except` the traceback keeps every array of `work` alive
            if not fits:
                if step == 1:
                    raise _too_small(device, 0)
                torch.cuda.empty_cache()
                step = max(1, min(step, part.stop - start) // 2)
                continue
            results.append(result)
            start = part.stop
            progress.update(start, n)
    return results


def _too_small(device: Device, nbytes: int) -> DeviceError:
    needed = f"at least {of_bytes(nbytes)}" if nbytes else "more"
    return DeviceError(
        f"{device.name} has {of_bytes(device.free_bytes())} free, and one row of this work needs {needed}. Close "
        "other programs that use the device, or choose the CPU as device."
    )
