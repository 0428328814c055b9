"""What the workers of a plan will download, by what the hub says when the plan is made."""

from dataclasses import dataclass

from core.dictionaries.sources import cost
from core.errors import HubBusyError, HubDamagedError, HubUnreachableError


@dataclass
class Prices:
    """Asks the hub for sizes, and asks no more once it did not answer."""

    unreachable: bool = False

    def missing(self, id: str) -> int | None:
        """Return how many bytes of a dictionary are still to be downloaded; None where the hub does not say.

        Raises LoupeError where no worker could download it: it is not there, or asks for a login.
        """
        if self.unreachable:
            return None
        try:
            return cost(id).missing
        except HubUnreachableError:
            self.unreachable = True
        except (HubBusyError, HubDamagedError):
            pass
        return None
