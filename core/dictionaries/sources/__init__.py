"""Where dictionaries come from: one module per source, found by name.

A source module offers `NAME`, `TITLE`, `entries(workspace)` and `open(key, workspace, ...)`, and, if
it is one that downloads, `repository(key)`, `cost(key)` and `download(key, progress)`. A dictionary's id is
`<source>/<key>`; it is what the URL holds. A new source is one new file here.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

from core.dictionaries.dictionary import Dictionary
from core.errors import UnknownNameError
from core.hub.download import Cost
from core.work.progress import SILENT, Progress
from core.workspace import Workspace, split_tail

PARTS = ("layer", "target", "side", "level", "features")
"""Settings behind an id that say what of the files is looked at."""


@dataclass(frozen=True)
class Entry:
    """One dictionary on offer, known without reading its weights."""

    id: str
    title: str
    hook_name: str | None = None
    model_name: str | None = None
    kind: str | None = None
    d_sae: int | None = None
    labels: Mapping[str, str | int] = field(default_factory=dict)
    nbytes: int | None = None
    """Size on disk, for a cost before loading."""


@dataclass(frozen=True)
class Located:
    """The place of a dictionary on this machine, known without reading its weights."""

    id: str
    stamp: str
    """Changes when another revision was downloaded."""
    nbytes: int
    """What the weights need in memory, about."""


@cache
def sources() -> dict[str, ModuleType]:
    """Return the source modules of this package by name."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def differ_in_seed(a: Entry, b: Entry) -> bool:
    """Say whether two listed dictionaries differ in the seed of their training alone."""
    one, other = dict(a.labels), dict(b.labels)
    seeds = one.pop("seed", None), other.pop("seed", None)
    place = a.hook_name, a.model_name, a.kind, a.d_sae, one
    return None not in seeds and seeds[0] != seeds[1] and place == (b.hook_name, b.model_name, b.kind, b.d_sae, other)


def entries(workspace: Workspace) -> list[Entry]:
    """Return every dictionary that the sources list, pinned folders first."""
    listed = [entry for module in sources().values() for entry in module.entries(workspace)]
    return sorted(listed, key=lambda entry: not entry.id.startswith("folder/"))


def check_open(id: str, workspace: Workspace, repository: str | None = None) -> None:
    """Raise ClosedInPublicError for an id that visitors of a public app may not open.

    Open are the listed ids and, of the hub, the repositories on the app's list; of each, any part of its files.
    """
    policy = workspace.policy
    if not policy.public:
        return
    asked, listed = _without_parts(id), {_without_parts(entry.id) for entry in entries(workspace)}
    if asked in listed:
        return
    if asked[1]:
        policy.check_settings(id)
    if repository is None:
        policy.check_path(id)
    else:
        policy.check_repository(repository)


def _without_parts(id: str) -> tuple[str, frozenset[str]]:
    """Return an id's part before the #, and the settings behind it that change how files are read."""
    path, tail = split_tail(id)
    return path, frozenset(pair for pair in tail.split("&") if pair and pair.partition("=")[0] not in PARTS)


def open_dictionary(id: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open the dictionary with an id such as 'demo/layer0-standard-2048' or 'folder/PATH'.

    Raises a LoupeError that says what is wrong with the id or with its files.
    """
    source, _, key = id.partition("/")
    if source not in sources() or not key:
        known = [entry.id for entry in entries(workspace)]
        raise UnknownNameError("dictionary", id, known)
    return sources()[source].open(key, workspace, fold_decoder_norms=fold_decoder_norms)


def repository(id: str) -> str:
    """Return the repository of the hub that a dictionary is downloaded from. Raises UnknownNameError for another id."""
    return _downloading(id).repository(id.partition("/")[2])


def cost(id: str) -> Cost:
    """Ask the hub what downloading a dictionary would fetch (makes requests; raises HubError)."""
    return _downloading(id).cost(id.partition("/")[2])


def download(id: str, progress: Progress = SILENT) -> None:
    """Download a dictionary into the cache, from where `open_dictionary` then opens it without a network."""
    _downloading(id).download(id.partition("/")[2], progress)


def _downloading(id: str) -> ModuleType:
    modules = {name: module for name, module in sources().items() if hasattr(module, "download")}
    source = id.partition("/")[0]
    if source not in modules:
        raise UnknownNameError("source that downloads", source, sorted(modules))
    return modules[source]
