"""The subcommands of `sae-loupe`: one file for each, named as the word that a person types.

A file has a docstring, whose first line the help shows, and `main(arguments) -> int`, which returns the exit code.
It is imported only when its word is typed.
"""

import ast
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path


def names() -> list[str]:
    """Return the words that are subcommands."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def title(name: str) -> str:
    """Return the first line of a subcommand's docstring, without running its file."""
    source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def command(name: str) -> Callable[[Sequence[str]], int]:
    """Return what runs a subcommand."""
    return importlib.import_module(f"{__name__}.{name}").main
