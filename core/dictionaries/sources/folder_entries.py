"""Describes a person's own folders for lists: title, hook, width, model and labels, from their configs.

Weights are read only if the format's config says nothing, and only if they are small.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from core.dictionaries.config import DictionaryConfig
from core.dictionaries.formats import Place, Said, choose, inside
from core.dictionaries.formats.elsewhere import walk
from core.dictionaries.hooks import split_hook
from core.dictionaries.parsing import parse_config
from core.errors import LoupeError
from core.files.stamps import stamp

SMALL = 64 * 2**20
"""The most bytes of weights to read if no config describes them."""
_SEED = re.compile(r"seed[-_=]?(\d{1,9})(?!\d)", re.IGNORECASE)


def dictionaries_at(path: Path) -> tuple[Path, ...]:
    """Return the dictionaries that a named place stands for: itself, or those in the folders below it.

    It is remembered until something is added to one of the folders or taken away.
    """
    if not path.is_dir():
        return (path,)
    try:
        stamp = tuple(folder.stat().st_mtime_ns for folder, _ in walk(path))
    except OSError:
        return (path,)
    return _dictionaries_at(path, stamp)


@lru_cache(maxsize=64)
def _dictionaries_at(path: Path, stamp: tuple) -> tuple[Path, ...]:
    try:
        choose(Place(path))
    except (LoupeError, OSError):
        return tuple(inside(Place(path))) or (path,)
    return (path,)


def said_by(path: Path, settings: Mapping[str, str | int | bool] | None = None) -> Said:
    """Describe the files at a path, with `settings` made by hand. Errors show only when the files are opened.

    The result is remembered until a file of the folder changes.
    """
    folder = path if path.is_dir() else path.parent
    try:
        state = stamp([file for file in sorted(folder.iterdir())[:256] if file.is_file()])
    except OSError:
        return Said()
    return _said_by(path, tuple(sorted((settings or {}).items())), state)


@lru_cache(maxsize=256)
def _said_by(path: Path, settings: tuple[tuple[str, str | int | bool], ...], state: str) -> Said:
    place, by_hand = Place(path, settings=dict(settings)), dict(settings)
    try:
        module, _ = choose(place, by_hand.get("format"))
        said = module.said(place) if hasattr(module, "said") else Said()
        if said == Said() and sum(place.need(name).stat().st_size for name in module.files(place)) <= SMALL:
            contents = module.read(place)
            config = parse_config(
                contents.raw, path, config_file=contents.config_file, hook_needed=contents.hook_needed
            )
            said = read_from(config, contents.raw)
    except (LoupeError, OSError):
        return Said()
    names = {"hook_name": "hook_name", "model_name": "model_name", "k": "k", "architecture": "kind"}
    names |= {"features": "d_sae"}
    return replace(said, **{ours: by_hand[name] for name, ours in names.items() if name in by_hand})


def read_from(config: DictionaryConfig, raw: dict[str, Any]) -> Said:
    """Return the same of a config that was read with its weights."""
    metadata = raw.get("metadata")
    seed, data = ((metadata.get(name) if isinstance(metadata, dict) else None) for name in ("seed", "dataset_path"))
    return Said(
        kind=config.kind,
        d_sae=config.d_sae,
        hook_name=config.hook_name or None,
        model_name=config.model_name,
        k=config.k,
        seed=seed if type(seed) is int and seed >= 0 else None,
        data=data if isinstance(data, str) and len(data) <= 200 else None,
    )


def labels_of(said: Said, path: Path) -> dict[str, str | int]:
    """Return the known labels that distinguish a dictionary from similar ones. The path's name may hold a seed."""
    layer, point = split_hook(said.hook_name or "")
    named = _SEED.search("/".join(path.parts[-2:]))
    labels = {
        "type": said.kind,
        "width": said.d_sae,
        # As the series of layers names them: a residual stream is meant where nothing else is said.
        "layer": layer if layer is None or point == "hook_resid_pre" else f"{layer} {point.removeprefix('hook_')}",
        "k": said.k,
        "seed": said.seed if said.seed is not None or named is None else int(named[1]),
        "data": said.data,
        "model": said.model_name,
    }
    return {name: value for name, value in labels.items() if value is not None}


def labels_when_open(
    place: Place, module: ModuleType, config: DictionaryConfig, raw: dict[str, Any]
) -> dict[str, str | int]:
    """Return the labels of a dictionary that was read; its config counts, with what was set by hand."""
    read, said = read_from(config, raw), Said()
    with suppress(LoupeError):
        said = module.said(place) if hasattr(module, "said") else said
    both = {one.name: getattr(read, one.name) for one in fields(Said)}
    known = {name: getattr(said, name) if value is None else value for name, value in both.items()}
    return labels_of(Said(**known), place.path)


def titles(paths: Sequence[Path]) -> list[str]:
    """Return for each path its last parts, as many as tell it from every other."""
    return [_title(path, [other for other in paths if other != path]) for path in paths]


def _title(path: Path, others: Sequence[Path]) -> str:
    for n in range(1, len(path.parts)):
        if all(other.parts[-n:] != path.parts[-n:] for other in others):
            return "/".join(path.parts[-n:])
    return str(path)
