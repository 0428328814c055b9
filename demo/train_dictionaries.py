"""Train the demo's dictionaries with sae-lens on activations of the demo model.

Resumable by the dictionary: finished folders are left alone, an unfinished one is started again.
`python -m demo.train_dictionaries 'layer0-*' '*-prose'` trains those whose names match; two such runs
with OMP_NUM_THREADS=1 and half of the names each use two cores better than one run does.
"""

import fnmatch
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from core.corpus.streams import standard_library, token_stream
from core.models.language_model import LanguageModel
from core.work.torch_library import quiet_imports
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
from demo.train_model import keep_freed_memory, prepare_text, save_atomically

PROBE_ROWS = 32


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


@torch.no_grad()
def compute_activations(model: LanguageModel, rows: np.ndarray, hook_name: str) -> torch.Tensor:
    """Return what passes at a residual hook, tokens of all rows in one `(token, d_model)` half tensor.

    TransformerLens returns the stream before block L with stop_at_layer=L, which runs no block in vain.
    """
    _, block, point = hook_name.split(".")
    stop = int(block) + (point == "hook_resid_post")
    found = torch.empty(rows.size, model.d_model, dtype=torch.float16)
    n = 0
    for start in range(0, len(rows), 64):
        chunk = torch.from_numpy(rows[start : start + 64].astype(np.int64))
        streams = model.hooked(chunk, stop_at_layer=stop).flatten(0, 1)
        found[n : n + len(streams)] = streams
        n += len(streams)
    check_activations(model, rows, found, hook_name)
    return found


def check_activations(model: LanguageModel, rows: np.ndarray, found: torch.Tensor, hook_name: str) -> None:
    """Compare the first rows with what the app itself computes at the hook."""
    few = model.activations(rows[:4].astype(np.int64), hook_name).reshape(-1, model.d_model)
    assert np.allclose(found[: len(few)].float().numpy(), few, rtol=2e-3, atol=2e-3), hook_name


def shuffled_batches(activations: torch.Tensor, batch: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield `(batch, d_in)` float tensors, epoch by epoch in a new order, for ever."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(activations), generator=generator)
        for index in order.split(batch):
            if len(index) == batch:
                yield activations[index].float()


def sae_config(settings: DictionarySettings, d_in: int):
    """Return sae-lens' training config of a dictionary, with the metadata that will be saved."""
    from sae_lens import TrainingSAE, __version__
    from sae_lens.saes.sae import SAEMetadata

    config_class = TrainingSAE.get_sae_config_class_for_architecture(settings.type)
    metadata = SAEMetadata(
        model_name="loupe-demo",
        hook_name=settings.hook_name,
        context_size=TextSettings.context,
        prepend_bos=False,
        dataset_path={"all": "standard library and packages", "prose": "docstrings and help topics of these"}[
            settings.data
        ],
        model_from_pretrained_kwargs={},
        sae_lens_version=__version__,
    )
    return config_class(
        d_in=d_in,
        d_sae=settings.width,
        normalize_activations="expected_average_only_in",
        metadata=metadata,
        **settings.options,
    )


def report_progress(batches: Iterator[torch.Tensor], name: str, total: int) -> Iterator[torch.Tensor]:
    """Pass batches on and print rate and time left about every 15 seconds."""
    began = said = time.time()
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch)
        if time.time() - said > 15:
            said = time.time()
            rate = seen / (said - began)
            left = max(0, total - seen) / rate
            line = f"{seen / 1e6:.2f} of {total / 1e6:.2f} M tokens, {rate:,.0f}/s, {left:.0f} s left"
            print(f"  {name}: {line}", flush=True)


def train_dictionary(settings: DictionarySettings, activations: torch.Tensor):
    """Run sae-lens' trainer; return the trained TrainingSAE with unit decoder rows."""
    from sae_lens import TrainingSAE
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(settings.seed)
    steps = settings.training_tokens // settings.batch
    config = SAETrainerConfig(
        total_training_samples=steps * settings.batch,
        train_batch_size_samples=settings.batch,
        lr=settings.lr,
        lr_end=settings.lr,
        lr_warm_up_steps=steps // 20,
        lr_decay_steps=steps // 3,
        # bfloat16 products: half the time, the same quality (weights and optimiser stay float32).
        autocast=True,
        dead_feature_window=settings.dead_after,
        feature_sampling_window=1_000_000,
    )
    sae = TrainingSAE.from_dict(sae_config(settings, activations.shape[1]).to_dict())
    batches = shuffled_batches(activations, settings.batch, settings.seed)
    trainer = SAETrainer(config, sae, report_progress(batches, settings.name, settings.training_tokens))
    # Inputs of length sqrt(d_in) on average and a decoder that starts at their mean: one learning rate
    # and one penalty then do for every layer. fit() folds the factor into the weights at the end.
    few = activations[:: max(1, len(activations) // 100_000)].float()
    scale = float(few.shape[1] ** 0.5 / few.norm(dim=1).mean())
    trainer.activation_scaler.scaling_factor = scale
    sae.b_dec.data.copy_(few.mean(0) * scale)
    for group in trainer.optimizer.param_groups:
        group |= {"fused": True, "foreach": False}
    trainer.fit()
    sae.fold_W_dec_norm()
    return sae


def save_dictionary(sae, folder: Path, probe: torch.Tensor) -> None:
    """Write cfg.json and half-precision weights; check that sae-lens reads them back the same."""
    from sae_lens import SAE
    from safetensors.torch import load_file, save_file

    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    weights, config = sae.save_inference_model(temporary)
    save_file({k: v.half().contiguous() for k, v in load_file(weights).items()}, weights)
    config.write_text(json.dumps(json.loads(config.read_text()), indent=1) + "\n")
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
    quiet_imports()
    keep_freed_memory()
    write_index(read_measured())  # forgets folders that were deleted to be trained anew
    model = LanguageModel(MODEL_DIR)
    wanted = [s for s in DICTIONARIES if any(fnmatch.fnmatch(s.name, pattern) for pattern in patterns)]
    groups = dict.fromkeys((s.hook_name, s.data) for s in wanted)
    for hook_name, data in groups:
        group = [s for s in wanted if (s.hook_name, s.data) == (hook_name, data)]
        todo = [s for s in group if not (DICTIONARIES_DIR / s.name).is_dir()]
        if todo:
            train_group(model, todo, hook_name, data)
        for settings in group:
            if settings.name not in read_measured():
                found = measure(model, settings.name, DICTIONARIES_DIR / settings.name)
                print(f"  {settings.name}: {found}", flush=True)
                write_index(read_measured() | {settings.name: found})


def train_group(model: LanguageModel, todo: list[DictionarySettings], hook_name: str, data: str) -> None:
    """Train the dictionaries that read the same activations."""
    began = time.time()
    rows = training_rows(training_streams(data), max(s.training_tokens for s in todo), TextSettings())
    activations = compute_activations(model, rows, hook_name)
    print(f"{hook_name} ({data}): {len(activations):,} activations in {time.time() - began:.0f} s", flush=True)
    for settings in todo:
        began = time.time()
        sae = train_dictionary(settings, activations)
        save_dictionary(sae, DICTIONARIES_DIR / settings.name, activations[: PROBE_ROWS * TextSettings.context].float())
        print(f"  {settings.name}: trained in {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    train(sys.argv[1:] or ("*",))
