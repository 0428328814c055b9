"""Sweeps from the command line:   python -m core.sweeps plan | run | status | resume"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from core.amounts import of_bytes, of_seconds
from core.errors import BadSettingError, LoupeError
from core.installation import cache_folder
from core.sweeps import on_ray, on_submitit
from core.sweeps.asked import read_asked
from core.sweeps.documents import Record
from core.sweeps.elements import run_elements
from core.sweeps.plan import Plan, Task, choose, named
from core.sweeps.planning import make_plan
from core.sweeps.run import Outcome
from core.sweeps.state import progress_of, summary
from core.sweeps.sweep import COMMAND, Sweep, place_at
from core.sweeps.tables import task_table

COMMANDS = ("plan", "run", "status", "resume")


class Lines:
    """Progress on standard error: a line for each task, and on a terminal how far the present one is."""

    def __init__(self, total: int):
        self.total, self.done, self._text, self._shown = total, 0, "", 0.0
        self._live = sys.stderr.isatty()

    def note(self, text: str) -> None:
        self._text = text

    def update(self, done: int, total: int) -> None:
        if self._live and time.monotonic() - self._shown > 0.2:
            self._shown = time.monotonic()
            print(f"\r\033[K{self._text[:80]} {done / max(1, total):.0%}", end="", file=sys.stderr, flush=True)

    def told(self, task: Task, outcome: Outcome, said: Record | None) -> None:
        """Say what became of a task."""
        self.done += 1
        clear = "\r\033[K" if self._live else ""
        took = f" in {of_seconds(said.seconds)}" if said and outcome == "done" else ""
        why = f": {said.words}" if said and outcome == "failed" else ""
        about = f"{task.analysis} of {named(task.ids)}"
        print(f"{clear}[{self.done}/{self.total}] {outcome}{took}  {about}{why}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None, *, prog: str = COMMAND) -> int:
    """Run, and return the exit code: 0, 1 where tasks failed, 2 for bad input, 130 if interrupted."""
    options = _parser(prog).parse_args(arguments)
    try:
        return _run(options)
    except (LoupeError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What is done stays; `resume` goes on from there.", file=sys.stderr)
        return 130


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Many analyses of many dictionaries, planned as data and run anywhere.",
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("plan", nargs="?", help="a sweep.toml, or the name of a stored plan")
    parser.add_argument("--store", default="", help="where results go (default: what sweep.toml says, else --cache)")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="the app's folder of results")
    parser.add_argument("--task", metavar="I/N", help="do only every N-th task from the I-th on")
    parser.add_argument("--elements", type=int, help="deal the tasks to so many workers (default: one task each)")
    parser.add_argument("--ray", metavar="ADDRESS", help="run on a Ray cluster: its address, or auto; here: local")
    parser.add_argument("--submitit", metavar="CLUSTER", help="run as jobs by submitit: slurm, local or auto")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of submitit, such as timeout_min=240 or slurm_partition=gpu",
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.plan is None:
        if options.command != "status":
            raise BadSettingError(f"`{options.command}` needs a sweep.toml or the name of a plan. Add it.")
        return _all(options)
    sweep = _sweep(options)
    if options.command == "plan":
        _say(sweep)
    if options.command in ("plan", "status"):
        return _status(sweep)
    tasks = choose(sweep.plan, options.task) if options.task else list(sweep.plan.tasks)
    lines = Lines(len(tasks))
    counts = _executed(options, sweep, tasks, lines)
    print(", ".join(f"{n:,} {outcome}" for outcome, n in counts.items()))
    return 1 if counts["failed"] or any(one.refused for one in sweep.plan.dictionaries) else 0


def _executed(options: argparse.Namespace, sweep: Sweep, tasks: list[Task], lines: Lines) -> dict[Outcome, int]:
    """Do tasks here, or have them done by the workers that are named."""
    if options.elements is not None and options.elements < 1:
        raise BadSettingError(f"`--elements` is {options.elements}; expected a whole number from 1.")
    if options.ray and options.submitit:
        raise BadSettingError("`--ray` and `--submitit` are both given; expected one of them. Leave one out.")
    if options.ray:
        submit = on_ray.submitted(sweep.plan, None if options.ray == "local" else options.ray)
    elif options.submitit:
        cluster = None if options.submitit == "auto" else options.submitit
        folder = sweep.place.cache / "submitit"
        submit = on_submitit.submitted(sweep.plan, folder, cluster, dict(map(_option, options.option)))
    else:
        return sweep.worker(lines).run(tasks, lines.told)
    return run_elements(sweep, tasks, submit, lines.told, n=options.elements)


def _option(text: str) -> tuple[str, str | int]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier() and value):
        raise BadSettingError(f"`--option` {text[:80]!r} is no NAME=VALUE, such as timeout_min=240. Correct it.")
    return name, int(value) if value.isdecimal() else value


def _sweep(options: argparse.Namespace) -> Sweep:
    """Open a stored plan, or make one of a sweep.toml and store it."""
    cache = options.cache.resolve()
    path = Path(options.plan)
    if path.suffix != ".toml":
        return Sweep.stored(options.plan, place_at(options.store, cache, write=options.command != "status"))
    asked = read_asked(path)
    place = place_at(options.store or asked.store, cache)
    return Sweep.keep(make_plan(asked, cache, place.store, Lines(0)), place)


def _all(options: argparse.Namespace) -> int:
    place = place_at(options.store, options.cache.resolve(), write=False)
    for name, plan in place.plans():
        print(f"{name}  {plan.title}: {summary(progress_of(plan, place.store, place.documents))}")
    return 0


def _say(sweep: Sweep) -> None:
    """Print what a plan would cost."""
    plan = sweep.plan
    refused = [one for one in plan.dictionaries if one.refused]
    print(f"{plan.title}: {len(plan.tasks):,} tasks on {len(plan.dictionaries) - len(refused):,} dictionaries")
    for one in refused:
        print(f"refused: {one.id}: {one.refused}")
    if plan.apart:
        print(f"not compared: {plan.apart:,} pairs without a common space")
    print(f"work: {_work(plan)}")
    print(f"run it:     {sweep.command('run')}")
    print(f"one part:   {sweep.command('run')} --task 1/8")


def _work(plan: Plan) -> str:
    products = sum(task.needs.multiply_adds for task in plan.tasks)
    seconds = sum(task.needs.seconds for task in plan.tasks)
    memory = max(task.needs.memory_bytes for task in plan.tasks)
    stored = sum(task.needs.stored_bytes for task in plan.tasks)
    parts = [f"{products:.2g} multiply-adds", f"about {of_seconds(seconds)} on one processor or card"]
    parts += [f"at most {of_bytes(memory)} of memory", f"about {of_bytes(stored)} stored"]
    return ", ".join(parts) + _downloads(plan)


def _downloads(plan: Plan) -> str:
    """Say what is still to be downloaded, and that the work on it is not counted yet; empty where all is here."""
    missing = {one.id for one in plan.dictionaries if not one.sha256 and not one.refused}
    sizes = {task.ids[0]: task.needs.download_bytes for task in plan.tasks if task.ids[0] in missing}
    models = sum(not task.keys and task.ids[0] not in missing for task in plan.tasks)
    if not sizes and not models:
        return ""
    known = [size for size in sizes.values() if size is not None]
    parts = [f"{len(known):,} dictionaries of {of_bytes(sum(known))}"] if known else []
    parts += [f"{len(sizes) - len(known):,} dictionaries of unknown size"] if len(known) < len(sizes) else []
    parts += [f"models for {models:,} tasks"] if models else []
    return f"; to download, and without their work: {', '.join(parts)}"


def _status(sweep: Sweep) -> int:
    states = progress_of(sweep.plan, sweep.place.store, sweep.place.documents)
    print(f"{sweep.plan.name}: {summary(states)}")
    for row in task_table(sweep.plan, states).to_dict("records"):
        if row["sweep_state"] == "failed":
            print(f"failed: {row['sweep_analysis']} of {row['sweep_of']}: {row['sweep_words']}")
    return 1 if any(one.state == "failed" for one in states) else 0


if __name__ == "__main__":
    raise SystemExit(main())
