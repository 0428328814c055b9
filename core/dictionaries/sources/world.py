"""Dictionaries whose truth is known: made for sae-lens' synthetic world (core.dictionaries.world_rows) when opened."""

from pathlib import Path

from core.dictionaries import world_rows
from core.dictionaries.config import NO_MODEL
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.origin import Origin
from core.dictionaries.parsing import parse_config
from core.dictionaries.sources import Entry
from core.dictionaries.world import D_IN
from core.errors import UnknownNameError
from core.workspace import Workspace

NAME = "world"
TITLE = "Known world"
HOOK = "world"
WIDTHS = {"narrow": 17, "wide": 52}
"""The dictionaries, and their numbers of features."""
NOTE = (
    "This dictionary was planted in a synthetic world, not trained on a language model, so the truth about each of its "
    "features is known. There is no model and no text: pages that need them say so. The page Ground truth shows "
    "what it really is beside what the pages say."
)


def entries(workspace: Workspace) -> list[Entry]:
    """List the planted dictionaries, the narrow one first."""
    return [
        Entry(
            id=f"{NAME}/{name}",
            title=f"Known world, {name}",
            hook_name=HOOK,
            model_name=NO_MODEL,
            kind="jumprelu",
            d_sae=d_sae,
            labels=_labels(name),
        )
        for name, d_sae in WIDTHS.items()
    ]


def open(key: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Make a dictionary of the world by its name; raise UnknownNameError for another name."""
    if key not in WIDTHS:
        raise UnknownNameError("dictionary", f"{NAME}/{key}", [f"{NAME}/{name}" for name in WIDTHS])
    raw = {
        "architecture": "jumprelu",
        "d_in": D_IN,
        "d_sae": WIDTHS[key],
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"model_name": NO_MODEL, "hook_name": HOOK},
    }
    return Dictionary(
        id=f"{NAME}/{key}",
        title=f"Known world, {key}",
        config=parse_config(raw, Path(NAME)),
        raw_config=raw,
        tensors=world_rows.planted(key).tensors,
        fold_decoder_norms=fold_decoder_norms,
        origin=Origin(labels=_labels(key), notes=(NOTE,)),
    )


def _labels(name: str) -> dict[str, str | int]:
    return {"type": "jumprelu", "width": WIDTHS[name], "seed": 0, "data": "synthetic world"}
