"""Where dictionaries come from: one module per source, found by name.

A source module offers `NAME`, `TITLE`, `entries(workspace)` and `open(key, workspace, ...)`. A
dictionary's id is `<source>/<key>`; it is what the URL holds. A new source is one new file here.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

from core.dictionary import Dictionary
from core.errors import UnknownNameError
from core.workspace import Workspace


@dataclass(frozen=True)
class Entry:
    """One dictionary on offer, known without reading its weights."""

    id: str
    title: str
    hook_name: str | None = None
    kind: str | None = None
    d_sae: int | None = None
    labels: Mapping[str, str | int] = field(default_factory=dict)
    nbytes: int | None = None
    """Size on disk, for a cost before loading."""


@cache
def sources() -> dict[str, ModuleType]:
    """Return the source modules of this package by name."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def entries(workspace: Workspace) -> list[Entry]:
    """Return every dictionary that the sources list, pinned folders first."""
    listed = [entry for module in sources().values() for entry in module.entries(workspace)]
    return sorted(listed, key=lambda entry: not entry.id.startswith("folder/"))


def open_dictionary(id: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open the dictionary with an id such as 'demo/layer0-standard-2048' or 'folder/PATH'.

    Raises a LoupeError that says what is wrong with the id or with the files behind it.
    """
    source, _, key = id.partition("/")
    if source not in sources() or not key:
        known = [entry.id for entry in entries(workspace)]
        raise UnknownNameError("dictionary", id, known)
    return sources()[source].open(key, workspace, fold_decoder_norms=fold_decoder_norms)
