"""Build the wheel: all that the app needs lies below one package, sae_loupe, and imports say so.

In the repository, core/, ui/ and pages/ stand on top and call each other `core` and `ui`. Those names are too common
for an installed environment, and a notebook must keep its own `core`. So the copy that is built says `sae_loupe.core`.
Lines keep their numbers. Nothing else in the code differs.
"""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

EXTRAS = {"pictures": ("vl-convert-python",)}
"""What can be left out, for 84 MB less. sae-lens itself needs most of what else looks optional."""
ROOT = Path(__file__).resolve().parent
PACKAGE = "sae_loupe"
CODE = ("core", "ui", "pages")
DATA = ("demo/README.md", "demo/dashboards", "demo/dictionaries", "demo/model")


def shipped(root: Path = ROOT) -> Iterator[tuple[Path, Path]]:
    """Give every file that the wheel holds: where it lies in the repository, and where below the package."""
    for path in (root / "app.py", root / ".streamlit" / "config.toml"):
        yield path, Path("server") / path.relative_to(root)  # alone: Streamlit puts this folder on the path
    for path in _files(root / PACKAGE):
        yield path, path.relative_to(root / PACKAGE)
    for place in (*CODE, *DATA):
        for path in _files(root / place):
            yield path, path.relative_to(root)


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def below_package(source: str) -> str:
    """Return a file's text with every import of core, ui or pages taken from the package instead."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _ours(node.module):
            rest = _rest(lines, node)
            assert re.match(r"from \w", rest), f"line {node.lineno} is no plain import: {rest}"
            _replace(lines, node, f"from {PACKAGE}.{rest.removeprefix('from ')}")
        elif isinstance(node, ast.Import) and any(_ours(alias.name) for alias in node.names):
            assert node.lineno == node.end_lineno, f"an import goes on after line {node.lineno}"
            end = lines[node.lineno - 1].encode()[node.end_col_offset :].decode()
            _replace(lines, node, "; ".join(_import(alias) for alias in node.names) + end)
    return "".join(lines)


def _ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] in CODE


def _import(alias: ast.alias) -> str:
    if not _ours(alias.name):
        return f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
    if alias.asname:
        return f"import {PACKAGE}.{alias.name} as {alias.asname}"
    top = f"from {PACKAGE} import {alias.name.partition('.')[0]}"  # `import ui.shell` makes the name `ui`
    return top if "." not in alias.name else f"import {PACKAGE}.{alias.name}; {top}"


def _rest(lines: list[str], node: ast.stmt) -> str:
    return lines[node.lineno - 1].encode()[node.col_offset :].decode()  # columns count bytes


def _replace(lines: list[str], node: ast.stmt, text: str) -> None:
    lines[node.lineno - 1] = lines[node.lineno - 1].encode()[: node.col_offset].decode() + text


def requirements(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """Part the pins of requirements.txt into those that everybody needs and those of each extra."""
    pins = {line.partition("==")[0]: line for line in text.split()}
    extras = {extra: [pins.pop(name) for name in names] for extra, names in EXTRAS.items()}
    return list(pins.values()), extras


class BelowOnePackage(build_py):
    """Copy what is shipped. An editable install changes nothing: it puts the repository on the path."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        target = Path(self.build_lib) / PACKAGE
        shutil.rmtree(target, ignore_errors=True)  # what an older build left would be shipped too
        for source, name in shipped():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".py":
                path.write_text(below_package(source.read_text(encoding="utf-8")), encoding="utf-8")
            else:
                shutil.copyfile(source, path)

    def get_source_files(self) -> list[str]:
        """What a source distribution must hold to build the same wheel."""
        return [*super().get_source_files(), *(str(path.relative_to(ROOT)) for path, _ in shipped())]


if __name__ == "__main__":
    needed, extras = requirements((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    setup(cmdclass={"build_py": BelowOnePackage}, install_requires=needed, extras_require=extras)
