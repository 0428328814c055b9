"""Dictionaries of sae-lens' registry: searched by name, downloaded when asked, read by sae-lens' own loaders."""

from pathlib import Path

from core.dictionaries import prefix
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.origin import Origin
from core.dictionaries.parsing import not_applied, parse_config
from core.dictionaries.registry import loaders
from core.dictionaries.registry.index import RegistryItem, registry
from core.dictionaries.sources import Entry, Located, check_open
from core.dictionaries.sources.folder import split_settings, typed
from core.errors import NotDownloadedError, UnknownNameError
from core.files.npz import unpacked_bytes
from core.hub import cache
from core.hub import download as hub_download
from core.hub.download import Cost
from core.work.progress import SILENT, Progress
from core.workspace import Workspace

NAME = "registry"
TITLE = "Registry of sae-lens"
SETTINGS_HERE = ("level", "features")
"""What can stand behind an id; all else is said by the registry."""


def entries(workspace: Workspace) -> list[Entry]:
    """List nothing: the registry is searched (core.dictionaries.registry.index), as it holds thousands."""
    return []


def open(key: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open RELEASE/SAE_ID[#features=N] from the download cache; raise NotDownloadedError if it is not there."""
    located = find(key, workspace)
    item, settings = _parse(key)
    loaded = loaders.load(item)
    measured = {"l0": item.l0, "fve": item.variance_explained}
    raw, tensors, title = loaded.raw_config, loaded.tensors, f"{item.release} {item.sae_id}"
    config = whole = parse_config(raw, Path(item.id))
    n = prefix.number_asked(whole, settings, title)
    inferred, notes = ((), ()) if n is None else prefix.said_of(whole, n)
    if n is not None:
        raw, tensors = prefix.first_features(raw, tensors, whole, n)
        config, title = parse_config(raw, Path(item.id)), f"{title}#features={n}"
        measured = {}  # what is published is of all features
    return Dictionary(
        id=located.id,
        title=title,
        config=config,
        raw_config=raw,
        tensors=tensors,
        fold_decoder_norms=fold_decoder_norms,
        origin=Origin(
            labels=_labels(item),
            published={name: value for name, value in measured.items() if value is not None},
            notes=loaded.notes + not_applied(loaded.raw_config) + notes,
            format=item.conversion or "sae-lens",
            inferred=inferred,
            choices=prefix.choices(whole, n),
        ),
    )


def find(key: str, workspace: Workspace) -> Located:
    """Say which revision of an item is in the cache and how large it is. No request is made.

    Raises UnknownNameError for no item, NotDownloadedError for one that is not here, ClosedInPublicError.
    """
    item, settings = _parse(key)
    check_open(f"{NAME}/{key}", workspace, item.repository)
    tail = "&".join(f"{name}={value}" for name, value in settings.items())
    if not is_downloaded(item):
        raise NotDownloadedError("dictionary", item.id)
    needed, _ = loaders.wanted_files(item)
    files = [cache.cached_file(item.repository, path) for path in needed]
    sizes = (unpacked_bytes(path) if path.suffix == ".npz" else path.stat().st_size for path in files)
    return Located(item.id + (f"#{tail}" if tail else ""), cache.commit_of(item.repository) or "", sum(sizes))


def _parse(key: str) -> tuple[RegistryItem, dict[str, str | int | bool]]:
    """Return an item and the settings behind its id; raise UnknownNameError for one that only files take."""
    text, settings = split_settings(key)
    for name in settings:
        if name not in SETTINGS_HERE:
            raise UnknownNameError("setting of a dictionary in the registry", name, SETTINGS_HERE)
    return registry().parse(text), typed(settings)


def _labels(item: RegistryItem) -> dict[str, str | int]:
    commit = cache.commit_of(item.repository) or ""
    labels = {"release": item.release, "repository": item.repository, "revision": commit[:12]}
    return labels | ({"neuronpedia": item.neuronpedia} if item.neuronpedia else {})


def is_downloaded(item: RegistryItem) -> bool:
    """Whether all files that sae-lens needs of an item are in the cache. No request is made."""
    needed, _ = loaders.wanted_files(item)
    return all(cache.cached_file(item.repository, path) for path in needed)


def repository(key: str) -> str:
    """Return the repository that holds an item. Raises UnknownNameError for no item."""
    return _parse(key)[0].repository


def cost(key: str) -> Cost:
    """Ask the hub what downloading RELEASE/SAE_ID would fetch."""
    item, _ = _parse(key)
    needed, optional = loaders.wanted_files(item)
    return hub_download.cost(item.repository, cache.MAIN, needed, optional)


def download(key: str, progress: Progress = SILENT) -> None:
    """Download RELEASE/SAE_ID into the cache."""
    hub_download.download(cost(key), cache.MAIN, progress)
