"""Elements of a sweep as tasks of a Ray cluster. Ray places them by their needs, and starts lost ones again."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from core.errors import SweepError
from core.sweeps.elements import ATTEMPTS, Element, Submitted, do_element, most_needs
from core.sweeps.plan import Plan

OBJECT_STORE_BYTES = 2**27
"""Ray's own memory for objects. Elements are a few words, and results go to the store."""


def submitted(plan: Plan, address: str | None, *, do: Callable[[Element], None] = do_element, **how: Any) -> Submitted:
    """Return what has elements done by a cluster: a running one at an address or `auto`, or this machine for None.

    A cluster that starts here has no dashboard and reports nothing to anybody. Raises SweepError.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray reads it when it is imported
    try:
        import ray
    except ImportError as error:
        raise SweepError(
            "ray is not installed. Expected it for `--ray`: `pip install -r requirements-sweep.txt`"
        ) from error
    own = {} if address else {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES} | how
    try:
        ray.init(address, ignore_reinit_error=True, log_to_driver=False, **own)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise SweepError(
            f"No Ray cluster answers at {address}: {str(error)[:300]}. Start one with `ray start --head`, or correct "
            "the address."
        ) from error
    remote = ray.remote(max_retries=ATTEMPTS)(do)

    def submit(elements: Sequence[Element]) -> list[str]:
        waiting = [remote.options(**needed(plan, element)).remote(element) for element in elements]
        return [_lost(ray, one) for one in waiting]

    return submit


def needed(plan: Plan, element: Element) -> dict[str, int]:
    """Return what Ray must keep free for an element: the most that one of its tasks needs."""
    most = most_needs(plan.by_name[name] for name in element[3])
    return {"num_cpus": most.cpus, "num_gpus": most.gpus, "memory": most.memory_bytes}


def _lost(ray: Any, waiting: Any) -> str:
    try:
        ray.get(waiting)
    except ray.exceptions.RayError as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return ""
