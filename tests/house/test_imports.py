"""core runs without the app, and loads torch and other heavy packages only when a function needs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = ("streamlit", "altair", "ui", "pages", "app")
HEAVY = ("torch", "sae_lens", "transformer_lens", "umap", "sklearn", "numba", "scipy", "matplotlib")
EVERYTHING = """
import importlib, pkgutil, core
for module in pkgutil.walk_packages(core.__path__, "core."):
    importlib.import_module(module.name)
    print(module.name)
"""
NETWORK = ("httpx2", "httpx", "requests", "huggingface_hub.hf_api", "huggingface_hub.file_download")
LATE = re.compile(
    r"\.(\w*on_device|compiled|\w*kernels|devices\.(blocks|ordering|placed|products)"
    r"|training\.(checkpoints|loop|own_types|penalties|stream|trainer))$"
)
"""Modules of core that are imported inside functions alone: compiled loops, and what runs on a device."""


def loaded_by(script: str, unwanted: tuple[str, ...]) -> tuple[list[str], str]:
    """Run a script in a fresh interpreter; return which unwanted packages it loaded, and what it printed."""
    check = f"{script}\nimport sys\nprint('LOADED', *sorted(sys.modules.keys() & set({unwanted!r})))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    output, _, loaded = done.stdout.rpartition("LOADED")
    return loaded.split(), output


def test_no_module_of_core_loads_the_app_or_its_toolkit():
    loaded, names = loaded_by(EVERYTHING, APP)
    assert loaded == []
    files = {path.relative_to(ROOT) for path in (ROOT / "core").rglob("*.py") if path.name != "__init__.py"}
    assert {str(path.with_suffix("")).replace("/", ".") for path in files} <= set(names.split())


def test_core_loads_nothing_heavy_before_a_function_needs_it():
    _, names = loaded_by(EVERYTHING, ())
    light = [name for name in names.split() if not LATE.search(name)]
    assert len(light) > 100
    script = "\n".join([*(f"import {name}" for name in light), "core.dictionaries.sources.sources()"])
    assert loaded_by(script, HEAVY + APP + NETWORK)[0] == []


def test_what_is_downloaded_is_listed_without_what_would_ask_the_hub():
    script = """
from core.dictionaries import sources
from core.dictionaries.registry.index import registry
from core.dictionaries.registry.table import registry_table
from core.hub import cache
from core.models import downloads
from core.workspace import Workspace
sources.entries(Workspace())
registry_table(registry().items[:5])
downloads.local_folder("gpt2", Workspace())
cache.downloaded_repositories(), cache.downloaded_files("me/mine"), cache.cached_file("me/mine", "config.json")
"""
    assert loaded_by(script, HEAVY + APP + NETWORK)[0] == []


@pytest.mark.parametrize(
    ("script", "loaded"),
    [("import streamlit", ["streamlit"]), ("import streamlit.errors, ui.shared.escape", ["streamlit", "ui"])],
)
def test_the_check_itself_notices_what_is_loaded(script, loaded):
    assert loaded_by(script, APP)[0] == loaded


def test_the_check_itself_notices_heavy_modules():
    assert "scipy" in loaded_by("import scipy", HEAVY)[0]


def test_the_check_itself_does_not_pass_over_a_failing_script():
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        loaded_by("import core.no_such_module", APP)
