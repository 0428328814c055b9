"""What the code imports is named in a requirements file, with the version that the tests ran with."""

import ast
import re
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("app.py", "pages", "ui", "core", "sae_loupe")
OURS = {"app", "benchmarks", "core", "demo", "pages", "sae_loupe", "setup", "tests", "ui"}

SWEEPS = {"fsspec", "ray", "s3fs", "submitit"}
"""What only sweeps beyond one machine need; everything else runs without."""


def pins(name: str) -> dict[str, str]:
    """Return what a requirements file pins, and what the files that it includes pin; names as pip compares them."""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("-r "):
            found |= pins(line[3:])
        else:
            distribution, exact, number = line.partition("==")
            assert exact, f"{name}: {line} is not pinned"
            found[normal(distribution.partition("[")[0])] = number
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def third_party(source: str) -> set[str]:
    """Return the top packages that a file imports anywhere, ours and Python's own left out."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return {name.split(".")[0] for name in names} - OURS - sys.stdlib_module_names


def imported(*places: str) -> set[str]:
    files = [path for place in places for path in ([ROOT / place] if "." in place else (ROOT / place).rglob("*.py"))]
    return set().union(*(third_party(path.read_text()) for path in files))


@pytest.mark.parametrize(
    ("requirements", "places"),
    [
        ("requirements.txt", CODE),
        ("requirements-sweep.txt", CODE),
        (
            "requirements-dev.txt",
            ("app.py", "pages", "ui", "core", "sae_loupe", "demo", "tests", "benchmarks", "setup.py"),
        ),
    ],
)
def test_every_package_that_is_imported_is_pinned(requirements, places):
    wanted = imported(*places) - (SWEEPS if requirements == "requirements.txt" else set())
    distributions = {name: packages_distributions()[name][0] for name in wanted}
    assert {name for name, of in distributions.items() if normal(of) not in pins(requirements)} == set()


@pytest.mark.parametrize(("distribution", "number"), pins("requirements-dev.txt").items())
def test_the_pin_is_the_version_that_the_tests_run_with(distribution, number):
    assert version(distribution).partition("+")[0] == number  # torch's wheels name the hardware behind a plus


def test_the_check_notices_an_import_inside_a_function():
    assert third_party("def f():\n    import requests.adapters\n    import json, core.errors") == {"requests"}
