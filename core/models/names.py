"""The names of a model: TransformerLens' short ones and its repository on the hub."""

import ast
import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from core.hub import cache as hub_cache

_TABLES = ("OFFICIAL_MODEL_NAMES", "MODEL_ALIASES")


@cache
def aliases() -> dict[str, str]:
    """Map every name TransformerLens knows, in lower case, to the repository on the hub.

    The map is empty if TransformerLens is not installed.
    """
    spec = importlib.util.find_spec("transformer_lens")  # does not import it
    places = spec.submodule_search_locations if spec else None
    path = Path(places[0], "supported_models.py") if places else None
    if path is None or not path.is_file():
        return {}
    tables = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id in _TABLES:
            tables[target.id] = ast.literal_eval(node.value)
    known = {name.lower(): name for name in tables.get(_TABLES[0], [])}
    return known | {alias.lower(): name for name, others in tables.get(_TABLES[1], {}).items() for alias in others}


def repository(name: str) -> str | None:
    """Return the hub repository of a model's name. An unknown name of the form USER/REPO is its own repository."""
    known = aliases().get(name.lower())
    if known is not None:
        return known
    return name if "/" in name and hub_cache.is_repository(name) else None


def same_model(one: str, other: str) -> bool:
    """Whether two names belong to the same model; the part before the slash may be missing."""
    if one == other:
        return True
    mine, theirs = aliases().get(one.lower()), aliases().get(other.lower())
    return mine is not None and mine == theirs


def own_names(folder: Path) -> list[str]:
    """Return what a model's folder is called: by the config of a folder in TransformerLens' names, or by its path."""
    said = _config(folder).get("model_name")
    if isinstance(said, str):
        return [said]
    return list(filter(None, (folder.resolve().name, folder.name, snapshot_name(folder))))


def snapshot_name(folder: Path) -> str | None:
    """Return the repository of a folder in a hub's cache (models--ORG--NAME/snapshots/COMMIT); None for another."""
    for part in reversed(folder.absolute().parts):
        match = re.fullmatch(r"models--([\w.-]+?)(?:--([\w.-]+))?", part)
        if match:
            return "/".join(filter(None, match.groups()))
    return None


def name_in_config(folder: Path) -> str | None:
    """Return the model that a config in Hugging Face's layout says it was saved from; None where it says none."""
    said = _config(folder).get("_name_or_path")
    return said if isinstance(said, str) and said else None


def same_bare_name(one: str, other: str) -> bool:
    """Whether two names belong to the same model, where one of them may lack its owner (before the slash)."""
    if same_model(one, other):
        return True
    bare = [name.lower().rpartition("/")[2] for name in (one, other)]
    return bare[0] == bare[1] and not ("/" in one and "/" in other)


def _config(folder: Path) -> dict[str, Any]:
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
