"""The token passes of a plan: which of them one run of a model feeds, and into which parts they are cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int

from core.activations.shards import PassPart, shards
from core.activations.token_pass import pass_device
from core.corpus.streams import rows_sha256
from core.devices.device import Device
from core.sweeps.analyses import Subject
from core.sweeps.cost import FLOAT, Needs, Sizes, together
from core.sweeps.plan import Task
from core.work.artifacts import artifact_key

_VERSION = 1
"""Of the names of parts that several dictionaries share."""


@dataclass(frozen=True)
class _Pass:
    """The pass of one dictionary, as the task that it would be alone."""

    whole: Task
    dictionary_sha256: str
    sizes: Sizes


@dataclass
class _Run:
    """Passes that read the very same rows with the very same model on the same device."""

    model_sha256: str
    rows: Int[np.ndarray, "row pos"]
    left_out: tuple[int, ...]
    device: Device
    passes: list[_Pass] = field(default_factory=list)


@dataclass
class Passes:
    """Collects passes while dictionaries are opened one after the other."""

    runs: dict[tuple, _Run] = field(default_factory=dict)

    def add(self, whole: Task, subject: Subject, sizes: Sizes) -> None:
        """Add the pass of a dictionary, given as one task."""
        sample, model = subject.sample, subject.model
        device = pass_device(subject.dictionary, sample.rows, subject.device)
        same = whole.text, model.sha256, rows_sha256(sample.rows), sample.left_out, device
        run = self.runs.setdefault(same, _Run(model.sha256, sample.rows, sample.left_out, device))
        run.passes.append(_Pass(whole, subject.dictionary.sha256, sizes))

    def tasks(self, tokens_per_task: int, together_gb: int) -> list[Task]:
        """Return all tasks: parts first of what is shared or long, then the tasks that merge them."""
        groups = [(run, passes) for run in self.runs.values() for passes in _groups(run.passes, together_gb)]
        return [task for run, passes in groups for task in _tasks(run, passes, tokens_per_task)]


def _groups(passes: Sequence[_Pass], together_gb: int) -> Iterator[list[_Pass]]:
    """Yield passes that run together: as many, in order, as have weights of so many GB; one in any case."""
    group, nbytes = [], 0
    for one in {one.dictionary_sha256: one for one in passes}.values():
        own = 2 * FLOAT * one.sizes.d_in * one.sizes.d_sae
        if group and nbytes + own > together_gb * 10**9:
            yield group
            group, nbytes = [], 0
        group.append(one)
        nbytes += own
    if group:
        yield group


def _tasks(run: _Run, passes: Sequence[_Pass], tokens_per_task: int) -> list[Task]:
    n = -(-run.rows.size // tokens_per_task)
    if len(passes) == 1 and n == 1:
        return [passes[0].whole]
    parts = [_part(run, passes, part) for part in shards(*run.rows.shape, n)]
    after = tuple(part.name for part in parts)
    return [*parts, *(replace(one.whole, after=after, needs=_merging(one.whole.needs)) for one in passes)]


def _part(run: _Run, passes: Sequence[_Pass], part: slice) -> Task:
    how = {"left_out": run.left_out, "device": run.device}
    rows = rows_sha256(run.rows[part])
    keys = tuple(PassPart.key(one.dictionary_sha256, run.model_sha256, rows, **how) for one in passes)
    first, tokens = passes[0].whole, (part.stop - part.start) * run.rows.shape[1]
    gpus = max(one.whole.needs.gpus for one in passes)
    return Task(
        keys[0] if len(keys) == 1 else artifact_key("passes-together", _VERSION, parts=" ".join(keys)),
        first.analysis,
        tuple(one.whole.ids[0] for one in passes),
        first.text,
        keys,
        rows=(part.start, part.stop),
        makes_for=tuple(one.whole.keys for one in passes),
        needs=together([replace(one.sizes, tokens=tokens) for one in passes], gpus=gpus),
    )


def _merging(need: Needs) -> Needs:
    """A merge adds whole numbers and sorts what is stored; its products are those of the parts."""
    return Needs(0.0, need.memory_bytes, 0, need.download_bytes, need.cpus, 0)
