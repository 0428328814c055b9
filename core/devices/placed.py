"""Weights on a device: placed once, shared by sessions, within a budget of its memory. Imports torch: import lazily."""

import threading
import weakref
from collections import OrderedDict

import numpy as np
from torch import Tensor

from core.amounts import of_bytes
from core.devices.device import Device, DeviceError, named_failures
from core.work.torch_library import as_tensor

SHARE = 0.5
"""Of a device's memory, for weights that stay there; the rest is for the work."""


class Shelf:
    """Copies of read-only arrays on one device, the least recently used leaving first when the budget is full."""

    def __init__(self, device: Device, budget: int):
        self.device, self.budget = device, budget
        self._held: OrderedDict[int, Tensor] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        with self._lock:
            return sum(tensor.nbytes for tensor in self._held.values())

    def place(self, array: np.ndarray) -> Tensor:
        """Return an array's copy on the device; the same one as long as the array lives, unless others took its room.

        An array that may still be written is copied each time. Raises DeviceError for more than the whole budget.
        """
        if array.flags.writeable or self.device.kind == "cpu":
            return self._copy(array)
        with self._lock:
            key = id(array)
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            self._make_room(array.nbytes)
            self._held[key] = self._copy(array)
            weakref.finalize(array, self._forget, key)
            return self._held[key]

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._held.clear()

    def _forget(self, key: int) -> None:
        with self._lock:
            self._held.pop(key, None)

    def _copy(self, array: np.ndarray) -> Tensor:
        with named_failures(self.device):
            return as_tensor(np.ascontiguousarray(array)).to(self.device.torch)

    def _make_room(self, nbytes: int) -> None:
        if nbytes > self.budget:
            raise DeviceError(
                f"An array of {of_bytes(nbytes)} does not fit into the {of_bytes(self.budget)} that {self.device.name} "
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
            _shelves[device] = Shelf(device, max(1, int(device.total_bytes * SHARE)))
        return _shelves[device]


def place(array: np.ndarray, device: Device) -> Tensor:
    """Return an array on a device (see Shelf.place)."""
    return shelf(device).place(array)


def fetch(tensor: Tensor) -> np.ndarray:
    """Return a tensor as an array in the CPU's memory."""
    return tensor.cpu().numpy()
