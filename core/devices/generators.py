"""The states of all devices' random generators, for work that is stopped and resumed."""

from collections.abc import Mapping
from typing import Any


def states() -> dict[str, Any]:
    """Return the state of the CPU's generator, and of those of all cards where there are any."""
    import torch

    found: dict[str, Any] = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def restore(states: Mapping[str, Any]) -> None:
    """Set the generators of the devices that are there."""
    import torch

    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
