"""The file of numbers: what each run gave, written after each of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.experiments.plan import Plan, Training
from demo.train_model import save_atomically

FILE = Path(__file__).with_name("numbers.json")


@dataclass(frozen=True)
class Numbers:
    """The file's content. `runs` holds a run's inputs and, by seed, what was measured of its dictionary."""

    runs: dict[str, Any]
    pairs: dict[str, Any]
    """Shares of features that return, by the question that they answer."""

    def of(self, plan: Plan, training: Training) -> list[Mapping[str, Any]] | None:
        """Return what was measured, one entry for each seed; None if there is none of these inputs."""
        found = self.runs.get(training.name)
        return found["seeds"] if found and found["inputs"] == plan.inputs(training) else None

    def missing(self, plan: Plan) -> list[Training]:
        """Return the runs of which there are no numbers."""
        return [training for training in plan.trainings() if self.of(plan, training) is None]


def read(path: Path = FILE) -> Numbers:
    """Read the file; empty if there is none."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return Numbers(held.get("runs", {}), held.get("pairs", {}))


def write(numbers: Numbers, path: Path = FILE) -> None:
    """Write the file as a whole, one line for each dictionary."""
    lines = ['{"runs": {']
    runs = [
        f'"{name}": {{"inputs": {json.dumps(run["inputs"])},\n"seeds": [\n'
        + ",\n".join(json.dumps(one) for one in run["seeds"])
        + "]}"
        for name, run in numbers.runs.items()
    ]
    pairs = [
        f'"{name}": {{"inputs": {json.dumps(found["inputs"])},\n"pairs": [\n'
        + ",\n".join(json.dumps(one) for one in found["pairs"])
        + "]}"
        for name, found in numbers.pairs.items()
    ]
    lines += [",\n".join(runs), '},\n"pairs": {', ",\n".join(pairs), "}}"]
    text = "\n".join(lines) + "\n"
    assert json.loads(text) == {"runs": numbers.runs, "pairs": numbers.pairs}
    save_atomically(path, lambda file: file.write(text.encode()))
