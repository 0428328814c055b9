"""Shared by all benchmarks: timing, peak memory, the floor of a matrix product, and the report."""

import dataclasses
import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np


@dataclass
class Record:
    """One measured job. Seconds are wall-clock; fields without a meaning for the job are None."""

    name: str
    size: str
    median_s: float
    floor_s: float | None = None
    """Seconds of the least work that any method must do, such as one bare matrix product, in the same run."""
    peer: str | None = None
    """Name of the method that the job is compared with; it says if only a part was measured and scaled."""
    peer_s: float | None = None
    peak_gb: float | None = None
    """Largest resident memory during the job minus that before it (without inputs, with results)."""
    max_error: float | None = None

    def as_json(self) -> dict:
        return dataclasses.asdict(self) | {
            "ratio_to_floor": self.median_s / self.floor_s if self.floor_s else None,
            "ratio_to_peer": self.peer_s / self.median_s if self.peer_s else None,
        }


def report(records: list[Record]) -> None:
    """Print one line for each record, and then all records as one line of JSON."""
    rows = [{k: round(v, 9) if isinstance(v, float) else v for k, v in record.as_json().items()} for record in records]
    for row in rows:
        print(f"{row['name']} ({row['size']}): {row['median_s']:.3g} s", end="")
        if row["floor_s"]:
            print(f", {row['ratio_to_floor']:.2f} x the floor of {row['floor_s']:.3g} s", end="")
        if row["peer_s"]:
            print(f", {row['ratio_to_peer']:.3g} x faster than {row['peer']} ({row['peer_s']:.4g} s)", end="")
        if row["peak_gb"] is not None:
            print(f", peak +{row['peak_gb']:.2f} GB", end="")
        print(f", max error {row['max_error']:.1e}" if row["max_error"] is not None else "")
    sys.stdout.flush()
    print(json.dumps(rows), flush=True)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median_seconds(jobs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of `repeats` runs of each job. Jobs take turns, so that a busy machine slows all alike.

    The caller must warm up.
    """
    rounds = [{name: seconds(job) for name, job in jobs.items()} for _ in range(repeats)]
    return {name: median(times[name] for times in rounds) for name in jobs}


def peak_gb(work: Callable[[], object]) -> float | None:
    """Run `work` and return the largest rise of resident memory in GB; None outside Linux."""
    gc.collect()
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # resets VmHWM
        before = _status_kb("VmRSS")
    except OSError:
        work()
        return None
    work()
    return (_status_kb("VmHWM") - before) * 1024 / 1e9


def _status_kb(name: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))


def product_backends(tall: np.ndarray, wide: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return warm calls that compute `wide @ tall.T` into one reused buffer, by backend.

    Backends: numpy, torch's default, and torch's "medium" precision, which is plain float32 on many processors. A
    backend with an error over 1e-5 is left out. Shapes: tall (n, d), wide (m, d).
    """
    import torch

    from core.work.torch_library import as_tensor

    out = np.empty((len(wide), len(tall)), np.float32)
    probe = wide[:8].astype(np.float64) @ tall[:512].T.astype(np.float64)
    a, b, o = as_tensor(wide), as_tensor(tall), torch.from_numpy(out)

    def with_torch(precision: str) -> None:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        torch.mm(a, b.T, out=o)
        torch.set_float32_matmul_precision(before)

    backends = {"numpy": lambda: np.matmul(wide, tall.T, out=out)}
    backends |= {f"torch {name}": partial(with_torch, name) for name in ("highest", "medium")}
    exact = {}
    for name, product in backends.items():
        product()
        if np.abs(out[:8, :512] - probe).max() < 1e-5 * np.abs(probe).max():
            exact[name] = product
    return exact
