"""The dictionaries that come with the repository (trained by demo/train.py)."""

import json
from functools import cache

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.formats import Place
from core.dictionaries.formats.sae_lens import WEIGHTS_FILE
from core.dictionaries.origin import Origin
from core.dictionaries.sources import Entry, check_open
from core.dictionaries.sources.folder import read_place, split_settings
from core.errors import UnknownNameError
from core.installation import PROJECT
from core.workspace import Workspace

NAME = "demo"
TITLE = "Demo"
FOLDER = PROJECT / "demo" / "dictionaries"
MODEL_NAME = "loupe-demo"
"""Of the model in demo/model, which all of them read."""


@cache
def _index() -> dict[str, dict]:
    path = FOLDER / "index.json"
    return json.loads(path.read_text()) if path.exists() else {}


def entries(workspace: Workspace) -> list[Entry]:
    """List the demo dictionaries in the order of their index."""
    return [
        Entry(
            id=f"{NAME}/{name}",
            title=item["title"],
            hook_name=item["hook_name"],
            model_name=MODEL_NAME,
            kind=item["labels"]["type"],
            d_sae=item["labels"]["width"],
            labels=item["labels"],
            nbytes=(FOLDER / name / WEIGHTS_FILE).stat().st_size,
        )
        for name, item in _index().items()
        if (FOLDER / name / WEIGHTS_FILE).is_file()
    ]


def open(key: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open a demo dictionary by name; raise UnknownNameError for another name.

    Raises ClosedInPublicError for settings that a visitor of a public app writes.
    """
    name, settings = split_settings(key)
    if name not in _index():
        raise UnknownNameError("dictionary", f"{NAME}/{key}", [f"{NAME}/{name}" for name in _index()])
    check_open(f"{NAME}/{key}", workspace)
    item = _index()[name]
    return read_place(
        Place(FOLDER / name),
        id=f"{NAME}/{key}",
        title=item["title"],
        settings=settings,
        fold_decoder_norms=fold_decoder_norms,
        origin=Origin(labels=item["labels"], published=item["measured"]),
    )
