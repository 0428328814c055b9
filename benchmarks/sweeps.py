"""Sweeps: what the cost model says against what was measured, overhead of executors, scaling.

python -m benchmarks.sweeps                      run the demo's sweep here, by submitit and by Ray, and simulate
python -m benchmarks.sweeps --tables             only print the tables of docs/scale.md
"""

import argparse
import heapq
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from core.amounts import of_bytes
from core.installation import PROJECT
from core.sweeps import on_ray, on_submitit
from core.sweeps.asked import parse_asked
from core.sweeps.cost import COSTS, Sizes, needs, together
from core.sweeps.documents import read_record
from core.sweeps.elements import run_elements
from core.sweeps.planning import make_plan
from core.sweeps.sweep import Sweep, place_at

D, D_VOCAB, N_TOKENS = 768, 50_257, 2**17
"""Of the cases in benchmarks/cases.py."""
MEASURED = {
    "moments and extreme tokens of logit weights": ("logit_weights", {"d_model": D, "d_vocab": D_VOCAB}),
    "exact 100 nearest": ("neighbors", {}),
    "20 nearest of two dictionaries": ("matching", {}),
    "token pass, the dictionary's side": ("activations", {"tokens": N_TOKENS}),
}
"""How docs/speed.json names what the cost model counts, with the sizes of those cases."""
WORKED = {
    "Gemma-2-2B, 1,048,576 features, a billion tokens": (
        Sizes(2304, 2**20, 2304, 2_614_341_888, 256_000, 1024, 10**9),
        1,
    ),
    "gemma-scope-2b-pt-res-canonical: 26 layers of 16,384 features, 100 million tokens each": (
        Sizes(2304, 16_384, 2304, 2_614_341_888, 256_000, 1024, 10**8),
        26,
    ),
}
"""Plans on one H100-like card a worker: sizes of a dictionary, and how many there are."""
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def measured_rates() -> list[tuple[str, str, int, float, float]]:
    """Return analysis, device, features, seconds and multiply-adds a second of each fitting line of docs/speed.json."""
    rows = []
    for line in json.loads((PROJECT / "docs" / "speed.json").read_text()):
        for words, (analysis, more) in MEASURED.items():
            if words in line["what"]:
                other = line["features"] if analysis == "matching" else 0
                need = needs(analysis, Sizes(D, line["features"], other=other, **more))
                rate = need.multiply_adds / line["seconds"]
                rows.append((analysis, line["device"], line["features"], line["seconds"], rate))
    return rows


def rates_table() -> str:
    """Return the cost model against docs/speed.json as Markdown."""
    head = "| analysis | on | features | measured | multiply-adds a second |\n|---|---|---|---|---|"
    rows = (
        f"| {name} | {device} | {features:,} | {seconds:.3g} s | {rate:.1e} |"
        for name, device, features, seconds, rate in measured_rates()
        if features in (24_576, 131_072)
    )
    return "\n".join([head, *rows])


def worked_table() -> str:
    """Return what the worked plans need, by analysis, as Markdown."""
    lines = ["| plan | analysis | multiply-adds | hours of one card | memory | stored |", "|---|---|---|---|---|---|"]
    for title, (sizes, n) in WORKED.items():
        for analysis in COSTS:
            pairs = analysis == "matching"
            times = n * (n - 1) // 2 if pairs else n
            if not times:
                continue
            whole = Sizes(**(vars(sizes) | {"other": sizes.d_sae if pairs else 0}))
            one = needs(analysis, whole, gpus=1)
            if analysis == "activations":  # all dictionaries from one run of the model
                one, times = together([whole] * n, gpus=1), 1
            lines.append(
                f"| {title} | {analysis} | {times * one.multiply_adds:.1e} | {times * one.seconds / 3600:,.2f} | "
                f"{of_bytes(one.memory_bytes)} | {of_bytes(times * one.stored_bytes)} |"
            )
    return "\n".join(lines)


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return how long tasks take on so many workers, the longest given out first."""
    ends = [0.0] * workers
    for one in sorted(seconds, reverse=True):
        heapq.heappush(ends, heapq.heappop(ends) + one)
    return max(ends)


def scaling(serial_s: float, parts: Sequence[float], rest: Sequence[float], overhead_s: float) -> list[dict]:
    """Return wall time and efficiency by workers: planning is serial, and the rest waits for all parts of passes."""
    rows = []
    alone = serial_s + sum(parts) + sum(rest)
    for workers in WORKERS:
        stages = (makespan([one + overhead_s for one in stage], workers) for stage in (parts, rest) if stage)
        wall = serial_s + sum(stages)
        rows.append({"workers": workers, "seconds": round(wall, 1), "efficiency": round(alone / wall / workers, 3)})
    return rows


def sweep_in(folder: Path, dictionaries: Sequence[str], analyses: Sequence[str], rows: int) -> tuple[Sweep, float]:
    """Plan the demo's sweep in a folder; return it with the seconds that planning took."""
    said = {"dictionaries": list(dictionaries), "analyses": list(analyses)}
    asked = parse_asked(said | {"text": [{"rows": rows}]}, folder, "benchmark")
    place = place_at(str(folder), folder)
    start = time.perf_counter()
    return Sweep.keep(make_plan(asked, folder, place.store), place), time.perf_counter() - start


def timed_run(sweep: Sweep, how: str, workers: int) -> tuple[float, list[float]]:
    """Run a sweep by an executor; return its wall time, and the seconds that its tasks took by their own records."""
    start = time.perf_counter()
    if how in ("warm-up", "here"):
        sweep.worker().run(sweep.plan.tasks)
    else:
        submit = (
            on_ray.submitted(sweep.plan, None, num_cpus=workers)
            if how == "ray"
            else on_submitit.submitted(sweep.plan, sweep.place.cache / "jobs", "local", {})
        )
        run_elements(sweep, sweep.plan.tasks, submit, lambda task, outcome, record: None, n=workers)
    wall_s = time.perf_counter() - start
    records = [read_record(sweep.place.documents, task.name) for task in sweep.plan.tasks]
    return wall_s, [one.seconds for one in records if one]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--rows", type=int, default=256, help="rows of text of a token pass")
    parser.add_argument("--copies", type=int, default=8, help="how often the simulation repeats the measured tasks")
    parser.add_argument("--dictionaries", nargs="+", default=["demo/layer2-standard-512", "demo/layer2-standard-1024"])
    parser.add_argument("--analyses", nargs="+", default=["activations", "logit_weights", "neighbors", "matching"])
    options = parser.parse_args()
    if options.tables:
        print(f"{rates_table()}\n\n{worked_table()}")
        return
    overhead, seconds, serial_s = {}, [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for how in ("warm-up", "here", "submitit", "ray"):
            sweep, planning_s = sweep_in(Path(folder) / how, options.dictionaries, options.analyses, options.rows)
            wall_s, work_s = timed_run(sweep, how, 1)
            overhead[how] = wall_s - sum(work_s)
            if how == "here":
                seconds, serial_s = work_s, planning_s
    del overhead["warm-up"]  # the first run compiles
    print(
        f"{len(seconds)} tasks, median {median(seconds):.2f} s, longest {max(seconds):.2f} s; planning {serial_s:.1f} s"
    )
    for how, extra in overhead.items():
        print(f"{how}: {extra:.2f} s outside of tasks, one worker and one element: {extra / 10:.0%} of a task of 10 s")
    many = scaling(serial_s, [], seconds * options.copies, overhead["submitit"])
    for row in many:
        print(f"{row['workers']:4d} workers: {row['seconds']:8.1f} s, efficiency {row['efficiency']:.0%}")
    said = {"threads": os.cpu_count(), "load": os.getloadavg()[0], "tasks_s": seconds, "planning_s": serial_s}
    print(json.dumps(said | {"overhead_s": overhead, "scaling": many}))


if __name__ == "__main__":
    main()
