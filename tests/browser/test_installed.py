"""The wheel, installed into a fresh environment, works from any folder and leaves other people's packages alone."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

import setup
from core import installation
from core.installation import APP_VERSION
from tests.browser.chromium import TIMEOUT_MS, wait_until_drawn
from tests.browser.conftest import answering
from tests.house.test_deployment import IMAGE, environment, of

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 40 * 10**6
NOT_YOURS = 'raise RuntimeError("the core of somebody else was imported")\n'
NAMES_A_MODULE = re.compile(r"^(core|ui|pages)(\.[a-z]\w*)+$|python -m (core|ui)\b")
BESIDE_ANOTHER_CORE = """
import core, sae_loupe, sys
from sae_loupe import load_dictionary
assert core.MINE == 1 and "sae_loupe" not in core.__file__
print(load_dictionary("demo/layer0-standard-2048").d_sae, sae_loupe.__version__)
"""


MAP_OF_A_FEW_POINTS = """
import numpy as np
from sae_loupe.core.feature_map.embedder import run_embedder
inputs = {"idx": np.zeros(1), "n": 3}
from sae_loupe.core import installation
print(sorted(path.name for path in installation.START_FOLDER.iterdir() if path.name != "__pycache__"))
try:
    run_embedder("sae_loupe.core.feature_map.tsne_layout", inputs)
except RuntimeError as error:
    print(str(error).strip().splitlines()[-1])
"""


class Installed(NamedTuple):
    """A fresh environment with our wheel in it, and an empty folder to be in."""

    wheel: Path
    bin: Path
    here: Path

    @property
    def package(self) -> Path:
        return next(self.bin.parent.glob("lib/python*/site-packages")) / "sae_loupe"

    def run(self, *words: str, **how) -> subprocess.CompletedProcess:
        how = {"cwd": self.here, "env": self.environment(), "capture_output": True, "text": True} | how
        return subprocess.run([str(self.bin / words[0]), *words[1:]], **how)

    def environment(self) -> dict[str, str]:
        """Where the person's own folders are empty ones, and nothing leads to the repository."""
        home = {"HOME": str(self.here / "home"), "XDG_CACHE_HOME": str(self.here / "home" / "cache")}
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | home


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    """Build from nothing but what is shipped; the packages that the tests run with are seen through a .pth file."""
    place = tmp_path_factory.mktemp("installed")
    sources, env, here = place / "sources", place / "env", place / "here"
    here.mkdir()
    names = ["pyproject.toml", "setup.py", "README.md", "LICENSE", "requirements.txt"]
    for path in [*(ROOT / name for name in names), *(path for path, _ in setup.shipped())]:
        copy = sources / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", "-q"]
    pip = [sys.executable, "-m", "pip", "wheel", ".", "-w", str(place), "--no-build-isolation", *offline]
    done = subprocess.run(pip, cwd=sources, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (wheel,) = place.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env)], check=True)
    (site,) = env.glob("lib/python*/site-packages")
    (site / "development.pth").write_text(sysconfig.get_path("purelib") + "\n")
    found = Installed(wheel, env / "bin", here)
    done = found.run("python", "-m", "pip", "install", str(wheel), *offline)
    assert done.returncode == 0, done.stderr[-3000:]
    return found


def test_the_wheel_holds_one_package_with_all_that_the_app_needs_and_no_more(installed):
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = wheel.namelist()
    assert installed.wheel.stat().st_size < MOST_BYTES
    assert {name.partition("/")[0] for name in names} == {"sae_loupe", f"sae_loupe-{APP_VERSION}.dist-info"}
    ours = {name.removeprefix("sae_loupe/") for name in names if name.startswith("sae_loupe/")}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    tops = ("core/", "ui/", "pages/", "demo/dictionaries/", "demo/model/")
    needed = {name for name in tracked if name.startswith(tops)} | {"server/app.py", "server/.streamlit/config.toml"}
    assert needed <= ours
    assert [
        name for name in ours if name.startswith(("cache", "notes", "tests", "build")) or "__pycache__" in name
    ] == []


def test_the_wheel_asks_for_every_pin_once_some_of_them_in_extras(installed):
    with zipfile.ZipFile(installed.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
        said = wheel.read(name).decode("utf-8")
    asked = re.findall(r"^Requires-Dist: ([^;\n]+?)(?:; extra == \"(\w+)\")?$", said, re.MULTILINE)
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert sorted(pin for pin, _ in asked) == sorted(pins)
    extras = {extra: tuple(pin.partition("==")[0] for pin, of in asked if of == extra) for _, extra in asked if extra}
    assert extras == setup.EXTRAS


def test_every_import_of_ours_leads_to_a_file_of_the_package(installed):
    package, found = installed.package, 0
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom | ast.Import):
                module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                top, _, rest = module.partition(".")
                assert top not in {*setup.CODE, "demo", "app"}, f"{path}:{node.lineno}"
                if top == "sae_loupe":
                    found += 1
                    place = package / rest.replace(".", "/")
                    assert place.is_dir() or place.with_suffix(".py").is_file(), f"{path}:{node.lineno}"
    assert found > 1000


def test_processes_begin_in_a_folder_that_hides_nobodys_modules(installed):
    """sae_loupe/ has modules called text or matching; on the path of a process they would hide those of others."""
    done = installed.run("python", "-c", MAP_OF_A_FEW_POINTS)
    folder, said = done.stdout.splitlines()
    assert folder == "['.streamlit', 'app.py']", done.stderr[-3000:]
    assert said.startswith("KeyError"), "the process began, imported what it needs, and missed an input"


def test_a_notebook_keeps_its_own_core(installed):
    (installed.here / "core.py").write_text("MINE = 1\n")
    done = installed.run("python", "-c", BESIDE_ANOTHER_CORE)
    assert (done.stdout, done.returncode) == (f"2048 {APP_VERSION}\n", 0), done.stderr[-3000:]


def test_the_command_opens_a_page_with_the_right_number_from_any_folder(installed, page):
    (installed.here / "core.py").write_text(NOT_YOURS)
    before = sorted(installed.package.rglob("*.safetensors"))
    log = installed.here / "log"
    how = {"cwd": installed.here, "env": installed.environment()}
    words = [str(installed.bin / "sae-loupe"), "--page", "positions"]
    with answering(lambda port: [*words, "--port", str(port), "--server.headless", "true"], log, **how) as url:
        page.goto(url)
        wait_until_drawn(page)
        page.get_by_text("· 173 of 2,048 features ·").first.wait_for(timeout=TIMEOUT_MS)
    assert "the core of somebody else" not in log.read_text()
    assert sorted(installed.package.rglob("*.safetensors")) == before
    assert list((installed.here / "home" / "cache" / "sae-loupe").glob("position-statistics-*"))
    assert page.left_machine == []


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file below a folder."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_the_images_command_writes_to_its_cache_folder_alone(installed, page, tmp_path):
    (volume,) = of(IMAGE, "VOLUME")
    (entry,), (words,) = of(IMAGE, "ENTRYPOINT"), of(IMAGE, "CMD")
    cache, here = tmp_path / "cache", tmp_path / "here"
    places = {
        name: value.replace(volume.text, str(cache), 1) for name, value in environment().items() if name != "PATH"
    }
    for folder in (cache, here):
        folder.mkdir()
    before = contents(installed.bin.parent)
    command = [str(installed.bin / entry.words()[0]), *entry.words()[1:], *words.words()]
    port_at, host_at = command.index("--port") + 1, command.index("--host") + 1
    command[host_at] = "127.0.0.1"  # the tests open no port to other machines

    def on(port: int) -> list[str]:
        return [*command[:port_at], str(port), *command[port_at + 1 :]]

    env = installed.environment() | places
    with answering(on, tmp_path / "log", cwd=here, env=env) as url:
        page.goto(f"{url}/positions")
        wait_until_drawn(page)
        page.get_by_text("· 173 of 2,048 features ·").first.wait_for(timeout=TIMEOUT_MS)
    assert contents(installed.bin.parent) == before
    assert list(here.iterdir()) == []
    assert {path.name for path in cache.iterdir()} <= {Path(value).name for value in places.values()}
    assert list(cache.rglob("position-statistics-*"))


@pytest.mark.parametrize(
    ("source", "built"),
    [
        ("from core.x import y\n", "from sae_loupe.core.x import y\n"),
        ("from core import x  # why\n", "from sae_loupe.core import x  # why\n"),
        (
            "if x:\n from ui.x import (\n  y,\n )\n",
            "if x:\n from sae_loupe.ui.x import (\n  y,\n )\n",
        ),
        ("import core\n", "from sae_loupe import core\n"),
        ("import ui.a.b\n", "import sae_loupe.ui.a.b; from sae_loupe import ui\n"),
        ("import core.a as b, json as j\n", "import sae_loupe.core.a as b; import json as j\n"),
        ("é = 1; import core.a as b\n", "é = 1; import sae_loupe.core.a as b\n"),
        ("from corespondence import y\nimport json\n", "from corespondence import y\nimport json\n"),
        ('"from core.x import y"\nx = "core.y"\n', '"from core.x import y"\nx = "core.y"\n'),
        ("from . import core\nfrom .core import x\n", "from . import core\nfrom .core import x\n"),
    ],
)
def test_the_build_changes_imports_of_ours_and_nothing_else(source, built):
    assert setup.below_package(source) == built


def test_no_text_that_runs_names_a_module_as_the_repository_does():
    """Texts are not rewritten, so what a person or a process runs asks `importable`, or is a module's `__name__`."""
    said = []
    for path, _ in setup.shipped():
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.suffix == ".py" else ast.Module([], [])
        nodes = list(ast.walk(tree))
        calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "importable"]
        spared = [part for call in calls for part in call.args]
        spared += [node.value for node in nodes if isinstance(node, ast.Expr)]  # docstrings
        texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        texts = [node.value for node in texts if not any(node is part for part in spared)]
        said += [(path.name, text) for text in texts if NAMES_A_MODULE.search(text)]
    assert said == [], said


@pytest.mark.parametrize(
    ("module", "here"),
    [("core.installation", "core.training"), ("sae_loupe.core.installation", "sae_loupe.core.training")],
)
def test_a_module_is_found_by_where_the_code_lies(module, here, monkeypatch):
    monkeypatch.setattr(installation, "__name__", module)
    assert installation.importable("core.training") == here
