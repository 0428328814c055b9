"""Dictionaries in any folder of any hub repository: hub/USER/REPO/FOLDER[@REVISION][#NAME=VALUE&...].

The files are those of one commit; what they hold is found out by the readers of local folders, and what follows the #
means what it means there.
"""

from pathlib import Path

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.formats import Place, llama_scope
from core.dictionaries.origin import Origin
from core.dictionaries.sources import Entry, Located, check_open
from core.dictionaries.sources.folder import read_place, readable, split_settings
from core.errors import HubNotFoundError, NotDownloadedError
from core.files.npz import unpacked_bytes
from core.hub import cache, client
from core.hub import download as hub_download
from core.hub.cache import HubFolder
from core.hub.download import Cost
from core.work.progress import SILENT, Progress
from core.workspace import Workspace

NAME = "hub"
TITLE = "Hub repository"
WEIGHTS = (".safetensors", ".npz", ".pt", ".pth")
ABOUT = (".json", ".yaml", ".yml")
_NOT_WEIGHTS = ("optimizer", "training_args", "scheduler")


def entries(workspace: Workspace) -> list[Entry]:
    """List nothing: a repository is named by typing it."""
    return []


def parse(key: str) -> HubFolder:
    """Read USER/REPO/FOLDER[@REVISION][#...]; the folder may be empty, several deep, or one file.

    Raises HubNotFoundError where no repository is named.
    """
    text, _ = split_settings(key)
    path, at, revision = text.rpartition("@")
    if not at or not cache.is_revision(revision):
        path, revision = text, cache.MAIN
    user, _, rest = path.partition("/")
    repository, _, folder = rest.partition("/")
    if not user or not repository:
        raise HubNotFoundError(
            f"{key[:200]!r} names no hub repository. Expected USER/REPO/FOLDER, such as "
            "jbloom/GPT2-Small-SAEs-Reformatted/blocks.8.hook_resid_pre; add what is missing."
        )
    return HubFolder(f"{user}/{repository}", folder.rstrip("/"), revision)


def open(key: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open a downloaded folder; raise NotDownloadedError if it is not in the cache."""
    located, folder = find(key, workspace), parse(key)
    with readable(Path(str(folder))):
        place = Place(local_path(folder))
    return read_place(
        place,
        id=located.id,
        title=str(folder),
        settings=split_settings(key)[1],
        fold_decoder_norms=fold_decoder_norms,
        origin=Origin(labels={"repository": folder.repository, "revision": located.stamp[:12]}),
    )


def find(key: str, workspace: Workspace) -> Located:
    """Say which revision of a folder is in the cache and how large it is. No request is made.

    Raises NotDownloadedError if none is, HubNotFoundError as `parse`, ClosedInPublicError.
    """
    folder = parse(key)
    check_open(f"{NAME}/{key}", workspace, folder.repository)
    with readable(Path(str(folder))):
        place = local_path(folder)
        if place is None:
            raise NotDownloadedError("dictionary", f"{NAME}/{key}")
        files = [place] if place.is_file() else _weights_in(place)
        sizes = [unpacked_bytes(path) if path.suffix == ".npz" else path.stat().st_size for path in files]
        return Located(f"{NAME}/{key}", cache.commit_of(folder.repository, folder.revision) or "", sum(sizes))


def local_path(folder: HubFolder) -> Path | None:
    """Return where a downloaded folder or file lies, None if it is not in the cache. No request is made."""
    snapshot = cache.snapshot(folder.repository, folder.revision)
    place = snapshot / folder.path if snapshot else None
    if place is None or not (place.is_file() or place.is_dir()):
        return None
    return place if place.is_file() or _weights_in(place) else None


def _weights_in(folder: Path) -> list[Path]:
    published = folder / llama_scope.PUBLISHED_WEIGHTS
    there = [path for path in folder.iterdir() if path.suffix in WEIGHTS]
    return there + ([published] if published.is_file() else [])


def repository(key: str) -> str:
    """Return the repository that a key names. Raises HubNotFoundError as `parse`."""
    return parse(key).repository


def cost(key: str) -> Cost:
    """Ask the hub what downloading a folder would fetch. Raises HubError, HubNotFoundError without weights."""
    folder = parse(key)
    client.check_reachable()
    if folder.path.endswith(WEIGHTS):
        needed = [folder.path]
    else:
        listed = [path for path, _ in client.list_folder(folder)]
        published = [path for path in listed if path.rpartition("/")[2] == llama_scope.PUBLISHED]
        listed += [path.removesuffix(llama_scope.PUBLISHED) + llama_scope.PUBLISHED_WEIGHTS for path in published]
        needed = wanted(listed)
        if not any(path.endswith(WEIGHTS) for path in needed):
            raise HubNotFoundError(
                f"{folder} holds no weights (found: {', '.join(listed)[:200] or 'no files'}). Expected a file that "
                f"ends in {', '.join(WEIGHTS)}; name the folder that directly contains it."
            )
    # Some formats keep the model's name one folder up.
    above = folder.path.rpartition("/")[0]
    optional = [f"{above}/config.json" if above else "config.json"] if folder.path else []
    return hub_download.cost(folder.repository, folder.revision, needed, [p for p in optional if p not in needed])


def wanted(paths: list[str]) -> list[str]:
    """Choose from the files of a folder those that a dictionary may be made of."""
    names = {path.rpartition("/")[2]: path for path in paths}
    if {"cfg.json", "sae_weights.safetensors"} <= names.keys():
        ours = ("cfg.json", "sae_weights.safetensors", "sparsity.safetensors")
        return [names[name] for name in ours if name in names]
    useful = (path for name, path in names.items() if not name.startswith(_NOT_WEIGHTS))
    return [path for path in useful if path.endswith(WEIGHTS + ABOUT)]


def download(key: str, progress: Progress = SILENT) -> None:
    """Download a folder into the cache."""
    hub_download.download(cost(key), parse(key).revision, progress)
