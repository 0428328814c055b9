"""A small sweep on disk: three planted dictionaries of one planted model, a text, and the sweep.toml of them."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import safe_open

from core.sweeps.asked import read_asked
from core.sweeps.elements import do_element
from core.sweeps.plan import Plan
from core.sweeps.planning import make_plan
from core.sweeps.sweep import Place, Sweep, place_at
from tests.doubles.planted import planted_dictionary, planted_model

NAMES = ("a", "b", "c")
ANALYSES = '["activations", "positions", "logit_weights", "neighbors", "matching"]'
DEMO = '["demo/layer2-standard-512", "demo/layer2-topk-2048"]'
TEXT = "import this  # and that\n" * 60
HOOK = "blocks.1.hook_resid_pre"


def write_sweep(root: Path, *, analyses: str = ANALYSES, more: str = "", hook_name: str = HOOK) -> Path:
    """Write everything below `root` and return the path of sweep.toml. `more` stands before its text."""
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "saes").exists():
        planted_model(root)
        for seed, name in enumerate(NAMES):
            planted_dictionary(seed=seed, d_sae=12 + 4 * seed, hook_name=hook_name).save(root / "saes" / name)
    (root / "text.txt").write_text(TEXT)
    path = root / "sweep.toml"
    path.write_text(
        f'dictionaries = ["./saes/*"]\nanalyses = {analyses}\nmodels = ["planted"]\n{more}\n'
        '[[text]]\nsource = "files"\nname = "text.txt"\nrows = 40\n'
    )
    return path


def write_demo_sweep(root: Path) -> Path:
    """Write the sweep.toml of demo dictionaries of several widths and types, on a small text; return its path."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "text.txt").write_text(TEXT)
    path = root / "demo.toml"
    path.write_text(
        f'dictionaries = {DEMO}\nanalyses = ["activations", "logit_weights", "neighbors", "matching"]\n'
        '[[text]]\nsource = "files"\nname = "text.txt"\nrows = 8\ncontext = 16\n'
    )
    return path


def plan_of(toml: Path, place: Place) -> Plan:
    return make_plan(read_asked(toml), place.cache, place.store)


def sweep_in(toml: Path, folder: Path) -> Sweep:
    """The sweep of a file, with its results in a folder."""
    place = place_at(str(folder), folder)
    return Sweep.keep(plan_of(toml, place), place)


def contents(folder: Path) -> dict[str, str]:
    """The results in a folder by name, each as the hash of what it holds. The order of a file's header is free."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            found[path.stem] = file.metadata()["sha256"]
    return found


def counted_saves(monkeypatch) -> list[str]:
    """The keys of all results that are written from now on, in this process."""
    from core.work.artifacts import ArtifactStore

    keys, save = [], ArtifactStore.save

    def watched(self, result, key, provenance=None):
        keys.append(key)
        return save(self, result, key, provenance)

    monkeypatch.setattr(ArtifactStore, "save", watched)
    return keys


def small_blocks(monkeypatch) -> None:
    """Let a block of a token pass hold four rows, so that a small text has several parts."""
    from core.activations import store

    monkeypatch.setattr(store, "_TOKENS_PER_BLOCK", 24)
    monkeypatch.setattr(store, "_LEAST_ROWS", 4)


def spoil(folder: Path) -> Callable[[], None]:
    """Damage a dictionary's weights; return what mends them."""
    path = folder / "sae_weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return lambda: path.write_bytes(whole)


def another(folder: Path) -> None:
    """Put other weights where a dictionary was."""
    import shutil

    shutil.rmtree(folder)
    planted_dictionary(seed=9, hook_name=HOOK, tensors={"b_dec": np.ones(8)}).save(folder)


def dies_once(element) -> None:
    """Do the first task of an element, and then, the first time, end as a killed process does."""
    *where, names = element
    do_element((*where, names[:1]))
    mark = Path(where[2]) / f"died-{names[0]}"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    do_element(element)


DIES_AFTER_TWO = """
import os, signal, sys
from core.sweeps.__main__ import main
from core.work.artifacts import ArtifactStore
save, made = ArtifactStore.save, []
def watched(*given):
    if len(made) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    made.append(given)
    return save(*given)
ArtifactStore.save = watched
main(sys.argv[1:])
"""
"""A run of the command line that is killed while it makes its third result."""
