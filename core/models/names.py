"""The names of a model: TransformerLens' short ones and its repository on the hub."""

import ast
import importlib.util
from functools import cache
from pathlib import Path

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
