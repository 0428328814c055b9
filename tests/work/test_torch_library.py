"""Heavy libraries are imported by one thread at a time, in one order, whoever asks first."""

import ast
import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from core.work import torch_library
from core.work.threads import available_cpus

ROOT = Path(__file__).parents[2]
SEAMS = """
import sys, threading
import numpy as np
from pathlib import Path
from core.dictionaries import sae_lens, transcoders
from core.dictionaries.formats import sae_lens as sae_lens_format
from core.errors import LoupeError
from core.models.architecture import Architecture
from core.work import torch_library

def build():
    config = {"architecture": "standard", "d_in": 2, "d_sae": 3, "metadata": {}, "apply_b_dec_to_input": True,
              "reshape_activations": "none", "normalize_activations": "none"}
    shapes = {"W_enc": (2, 3), "W_dec": (3, 2), "b_enc": (3,), "b_dec": (2,)}
    sae_lens.build_sae(config, {name: np.ones(shape, np.float32) for name, shape in shapes.items()})

def translate():
    sae_lens_format.translate_old({"d_in": 2, "d_sae": 3, "hook_name": "blocks.0.hook_mlp_out"}, Path("cfg.json"))

def layout():
    try:
        _ = Architecture({"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2}, "x").adapter
    except LoupeError as error:
        assert "ImportError" not in str(error), error

seams = [build, translate, layout, transcoders.register, torch_library.import_model_library,
         lambda: torch_library.as_tensor(np.ones(2))]
class Begun:
    events = {name: threading.Event() for name in ("torch", "transformers", "transformer_lens")}

    def find_spec(self, name, path=None, target=None):
        if name in self.events:
            self.events[name].set()

sys.meta_path.insert(0, Begun())
first, failures = int(sys.argv[1]), []

def go(seam, event):
    if event is not None:
        event.wait()
    try:
        seam()
    except BaseException as error:
        failures.append(f"{seam.__name__}: {error!r}")

threads = [threading.Thread(target=go, args=(seams[(first + i) % len(seams)], event), daemon=True)
           for i, event in enumerate([None, *Begun.events.values()])]
[thread.start() for thread in threads]
[thread.join(100) for thread in threads]
print(*failures, sep="\\n", end="")
"""


@pytest.mark.parametrize("first", range(3))
def test_four_threads_that_need_heavy_libraries_at_once_all_get_whole_ones(first):
    done = subprocess.run(
        [sys.executable, "-c", SEAMS, str(first)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]


def test_a_whole_import_is_known_to_be_one_and_leaves_garbage_collection_as_it_was():
    torch_library.import_model_library()
    assert torch_library.model_library_is_imported()
    for collecting in (True, False):
        try:
            (gc.enable if collecting else gc.disable)()
            with torch_library._no_garbage():
                assert not gc.isenabled()
            assert gc.isenabled() == collecting
        finally:
            gc.enable()


def test_what_a_person_set_for_these_packages_stays(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    torch_library.quiet_imports()
    assert (os.environ["WANDB_MODE"], os.environ["TOKENIZERS_PARALLELISM"]) == ("online", "false")


@pytest.mark.parametrize(("own", "quota", "expected"), [(64, "200000 100000", 2), (1, "200000 100000", 1)])
def test_torch_takes_no_more_threads_than_its_container_has_processors(tmp_path, own, quota, expected):
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": quota}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    torch = ModuleType("torch")
    torch.threads = own
    torch.get_num_threads = lambda: torch.threads
    torch.set_num_threads = lambda n: setattr(torch, "threads", n)
    torch_library.keep_to(torch, available_cpus(tmp_path))
    assert torch.threads == min(expected, available_cpus())


def test_a_read_only_array_becomes_a_view_without_a_warning():
    array = np.arange(3.0, dtype=np.float32)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = torch_library.as_tensor(array)
    assert found.data_ptr() == array.ctypes.data


MODELS = ("transformers", "transformer_lens", "sae_lens")


def imports_without_waiting(source: str) -> list[int]:
    """Return the lines of functions that import a library of models and do not first call import_model_library."""
    lines = []
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)):
        called = [
            node.lineno
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_model_library"
        ]
        for node in ast.walk(function):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in MODELS for name in names) and not any(line < node.lineno for line in called):
                lines.append(node.lineno)
    return lines


def test_the_check_notices_an_import_without_the_lock():
    assert imports_without_waiting("def f():\n    import sae_lens.registry\n") == [2]
    assert imports_without_waiting("def f():\n    import_model_library()\n    from sae_lens import SAE\n") == []


@pytest.mark.parametrize("path", sorted((ROOT / "core").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_of_a_model_library_stands_behind_the_lock(path):
    assert imports_without_waiting(path.read_text()) == []
