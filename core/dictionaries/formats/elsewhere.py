"""Says what a folder without a known dictionary holds, and where to look instead."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from core.dictionaries.formats.stored import read_stored
from core.errors import BadDictionaryError

_LAYOUTS = (
    (r"W_(enc|dec)_\d+\.safetensors", "a cross-layer transcoder without W_enc_0 and W_dec_0"),
    (r"hyperparams\.json", "a dictionary of Llama Scope without checkpoints/final.safetensors"),
    (r"(lm_config|sae_config)\.json", "a dictionary of Llamascopium without sae_weights.safetensors"),
    (r"adapter_config\.json|pytorch_model.*\.bin|model-\d+-of-\d+\.safetensors", "a language model"),
)
"""Files that identify layouts which this app does not read, with the name of each layout."""
WEIGHT_FILES = (".safetensors", ".npz", ".pt", ".pth")
MOST_INSIDE = 400
"""Dictionaries, and folders looked into, of a folder that holds many."""
_MOST_LISTED, _DEEPEST = 2_000, 4


def tensors_in(path: Path) -> str:
    """Say which tensors a file of weights holds, or why it cannot be read as one."""
    if path.suffix not in (".pt", ".pth", ".npz", ".safetensors"):
        return ""
    try:
        names = sorted(read_stored(path).arrays)
    except BadDictionaryError as error:
        return f" ({str(error)[:300]})"
    return f" It holds the tensors {', '.join(names)[:300] or '(none)'}."


def hint(folder: Path) -> str:
    """Say what a folder holds instead of a dictionary: single files, folders with dictionaries, or a known layout."""
    with suppress(OSError):
        there = sorted(islice(folder.iterdir(), _MOST_LISTED))
        names = [path.name for path in there]
        for pattern, what in _LAYOUTS:
            if any(re.fullmatch(pattern, name) for name in names):
                return f" It looks like {what}."
        single = [p.name for p in there if p.suffix in (".pt", ".pth", ".npz", ".safetensors") and p.is_file()][:3]
        if single:
            return f" It holds {', '.join(single)}: name that file itself."
        # Only files that may be read: a link may lead outside.
        inside = [p.name for p in there if p.is_dir() and not p.is_symlink() and _has_weights(p)][:3]
        if inside:
            return f" Its folders {', '.join(inside)} hold weights: name one of them."
    return ""


def _has_weights(folder: Path) -> bool:
    with suppress(OSError):
        return any(p.suffix in (".pt", ".npz", ".safetensors") for p in islice(folder.iterdir(), _MOST_LISTED))
    return False


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below it, each before what it holds, with the names of their files."""
    for n, (path, folders, names) in enumerate(os.walk(folder)):
        here = Path(path)
        if n == MOST_INSIDE:
            return
        folders[:] = sorted(folders) if len(here.parts) - len(folder.parts) < _DEEPEST else []
        yield here, sorted(names)


def by_number(path: Path) -> tuple[tuple[str, int], ...]:
    """Return a key that sorts layer_2 before layer_10."""
    return tuple((text, int(part or 0)) for text, part in re.findall(r"(\D*)(\d{0,18})", path.as_posix()))
