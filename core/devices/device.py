"""The devices of this machine, the one that a person chose, and the work that is worth moving to it.

Nothing here imports torch until a device other than the CPU is needed.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from traceback import clear_frames
from typing import TYPE_CHECKING, Literal

from core.amounts import of_bytes
from core.errors import LoupeError
from core.work.memory import free_memory

if TYPE_CHECKING:
    import torch

Kind = Literal["cpu", "cuda", "mps"]
WORTH = 2**35
"""Work of at least this many multiply-adds leaves the CPU. It takes about a second on two cores, as long as a device
takes to start."""


class DeviceError(LoupeError):
    """A device is not there, has too little memory, or failed."""


class OutOfDeviceMemoryError(DeviceError):
    """A device's memory ran out. Less work at a time may fit."""


@dataclass(frozen=True)
class Device:
    """Where something is computed. Equal devices give equal bits for equal inputs and equal shapes."""

    kind: Kind = "cpu"
    index: int = 0
    name: str = "CPU"
    """The driver's name for it. It is part of the key of every result that depends on its float32 products."""
    total_bytes: int = field(default=0, compare=False)
    """Its own memory; 0 for the CPU."""
    whole_arrays: bool = False
    """Use torch's whole-array code even on the CPU, where it is slower. Tests use this to run that code."""

    @property
    def label(self) -> str:
        """Its name in the setting, with its memory."""
        return self.name if self.kind == "cpu" else f"{self.name} ({of_bytes(self.total_bytes)})"

    @property
    def setting(self) -> str:
        """Its name for `--device`."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind

    @property
    def torch(self) -> "torch.device":
        import torch

        return torch.device("cuda", self.index) if self.kind == "cuda" else torch.device(self.kind)

    @property
    def is_cpu(self) -> bool:
        """Whether it is this machine's processor, by whichever code."""
        return self.kind == "cpu"

    @property
    def has_float64(self) -> bool:
        """Whether the device has float64, which sums and decisions need. Apple's GPUs have none."""
        return self.kind != "mps"

    @property
    def runs_kernels(self) -> bool:
        """Whether the analyses use torch's whole-array code rather than the compiled loops for the CPU."""
        return self.has_float64 and (self.kind != "cpu" or self.whole_arrays)

    def for_work(self, multiply_adds: int) -> "Device":
        """Return this device for work of at least WORTH. Smaller work, and a device without float64, give the CPU."""
        return self if self.runs_kernels and (self.whole_arrays or multiply_adds >= WORTH) else CPU

    @property
    def inputs(self) -> Mapping[str, str]:
        """The device's part of a result's key; empty for the CPU."""
        return {} if self == CPU else {"device": f"torch on {self.name}" if self.kind == "cpu" else self.name}

    def at_row(self, row: int) -> "Device":
        """Return what computes the block of a token pass that begins at this row."""
        return self

    def wait(self) -> None:
        """Wait until the device has finished all work."""
        if self.kind == "cuda":
            import torch

            torch.cuda.synchronize(self.torch)

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """Run and return by how many bytes torch's memory on the device grew at the peak; 0 except for CUDA."""
        if self.kind != "cuda":
            work()
            return 0
        import torch

        torch.cuda.reset_peak_memory_stats(self.torch)
        before = torch.cuda.memory_allocated(self.torch)
        work()
        return torch.cuda.max_memory_allocated(self.torch) - before

    def free_bytes(self) -> int:
        """Free bytes: those that the driver reports, and those that torch holds unused."""
        if self.kind != "cuda":
            return free_memory()
        import torch

        with named_failures(self):
            kept = torch.cuda.memory_reserved(self.torch) - torch.cuda.memory_allocated(self.torch)
            return torch.cuda.mem_get_info(self.torch)[0] + kept


CPU = Device()
TORCH_CPU = Device(whole_arrays=True)
"""The code for devices, run by torch on the CPU."""


@dataclass(frozen=True)
class Continued(Device):
    """The CPU, for a token pass whose first rows another device had computed before it failed."""

    first: Device = CPU
    rows: int = 0
    """So many rows are of `first`."""

    @property
    def inputs(self) -> Mapping[str, str]:
        before = self.first.inputs["device"]
        return {"device": f"{before}, from row {self.rows:,} on CPU"}

    def at_row(self, row: int) -> Device:
        return self.first if row < self.rows else CPU


def chosen(setting: str = "auto") -> Device:
    """Return the device that a setting names: auto, cpu, cuda, cuda:N or mps.

    `auto` is the first CUDA device, or the CPU if this machine has no CUDA device. Raises DeviceError for another
    word, and for a device that this machine lacks or cannot use.
    """
    setting = setting.strip().lower()
    if setting == "cpu":
        return CPU
    if setting == "auto":
        return next(iter(_cuda()), CPU) if _may_have_cuda() else CPU
    kind, _, number = setting.partition(":")
    if kind not in ("cuda", "mps") or (number and not (kind == "cuda" and number.isascii() and number.isdigit())):
        raise DeviceError(
            f"{setting[:50]!r} is not a device. Expected auto, cpu, cuda, cuda:N (such as cuda:0) or mps."
        )
    there = {device.setting: device for device in available()}
    wanted = f"cuda:{int(number[:9] or 0)}" if kind == "cuda" else kind
    if wanted in there:
        return there[wanted]
    raise DeviceError(
        f"{setting[:50]} was chosen, but torch finds {', '.join(there)} on this machine. Expected one of these; "
        "choose auto, or install a build of torch for this device and its driver."
    )


def of_another_machine(setting: str, card: str) -> Device | None:
    """Return the device that a setting and the driver's name say, which this machine need not have; None if unclear."""
    kind, _, number = setting.partition(":")
    if kind not in ("cuda", "mps") or not (number or "0").isdecimal():
        return None
    return Device(kind, int(number or 0), card)


def known() -> tuple[Device, ...]:
    """Return the known devices without importing torch: all of them if torch is imported, else the CPU alone."""
    return available() if _torch_is_here() else (CPU,)


def may_have_more() -> bool:
    """Whether this machine may have another device than the CPU. Imports nothing."""
    return len(available()) > 1 if _torch_is_here() else sys.platform == "darwin" or _may_have_cuda()


def _torch_is_here() -> bool:
    """Whether the import of torch is complete; another thread may be in the middle of it."""
    return hasattr(sys.modules.get("torch"), "inference_mode") and hasattr(sys.modules["torch"], "compile")


@cache
def available() -> tuple[Device, ...]:
    """Return every device of this machine, the CPU first. Imports torch if there may be another one."""
    return CPU, *_cuda(), *_mps()


def _may_have_cuda() -> bool:
    """Whether it is worth asking torch, whose import takes seconds."""
    return "torch" in sys.modules or _is_built_for_cuda()


@cache
def _is_built_for_cuda() -> bool:
    """Whether torch's build and the driver's library say that there may be a card. Reads files: 2 ms each time."""
    from ctypes import CDLL
    from importlib.metadata import PackageNotFoundError, version

    with suppress(PackageNotFoundError):
        if version("torch").endswith("+cpu"):
            return False
    with suppress(OSError):
        CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        return True
    return False


@cache
def _cuda() -> tuple[Device, ...]:
    if not _may_have_cuda():
        return ()
    import torch

    if not torch.cuda.is_available():
        return ()
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return tuple(Device("cuda", i, card.name, card.total_memory) for i, card in enumerate(cards))


@cache
def _mps() -> tuple[Device, ...]:
    if sys.platform != "darwin":
        return ()
    import torch

    if not torch.backends.mps.is_available():
        return ()
    return (Device("mps", 0, "Apple GPU", torch.mps.recommended_max_memory()),)


@contextmanager
def named_failures(device: Device):
    """Turn a driver's failure, and memory that runs out, into a DeviceError that names the device."""
    if device.kind == "cpu":
        yield
        return
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        clear_frames(error.__traceback__)  # they keep alive what was half made
        raise OutOfDeviceMemoryError(
            f"The memory of {device.name} ran out; {of_bytes(device.free_bytes())} are free now. Expected room for "
            "weights and for the work on them. Close other programs that use the device, or choose the CPU as device."
        ) from None
    except (torch.AcceleratorError, RuntimeError) as error:
        if not isinstance(error, torch.AcceleratorError) and "CUDA" not in str(error) and "cuDNN" not in str(error):
            raise
        raise DeviceError(
            f"{device.name} ({device.setting}) failed: {str(error).splitlines()[0][:200]}. What was stored before "
            "stays. Choose the CPU as device: a token pass goes on from there. To use this device again after a fault "
            "of its driver, restart the app."
        ) from error
