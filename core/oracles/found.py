"""Find the oracles: the public functions of all files of this room, one for each statistic."""

import inspect
import pkgutil
from collections.abc import Callable, Container
from importlib import import_module
from pathlib import Path

Oracle = Callable[..., object]
_TOOLS = ("found", "directions", "encode", "inputs", "logits", "strings", "transformer", "__main__")
"""Files of this room that hold no oracles."""


def rooms() -> list[str]:
    """Return the names of the files with oracles."""
    return sorted(info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)]) if info.name not in _TOOLS)


def oracles_of(room: str) -> dict[str, Oracle]:
    """Return the oracles of one file by the statistics that they give."""
    module = import_module(f"{__package__}.{room}")
    functions = inspect.getmembers(module, inspect.isfunction)
    return {name: f for name, f in functions if f.__module__ == module.__name__ and not name.startswith("_")}


def all_oracles() -> dict[str, Oracle]:
    """Return all oracles by the statistics that they give; each statistic has at most one."""
    found: dict[str, Oracle] = {}
    for room in rooms():
        mine = oracles_of(room)
        assert not found.keys() & mine.keys(), f"{sorted(found.keys() & mine.keys())} have two oracles"
        found |= mine
    return found


def needs(oracle: Oracle, given: Container[str] = ()) -> list[str]:
    """Return the names of what an oracle is computed from; of what has a default, only what is given."""
    parameters = inspect.signature(oracle).parameters
    return [name for name, one in parameters.items() if one.default is one.empty or name in given]
