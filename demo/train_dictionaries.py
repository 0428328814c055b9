"""Train the demo's dictionaries by core.training, on activations of the demo model.

Finished folders are left alone, and an unfinished training goes on from its last checkpoint below WORK.
`python -m demo.train_dictionaries 'layer0-*' '*-prose'` trains those whose names match; two such runs
with OMP_NUM_THREADS=1 and half of the names each use two cores better than one run does.
"""

import dataclasses
import fnmatch
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from core.corpus.samples import FILES
from core.corpus.streams import standard_library, token_stream
from core.errors import UnknownNameError
from core.models.language_model import LanguageModel
from core.training import runs
from core.training.printed import Printed
from core.training.runs import Run
from core.training.settings import TextSettings as RunText
from core.training.settings import TrainingSettings
from core.training.types import TYPES
from core.work.torch_library import import_model_library, keep_freed_memory
from core.workspace import Workspace
from demo.measure import measure
from demo.settings import (
    DICTIONARIES,
    DICTIONARIES_DIR,
    MODEL_DIR,
    SEPARATOR,
    WORK,
    DictionarySettings,
    ModelSettings,
    TextSettings,
)
from demo.text import is_held_out, package_documents, prose
from demo.train_model import prepare_text, save_atomically

PROBE_ROWS = 32
WORKSPACE = Workspace(runs=WORK / "runs", cache=WORK / "cache", device="cpu")
DATA_TITLES = {"all": "standard library and packages", "prose": "docstrings and help topics of these"}


def training_streams(data: str) -> dict[str, np.ndarray]:
    """Return the token streams 'stdlib' and 'packages' of a data set; 'prose' is cached as .npy."""
    if data == "all":
        return {name: stream for name, stream in prepare_text(ModelSettings()).items() if "held-out" not in name}
    paths = {name: WORK / f"{name}-{data}.npy" for name in ("stdlib", "packages")}
    if not all(path.exists() for path in paths.values()):
        tokenizer = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
        for name, documents in (("stdlib", standard_library()), ("packages", package_documents())):
            texts = prose([d for d in documents if not is_held_out(d)])
            stream = token_stream(tokenizer, texts, separator=tokenizer.token_to_id(SEPARATOR))
            save_atomically(paths[name], lambda f, s=stream: np.save(f, s.astype(np.uint16)))
    return {name: np.load(path) for name, path in paths.items()}


def training_rows(streams: dict[str, np.ndarray], n_tokens: int, text: TextSettings) -> np.ndarray:
    """Cut rows at random places of both streams and mix them, `(n_rows, context)`."""
    rng = np.random.default_rng(text.seed)
    n_rows = -(-n_tokens // text.context)
    n_stdlib = round(n_rows * text.stdlib_share)
    parts = []
    for name, count in (("stdlib", n_stdlib), ("packages", n_rows - n_stdlib)):
        starts = rng.integers(0, len(streams[name]) - text.context, size=count)
        parts.append(streams[name][starts[:, None] + np.arange(text.context)])
    return rng.permutation(np.concatenate(parts))


def rows_file(data: str, n_tokens: int) -> Path:
    """Return the file of token ids of a data set that dictionaries are trained on, written once."""
    path = WORK / f"rows-{data}-{n_tokens}.npy"
    if not path.exists():
        rows = training_rows(training_streams(data), n_tokens, TextSettings())
        save_atomically(path, lambda f: np.save(f, rows.astype(np.uint16)))
    return path


def training_settings(settings: DictionarySettings, seeds: tuple[int, ...]) -> TrainingSettings:
    """Return what core.training is told: one run for dictionaries that differ in their seed alone."""
    first = dataclasses.replace(settings, seed=seeds[0]).name
    rows = rows_file(settings.data, settings.training_tokens)
    return TrainingSettings(
        name="-".join([first, *(f"seed{seed}" for seed in seeds[1:])]),
        model="loupe-demo",
        hook_name=settings.hook_name,
        d_sae=settings.width,
        type=settings.type,
        options=TYPES[settings.type](**settings.options),
        seeds=seeds,
        training_tokens=settings.training_tokens,
        batch_tokens=settings.batch,
        lr=settings.lr,
        dead_after=settings.dead_after,
        # bfloat16 products: half the time, the same quality (weights and optimiser stay float32).
        autocast=True,
        buffer_tokens=2**19,
        text=RunText(source=FILES, name=str(rows), context=TextSettings.context),
    )


def alike(wanted: Iterable[DictionarySettings]) -> list[tuple[DictionarySettings, ...]]:
    """Group dictionaries that differ in their seed alone: one run trains them on one pass of the model."""
    groups: dict[str, list[DictionarySettings]] = {}
    for settings in wanted:
        groups.setdefault(dataclasses.replace(settings, seed=0).name, []).append(settings)
    return [tuple(group) for group in groups.values()]


def train_together(group: tuple[DictionarySettings, ...]) -> Run:
    """Train dictionaries that differ in their seed alone, or go on where a killed run was, and return the run."""
    from core.training.loop import train as train_run

    told = training_settings(group[0], tuple(one.seed for one in group))
    try:
        run = runs.find_run(told.name, WORKSPACE)
    except UnknownNameError:
        run = runs.create(told, WORKSPACE)
    with run.held():
        train_run(run, WORKSPACE, progress=Printed(told.name))
    return run


def save_dictionary(result: Path, folder: Path, settings: DictionarySettings, probe: torch.Tensor) -> None:
    """Write cfg.json and half-precision weights; check that sae-lens reads them back the same."""
    from sae_lens import SAE
    from safetensors.torch import load_file, save_file

    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    weights, config = temporary / "sae_weights.safetensors", temporary / "cfg.json"
    save_file({k: v.half().contiguous() for k, v in load_file(result / weights.name).items()}, weights)
    said = json.loads((result / config.name).read_text())
    said["metadata"]["dataset_path"] = DATA_TITLES[settings.data]
    config.write_text(json.dumps(said, indent=1) + "\n")
    loaded = SAE.load_from_disk(temporary, device="cpu", dtype="float32")
    with torch.no_grad():
        error = (loaded(probe) - probe).pow(2).sum()
        spread = (probe - probe.mean(0)).pow(2).sum()
    assert torch.isfinite(error), folder.name
    print(f"  {folder.name}: saved; variance explained on training activations {1 - error / spread:.3f}", flush=True)
    for path in (weights, config):
        path.chmod(0o644)  # safetensors makes files for the owner only
    os.replace(temporary, folder)


def write_index(measured: dict[str, dict[str, float]]) -> None:
    """Write index.json: what core/dictionaries/sources/demo.py lists, in the order of the settings."""
    index = {
        s.name: {"title": s.title, "hook_name": s.hook_name, "labels": s.labels, "measured": measured[s.name]}
        for s in DICTIONARIES
        if s.name in measured
    }
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    save_atomically(DICTIONARIES_DIR / "index.json", lambda f: f.write(text.encode()))


def read_measured() -> dict[str, dict[str, float]]:
    """Return what the index holds of dictionaries that exist."""
    path = DICTIONARIES_DIR / "index.json"
    index = json.loads(path.read_text()) if path.exists() else {}
    return {name: item["measured"] for name, item in index.items() if (DICTIONARIES_DIR / name).is_dir()}


def train(patterns: Sequence[str] = ("*",)) -> None:
    """Train and measure every dictionary with a matching name that is not there yet."""
    import_model_library()
    keep_freed_memory()
    write_index(read_measured())  # forgets folders that were deleted to be trained anew
    model = LanguageModel(MODEL_DIR)
    wanted = [one for one in DICTIONARIES if any(fnmatch.fnmatch(one.name, pattern) for pattern in patterns)]
    for group in alike(one for one in wanted if not (DICTIONARIES_DIR / one.name).is_dir()):
        began = time.time()
        run = train_together(group)
        rows = np.load(rows_file(group[0].data, group[0].training_tokens))[:PROBE_ROWS].astype(np.int64)
        probe = model.activations(rows, group[0].hook_name).reshape(-1, model.d_model)
        for settings in group:
            save_dictionary(
                run.result(settings.seed), DICTIONARIES_DIR / settings.name, settings, torch.from_numpy(probe)
            )
        print(f"  {run.name}: trained in {time.time() - began:.0f} s", flush=True)
    for settings in wanted:
        if settings.name not in read_measured():
            found = measure(model, settings.name, DICTIONARIES_DIR / settings.name)
            print(f"  {settings.name}: {found}", flush=True)
            write_index(read_measured() | {settings.name: found})


if __name__ == "__main__":
    train(sys.argv[1:] or ("*",))
