"""Which share of features returns when one thing changes: seed, data, type, k, width or layer (core.stability)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import entries, open_dictionary
from core.matching.pairs import THRESHOLD
from core.stability.factors import factor_table
from core.workspace import Workspace
from demo.experiments.plan import Plan


@dataclass(frozen=True)
class Asked:
    """A question whose answer is kept while its inputs stay the same."""

    name: str
    inputs: Any
    compute: Callable[[], list[dict[str, Any]]]


def asked_of_shipped(ids: Sequence[str], workspace: Workspace) -> Asked:
    """Ask it of dictionaries that are there, by the labels that they differ in."""
    labels = {entry.id: dict(entry.labels) for entry in entries(workspace) if entry.id in ids}
    opened = {id: open_dictionary(id, workspace) for id in labels}
    inputs = {"threshold": THRESHOLD, "dictionaries": {id: one.sha256 for id, one in opened.items()}}

    def compute() -> list[dict[str, Any]]:
        table = factor_table(list(opened.values()), [id.rpartition("/")[2] for id in opened], list(labels.values()))
        names = {"match_factor": "factor", "factor_change": "change", "matched_from": "of", "matched_to": "in"}
        names |= {"matching_ratio": "share", "random_ratio": "chance"}
        return [rounded(row) for row in table.rename(columns=names).to_dict("records")]

    return Asked("shipped", inputs, compute)


def asked_of_trained(plan: Plan, open_run: Callable[[str], list[Dictionary]]) -> Asked:
    """Ask it of pairs of runs, seed by seed, and of the seeds of each of these runs."""
    names = list(dict.fromkeys(name for _, *pair in plan.changes for name in pair))
    inputs = {"threshold": THRESHOLD, "changes": [list(change) for change in plan.changes]}
    inputs["runs"] = {name: plan.inputs(plan.training(name)) for name in names}

    def compute() -> list[dict[str, Any]]:
        opened = {name: open_run(name) for name in names}
        return [rounded(row) for row in _trained_rows(plan, opened)]

    return Asked("trained", inputs, compute)


def _trained_rows(plan: Plan, opened: dict[str, list[Dictionary]]) -> Iterator[dict[str, Any]]:
    import numpy as np

    from core.stability.returning import stability

    def row(factor: str, of: str, of_seed: int, to: str, to_seed: int) -> dict[str, Any]:
        ends = (opened[name][plan.seeds.index(seed)] for name, seed in ((of, of_seed), (to, to_seed)))
        a, b = ends
        found = stability(a, [b]).returns[0]
        said = {"factor": factor, "of": of, "in": to, "of_seed": of_seed, "in_seed": to_seed}
        return said | {"share": found.share, "chance": float(np.nanmean(found.chance))}

    for name in opened:
        for one, other in permutations(plan.seeds, 2):
            yield row("seed", name, one, name, other)
    for factor, *pair in plan.changes:
        for of, to in permutations(pair, 2):
            for seed in plan.seeds:
                yield row(factor, of, seed, to, seed)


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its numbers to five digits after the point."""
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()}
