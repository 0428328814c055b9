"""Who imports whom in the project's code, read from its files; imports inside functions count."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Import(NamedTuple):
    """A line of one module that takes a name (empty: the whole module) from another."""

    by: str
    of: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.by}:{self.line} imports {self.name or 'all'} of {self.of}"


def modules(root: Path, tops: tuple[str, ...]) -> dict[str, Path]:
    """Return the files below some folders by the dotted names of their modules."""
    found = (path for top in tops for path in (root / top).rglob("*.py"))
    return {dotted(path.relative_to(root)): path for path in sorted(found)}


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(files: Mapping[str, Path]) -> list[Import]:
    """Return all imports among these modules."""
    return [found for by, path in files.items() for found in _of_file(by, path, files)]


def _of_file(by: str, path: Path, files: Mapping[str, Path]) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(by, a.name, "", node.lineno) for a in node.names if a.name in files and a.name != by)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for a in node.names:
                whole = f"{node.module}.{a.name}"
                if whole in files and whole != by:
                    yield Import(by, whole, "", node.lineno)
                elif whole not in files and node.module in files:
                    yield Import(by, node.module, a.name, node.lineno)


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of two or more in which each reaches each along arrows."""

    def reached(start: str) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            for end in arrows.get(waiting.pop(), set()) - seen:
                seen.add(end)
                waiting.append(end)
        return seen

    reach = {start: reached(start) for start in arrows}
    groups = {frozenset([start, *(end for end in reach[start] if start in reach.get(end, ()))]) for start in reach}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def made_in(path: Path) -> set[str]:
    """Return the names that a module makes itself, and those it says it hands on (`__all__`)."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            found |= set(ast.literal_eval(node.value))
    return found
