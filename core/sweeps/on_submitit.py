"""Elements of a sweep as jobs of SLURM, or as processes of this machine, by submitit."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import SweepError
from core.sweeps.elements import Element, Submitted, do_element, most_needs
from core.sweeps.plan import Plan

_SPARE, _LEAST_MINUTES = 4, 30
"""Jobs may take four times as long as the cost model says, and half an hour in any case."""


@dataclass(frozen=True)
class Restarted:
    """An element that SLURM may interrupt and start again; what is done is skipped then."""

    do: Callable[[Element], None]

    def __call__(self, element: Element) -> None:
        self.do(element)

    def checkpoint(self, element: Element) -> Any:
        """Return what submitit starts again: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, element)


def submitted(
    plan: Plan,
    folder: Path,
    cluster: str | None,
    parameters: Mapping[str, Any],
    *,
    do: Callable[[Element], None] = do_element,
) -> Submitted:
    """Return what has elements done as one array of jobs and waits for it.

    `folder` holds submitit's own files and must be seen by all machines. `cluster` is slurm, local, debug or None for
    what is there; `parameters` are those of submitit, such as timeout_min or slurm_partition. Raises SweepError.
    """
    try:
        import submitit
    except ImportError as error:
        raise SweepError(
            "submitit is not installed. Expected it for `--submitit`: `pip install -r requirements-sweep.txt`"
        ) from error

    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**(needed(plan) | dict(parameters)))
    except (ValueError, NameError, RuntimeError, TypeError) as error:
        raise SweepError(
            f"submitit cannot be used so: {str(error)[:300]}. Correct `--submitit` or its options."
        ) from error

    def submit(elements: Sequence[Element]) -> list[str]:
        with executor.batch():
            jobs = [executor.submit(Restarted(do), element) for element in elements]
        return [_lost(job) for job in jobs]

    return submit


def needed(plan: Plan) -> dict[str, int]:
    """Return what to ask of the scheduler where the person says nothing: what suffices for each task of a plan."""
    most = most_needs(plan.tasks)
    minutes = max(_LEAST_MINUTES, math.ceil(_SPARE * most.seconds / 60))
    asked = {"cpus_per_task": most.cpus, "mem_gb": 2 + math.ceil(most.memory_bytes / 2**30), "timeout_min": minutes}
    return asked | ({"gpus_per_node": most.gpus} if most.gpus else {})


def _lost(job: Any) -> str:
    """Wait for a job, and say why it was lost; empty where it was not."""
    error = job.exception()
    return "" if error is None else f"{type(error).__name__}: {str(error)[:300]}"
