"""A card that is not there: torch's CPU does its work under a name, memory and failures of its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.devices.device import Device

if TYPE_CHECKING:
    import pytest
    import torch

FAULT = "CUDA error: unspecified launch failure"


@dataclass(frozen=True)
class PlantedCard(Device):
    """A CUDA device as far as core can see."""

    kind: str = "cuda"
    name: str = "Planted card"
    total_bytes: int = 8 * 10**9
    free: int = 8 * 10**9

    @property
    def torch(self) -> "torch.device":
        import torch

        return torch.device("cpu")

    def free_bytes(self) -> int:
        return self.free


CARD = PlantedCard()


def put_in(patch: "pytest.MonkeyPatch") -> None:
    """Make it this machine's only card, worth any work."""
    from core.devices import device as devices
    from core.devices import placed

    patch.setattr(devices, "available", lambda: (devices.CPU, CARD))
    patch.setattr(devices, "_cuda", lambda: (CARD,))
    patch.setattr(devices, "_may_have_cuda", lambda: True)
    patch.setattr(devices, "WORTH", 1)
    patch.setattr(placed, "_shelves", {})


def fail_after(patch: "pytest.MonkeyPatch", blocks: int) -> None:
    """Let the driver fail whenever a card encodes, once it has encoded so many blocks."""
    from core.activations.on_device import DeviceEncoder

    encode, left = DeviceEncoder.encode, [blocks]

    def failing(self, *args, **how):
        if self.device.kind == "cuda":
            left[0] -= 1
        if left[0] < 0 and self.device.kind == "cuda":
            from core.devices.device import named_failures

            with named_failures(self.device):
                raise RuntimeError(FAULT)
        return encode(self, *args, **how)

    patch.setattr(DeviceEncoder, "encode", failing)
