"""Weights on a device: copied once, shared by sessions, within a memory budget. Imports torch: import lazily."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from core.amounts import of_bytes
from core.devices.device import Device, DeviceError, OutOfDeviceMemoryError, named_failures
from core.work.torch_library import as_tensor

T = TypeVar("T")
SHARE = 0.5
"""Share of a device's memory for weights that stay there. The rest is for the work."""


class Shelf:
    """Copies of read-only arrays and models on one device. When the budget is full, the least recently used leaves."""

    def __init__(self, device: Device, budget: int):
        self.device, self.budget = device, budget
        self._held: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        """Copies with their bytes, by the id of the original."""
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        with self._lock:
            return sum(nbytes for _, nbytes in self._held.values())

    def place(self, array: np.ndarray) -> Tensor:
        """Return an array's copy on the device. It is the same copy as long as the array lives, unless it had to leave.

        A writable array is copied each time. Raises DeviceError if the array is larger than the whole budget.
        """
        if array.flags.writeable or self.device.kind == "cpu":
            return self.copy(array)
        return self.keep(array, array.nbytes, lambda: self._moved(array), "An array")

    def keep(self, owner: object, nbytes: int, copy: Callable[[], T], name: str) -> T:
        """Return `copy()`, which needs `nbytes` of the device. It is the same object as long as its owner lives.

        If the device's memory runs out, what was least recently used leaves. Raises DeviceError, naming `name`, if it
        is larger than the whole budget, OutOfDeviceMemoryError if nothing is left to leave, and all that `copy` raises.
        """
        with self._lock:
            key = id(owner)
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
            self._make_room(nbytes, name)
            self._held[key] = self._made(copy, nbytes, name), nbytes
            weakref.finalize(owner, self._forget, key)
            return self._held[key][0]

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._held.clear()

    def _forget(self, key: int) -> None:
        with self._lock:
            self._held.pop(key, None)

    def copy(self, array: np.ndarray) -> Tensor:
        """Return a copy on the device that is not kept. Raises OutOfDeviceMemoryError, and where the driver fails."""
        return self._made(lambda: self._moved(array), array.nbytes, "An array")

    def _moved(self, array: np.ndarray) -> Tensor:
        # In inference mode the copy could never be part of a gradient.
        with torch.inference_mode(False):
            return as_tensor(np.ascontiguousarray(array)).to(self.device.torch)

    def _made(self, copy: Callable[[], T], nbytes: int, name: str) -> T:
        """Return `copy()`. What leaves is not counted any more, and what was half made never was."""
        while True:
            with suppress(OutOfDeviceMemoryError), named_failures(self.device):
                return copy()
            with self._lock:
                if not self._held:
                    break
                self._held.popitem(last=False)
            torch.cuda.empty_cache()
        raise OutOfDeviceMemoryError(
            f"{name} of {of_bytes(nbytes)} does not fit into the memory of {self.device.name}, of which "
            f"{of_bytes(self.device.free_bytes())} are free. Expected room for weights and for the work on them. Close "
            "other programs that use the device, or choose the CPU as device."
        )

    def _make_room(self, nbytes: int, name: str) -> None:
        if nbytes > self.budget:
            raise DeviceError(
                f"{name} of {of_bytes(nbytes)} does not fit into the {of_bytes(self.budget)} that {self.device.name} "
                "has for weights. Expected a smaller dictionary or model; choose the CPU as device."
            )
        while self._held and self.nbytes + nbytes > self.budget:
            self._held.popitem(last=False)


_shelves: dict[Device, Shelf] = {}
_making = threading.Lock()


def shelf(device: Device) -> Shelf:
    """Return the shelf of a device, which all sessions share."""
    with _making:
        if device not in _shelves:
            _shelves[device] = Shelf(device, int((device.total_bytes or device.free_bytes()) * SHARE))
        return _shelves[device]


def place(array: np.ndarray, device: Device) -> Tensor:
    """Return an array on a device (see Shelf.place)."""
    return shelf(device).place(array)


def send(array: np.ndarray, device: Device) -> Tensor:
    """Return a copy on a device that is not kept there."""
    return shelf(device).copy(array)


def fetch(tensor: Tensor) -> np.ndarray:
    """Return a tensor as an array in the CPU's memory."""
    return tensor.cpu().numpy()
