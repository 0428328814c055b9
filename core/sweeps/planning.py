"""From what a person asks to a plan: patterns become dictionaries, and these the tasks that make their results."""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path

from core.devices.device import CPU, Device, chosen, of_another_machine
from core.dictionaries.registry.index import registry
from core.dictionaries.sources import Entry, entries
from core.dictionaries.spaces import Space, space
from core.errors import LoupeError, NotDownloadedError, SweepError
from core.installation import PROJECT
from core.matching.matrix import factor_pairs, pair_key, without_implied_k
from core.sweeps.analyses import ANALYSES, Subject
from core.sweeps.asked import Asked, Series
from core.sweeps.cost import Needs, Sizes, needs
from core.sweeps.downloads import Prices
from core.sweeps.opened import Opened
from core.sweeps.passes import Passes
from core.sweeps.plan import Listed, Plan, Task
from core.work.artifacts import ArtifactStore, artifact_key
from core.work.progress import SILENT, Progress
from core.workspace import Workspace, split_tail

_LATER_VERSION = 1


@dataclass(frozen=True)
class Known:
    """What pairs need of a dictionary that is closed again."""

    listed: Listed
    space: Space
    sizes: Sizes


@dataclass
class _Draft:
    """A plan while it is made."""

    dictionaries: list[Listed] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    passes: Passes = field(default_factory=Passes)
    prices: Prices = field(default_factory=Prices)


def make_plan(asked: Asked, cache: Path, store: ArtifactStore, progress: Progress = SILENT) -> Plan:
    """Expand what is asked into tasks. Opens each dictionary once, and reads each text once for each tokenizer.

    A dictionary that cannot be opened is listed with the reason, and has no tasks. Raises SweepError where a pattern
    matches nothing, where all is refused, or where something is not downloaded and may not be.
    """
    device = planned_device(asked)
    workspace = workspace_of(asked, cache)
    opened = Opened(workspace, store, device)
    ids, draft = expand(asked, workspace), _Draft()
    for done, id in enumerate(ids):
        progress.note(f"Looking at {id}")
        progress.update(done, len(ids))
        _add(asked, opened, id, draft)
    draft.tasks += draft.passes.tasks(asked.tokens_per_task, asked.together_gb)
    missing = [one.id for one in draft.dictionaries if not one.sha256 and not one.refused]
    if missing and not asked.download:
        raise SweepError(
            f"{len(missing)} dictionaries are not on this machine, such as {missing[0]}. Expected all of them, or "
            "`download = true` in sweep.toml, with which workers download what they need."
        )
    if not draft.tasks and "matching" not in asked.analyses:
        raise _nothing(draft)
    apart = _add_pairs(draft, asked) if "matching" in asked.analyses else 0
    if not draft.tasks:
        raise _nothing(draft)
    return Plan(
        title=asked.name,
        dictionaries=tuple(draft.dictionaries),
        texts=asked.texts,
        tasks=tuple(sorted(_once(draft.tasks), key=lambda task: task.stage)),
        models=tuple(map(str, asked.models)),
        device=device.setting,
        card="" if device == CPU else device.name,
        dtype=asked.dtype,
        download=asked.download,
        apart=apart,
    )


def planned_device(asked: Asked) -> Device:
    """Return the device whose name is in the keys: that of this machine, or the card that is named."""
    if not asked.card:
        return chosen(asked.device)
    device = of_another_machine(asked.device, asked.card)
    if device is None:
        raise SweepError(
            f"sweep.toml names the card {asked.card[:80]!r} and device = {asked.device[:40]!r}. Expected device = "
            '"cuda", "cuda:N" or "mps" beside a card.'
        )
    return device


def workspace_of(asked: Asked, cache: Path) -> Workspace:
    """Return what planning may read: the folders asked for, and the models named."""
    pinned = tuple(Path(path) for pattern in asked.dictionaries for path, _ in _paths(pattern))
    for model in asked.models:
        if not (model / "config.json").is_file():
            raise SweepError(f"There is no model at {model}. Expected a folder with config.json; check `models`.")
    models = (*asked.models, PROJECT / "demo" / "model")
    return Workspace(cache=cache, pinned=pinned, models=models, device=asked.device, dtype=asked.dtype)


def expand(asked: Asked, workspace: Workspace) -> list[str]:
    """Return the ids that patterns and series mean, each once. Raises SweepError for one that matches nothing."""
    listed = entries(workspace)
    found: list[str] = []
    for pattern in asked.dictionaries:
        ids = _matching(pattern, listed)
        if not ids:
            raise SweepError(
                f"{pattern[:200]!r} matches no dictionary. Expected ids such as demo/layer2-*, registry/RELEASE/*, or "
                "the path of a folder; correct `dictionaries` in sweep.toml."
            )
        found += ids
    for series in asked.series:
        found += _series(series, listed)
    return list(dict.fromkeys(found))


def _matching(pattern: str, listed: Sequence[Entry]) -> list[str]:
    if pattern.startswith("folder/"):
        inside = {str(path): tail for path, tail in _paths(pattern)}
        return [
            f"{entry.id}#{tail}" if tail and "#" not in entry.id else entry.id
            for entry in listed
            for path, tail in inside.items()
            if entry.id.startswith("folder/") and Path(entry.id.removeprefix("folder/")).is_relative_to(path)
        ]
    if pattern.startswith("hub/"):
        return [pattern]
    if pattern.startswith("registry/"):
        path, hash, tail = pattern.partition("#")
        return [f"{item.id}{hash}{tail}" for item in registry().items if fnmatchcase(item.id, path)]
    return [entry.id for entry in listed if fnmatchcase(entry.id, pattern)]


def _paths(pattern: str) -> list[tuple[str, str]]:
    """Return the existing paths of a pattern for folders, with the settings behind the #."""
    if not pattern.startswith("folder/"):
        return []
    text = pattern.removeprefix("folder/")
    path, tail = (text, "") if Path(text).exists() else split_tail(text)
    return [(str(Path(found).resolve()), tail) for found in sorted(glob.glob(path))]


def _series(series: Series, listed: Sequence[Entry]) -> list[str]:
    """Return a listed dictionary, and all that differ from it in one factor alone."""
    own = next((entry for entry in listed if entry.id == series.of), None)
    others = [entry.id for entry in listed if own and _differ(own, entry) == [series.by]]
    if own is None or not others:
        raise SweepError(
            f"The series of {series.of[:200]!r} by {series.by} has no dictionaries. Expected a listed id from which "
            f"others differ in their {series.by} alone; correct [[series]] in sweep.toml."
        )
    return [own.id, *others]


def _differ(a: Entry, b: Entry) -> list[str]:
    """Return the one factor in which two dictionaries differ; empty where it is none or several."""
    return [factor for factor, _, _ in factor_pairs(without_implied_k([a.labels, b.labels]))]


def _add(asked: Asked, opened: Opened, id: str, draft: _Draft) -> None:
    """Open a dictionary and add it with its tasks."""
    try:
        subject = opened.subject(id)
    except NotDownloadedError:
        _add_later(asked, id, draft)
        return
    except (LoupeError, OSError) as error:
        draft.dictionaries.append(Listed(id, id, refused=str(error)))
        return
    dictionary, refused, tasks = subject.dictionary, [], []
    sizes = Sizes(dictionary.d_in, dictionary.d_sae)
    for name in asked.analyses:
        try:
            tasks += _tasks(name, asked, opened, id, draft)
        except (LoupeError, OSError) as error:
            if asked.download and isinstance(error, NotDownloadedError) and error.kind == "model":
                tasks += _later(name, asked, id, None)
                continue
            refused.append(f"{ANALYSES[name].title}: {error}")
    labels = dict(dictionary.origin.labels)
    words = " ".join(dict.fromkeys(refused))
    listed = Listed(id, dictionary.title, dictionary.sha256, labels, dictionary.W_dec.shape[1], words)
    draft.dictionaries.append(listed)
    draft.known.append(Known(listed, space(dictionary, "decoder"), sizes))
    draft.tasks += tasks


def _tasks(name: str, asked: Asked, opened: Opened, id: str, draft: _Draft) -> list[Task]:
    """Return the tasks of one analysis of one dictionary, for each text that it reads. Token passes are collected."""
    analysis = ANALYSES[name]
    if analysis.reads == "pair":
        return []
    texts = range(len(asked.texts)) if analysis.reads == "text" else (None,)
    tasks = []
    for text in texts:
        subject = opened.subject(id, None if text is None else asked.texts[text])
        tasks.append(_task(name, subject, id, text))
        if name == "activations":
            draft.passes.add(tasks.pop(), subject, sizes_of(subject, name))
    return tasks


def _task(name: str, subject: Subject, id: str, text: int | None) -> Task:
    keys = tuple(wanted.key for wanted in ANALYSES[name].wanted(subject))
    sizes = sizes_of(subject, name)
    gpus = int(subject.device != CPU and needs(name, sizes).multiply_adds >= 2**35)
    return Task(keys[0], name, (id,), text, keys, needs=needs(name, sizes, gpus=gpus))


def sizes_of(subject: Subject, analysis: str) -> Sizes:
    """Return what the cost of an analysis depends on."""
    dictionary = subject.dictionary
    if ANALYSES[analysis].reads == "weights":
        return Sizes(dictionary.d_in, dictionary.d_sae)
    model = subject.model
    n_params = model.config.get("n_params") or 0
    sizes = {"d_model": model.d_model, "n_params": n_params, "d_vocab": model.d_vocab, "n_ctx": model.n_ctx}
    tokens = subject.sample.rows.size if analysis == "activations" else 0
    return Sizes(dictionary.d_in, dictionary.d_sae, tokens=tokens, **sizes)


def _add_later(asked: Asked, id: str, draft: _Draft) -> None:
    """Add a dictionary that is still to be downloaded; list the reason for one that the hub does not give."""
    try:
        nbytes = draft.prices.missing(id) if asked.download else None
    except LoupeError as error:
        draft.dictionaries.append(Listed(id, id, refused=str(error)))
        return
    draft.dictionaries.append(Listed(id, id))
    draft.tasks += [task for name in asked.analyses for task in _later(name, asked, id, nbytes)]


def _later(name: str, asked: Asked, id: str, nbytes: int | None) -> list[Task]:
    """Return the tasks of an analysis that waits for a download of so many bytes. Their results get names then."""
    reads = ANALYSES[name].reads
    if reads == "pair":
        return []
    texts = {text: repr(asked.texts[text]) for text in range(len(asked.texts))} if reads == "text" else {None: ""}
    keys = {n: artifact_key("later", _LATER_VERSION, id=id, analysis=name, text=said) for n, said in texts.items()}
    return [Task(key, name, (id,), n, needs=Needs(download_bytes=nbytes)) for n, key in keys.items()]


def _add_pairs(draft: _Draft, asked: Asked) -> int:
    """Add the pairs in one space; return the number of those that have none."""
    apart = 0
    for a, b in combinations(draft.known, 2):
        if a.listed.sha256 == b.listed.sha256 or a.space != b.space:
            apart += 1
            continue
        key = pair_key(a.listed.sha256, b.listed.sha256, "decoder")
        sizes = Sizes(a.sizes.d_in, a.sizes.d_sae, other=b.sizes.d_sae)
        draft.tasks.append(
            Task(key, "matching", (a.listed.id, b.listed.id), None, (key,), needs=needs("matching", sizes))
        )
    return apart


def _once(tasks: Iterable[Task]) -> list[Task]:
    """Drop tasks that make what another makes: one dictionary under two ids, or one text asked for twice."""
    return list({task.name: task for task in reversed(list(tasks))}.values())[::-1]


def _nothing(draft: _Draft) -> SweepError:
    why = next((one.refused for one in draft.dictionaries if one.refused), "no two of them share a space")
    return SweepError(
        f"Nothing can be computed of the {len(draft.dictionaries)} dictionaries asked for. The first reason: {why}"
    )
