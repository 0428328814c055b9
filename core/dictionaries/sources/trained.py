"""Dictionaries that were trained here: trained/RUN/seedN, each in the folder of its run (core.training.runs)."""

from contextlib import suppress
from pathlib import Path

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.formats import Place
from core.dictionaries.formats.sae_lens import WEIGHTS_FILE
from core.dictionaries.origin import Origin
from core.dictionaries.sources import Entry, check_open
from core.dictionaries.sources.folder import read_place, split_settings
from core.dictionaries.sources.folder_entries import labels_of, said_by
from core.errors import UnknownNameError
from core.workspace import Workspace

NAME = "trained"
TITLE = "Trained here"


def folders(workspace: Workspace) -> list[Path]:
    """Return the folders of finished dictionaries, run by run, the newest run first."""
    with suppress(OSError):
        found = [path.parent for path in workspace.runs.glob(f"*/seed*/{WEIGHTS_FILE}")]
        kept = [path for path in found if not path.parent.name.startswith(".")]
        return sorted(
            kept, key=lambda path: (-path.parent.stat().st_mtime, path.parent.name, len(path.name), path.name)
        )
    return []


def entries(workspace: Workspace) -> list[Entry]:
    """List what was trained, described by its config."""
    return [_entry(path) for path in folders(workspace)]


def _entry(path: Path) -> Entry:
    said = said_by(path)
    return Entry(
        id=f"{NAME}/{path.parent.name}/{path.name}",
        title=f"{path.parent.name} · {path.name.replace('seed', 'seed ')}",
        hook_name=said.hook_name,
        model_name=said.model_name,
        kind=said.kind,
        d_sae=said.d_sae,
        labels=labels_of(said, path),
        nbytes=(path / WEIGHTS_FILE).stat().st_size,
    )


def open(key: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open a trained dictionary by run and seed. Raises UnknownNameError for another name."""
    check_open(f"{NAME}/{key}", workspace)
    name, settings = split_settings(key)
    known = {f"{path.parent.name}/{path.name}": path for path in folders(workspace)}
    if name not in known:
        raise UnknownNameError("dictionary", f"{NAME}/{key}", [f"{NAME}/{one}" for one in known])
    entry = _entry(known[name])
    return read_place(
        Place(known[name]),
        id=f"{NAME}/{key}",
        title=entry.title,
        settings=settings,
        fold_decoder_norms=fold_decoder_norms,
        origin=Origin(labels=entry.labels),
    )
