"""The text the demo is trained on: the standard library and the sources of the requirements.

Everything is read where it is installed; none of it is copied into the repository.
"""

import ast
import hashlib
import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from core.corpus.streams import Document, read_documents

ROOT = Path(__file__).resolve().parents[1]
PACKAGE_CAP = 3_500_000
"""At most this many characters from one package, so that no single house style dominates."""


def requirement_closure() -> list[str]:
    """Return the distributions that requirements.txt brings, itself and what it needs."""
    todo = [Requirement(line).name for line in (ROOT / "requirements.txt").read_text().split()]
    seen: set[str] = set()
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in seen:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        seen.add(name)
        needed = (Requirement(need) for need in needs)
        todo += [req.name for req in needed if req.marker is None or req.marker.evaluate({"extra": ""})]
    return sorted(seen)


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def package_documents() -> list[Document]:
    """Return sources of the installed requirements, at most PACKAGE_CAP characters of each."""
    documents = []
    for distribution in requirement_closure():
        files = [Path(str(f.locate())) for f in metadata.files(distribution) or [] if f.suffix == ".py"]
        site = Path(str(metadata.distribution(distribution).locate_file("")))
        kept = set(python_files_of(site, files))
        budget = PACKAGE_CAP
        for document in read_documents(site, sorted(kept, key=lambda p: _order(p.relative_to(site).as_posix()))):
            # Generated tables (one line of a megabyte) teach a language model nothing.
            if len(document.text) > 300_000 or budget <= 0:
                continue
            budget -= len(document.text)
            documents.append(document)
    return documents


def python_files_of(site: Path, files: list[Path]) -> list[Path]:
    """Keep the files below `site` that are neither tests nor scripts installed elsewhere."""
    skip = {"test", "tests", "testing"}
    inside = (f for f in files if f.is_file() and f.is_relative_to(site))
    return [f for f in inside if not skip & set(f.relative_to(site).parts)]


def is_held_out(document: Document) -> bool:
    """Set 2 % of the documents apart by a hash of their name; no weight ever sees them."""
    return int(_order(document.name), 16) % 50 == 0


def docstrings(document: Document) -> str:
    """Return all docstrings of a Python source, blank-line separated; empty if it does not parse."""
    try:
        tree = ast.parse(document.text)
    except (SyntaxError, ValueError):
        return ""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return "\n\n".join(text for text in found if text)


def prose(documents: list[Document]) -> list[Document]:
    """Return the natural language in documents: help topics whole, of sources their docstrings."""
    result = []
    for document in documents:
        text = document.text if "topics.py#" in document.name else docstrings(document)
        if len(text) > 200:
            result.append(Document(document.name, text))
    return result
