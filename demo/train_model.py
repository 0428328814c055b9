"""Train the demo's tokenizer and language model on text that is installed anyway.

Resumable: the token stream and the last checkpoint lie under cache/demo-training. A run that is
started again goes on from there; deleting that folder starts over. CPU time: see demo/README.md.
"""

import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from core.corpus.streams import Document, standard_library, token_stream
from core.work.torch_library import keep_freed_memory
from demo.settings import MODEL_DIR, SEPARATOR, WORK, ModelSettings
from demo.text import is_held_out, package_documents

HELD_OUT_ROWS = 128
CHECKPOINT, LOG = WORK / "checkpoint.pt", WORK / "log.jsonl"


def train_tokenizer(documents: list[Document], d_vocab: int) -> Tokenizer:
    """Train a byte-level BPE on a fixed sample (every third document), as GPT-2's was made."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=d_vocab,
        special_tokens=[SEPARATOR],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((d.text for d in documents[::3]), trainer)
    return tokenizer


def prepare_text(settings: ModelSettings) -> dict[str, np.ndarray]:
    """Tokenise once: streams 'stdlib', 'packages' and their 'held-out' parts, cached as .npy."""
    names = ("stdlib", "packages", "stdlib-held-out", "packages-held-out")
    paths = {name: WORK / f"{name}.npy" for name in names}
    if not all(path.exists() for path in paths.values()):
        sources = {"stdlib": standard_library(), "packages": package_documents()}
        tokenizer = the_tokenizer(sources["stdlib"] + sources["packages"], settings)
        separator = tokenizer.token_to_id(SEPARATOR)
        rng = np.random.default_rng(settings.seed)
        for name, documents in sources.items():
            documents = [documents[i] for i in rng.permutation(len(documents))]
            for suffix, wanted in (("", False), ("-held-out", True)):
                part = [d for d in documents if is_held_out(d) is wanted]
                stream = token_stream(tokenizer, part, separator=separator)
                save_atomically(paths[name + suffix], lambda f, s=stream: np.save(f, s.astype(np.uint16)))
    return {name: np.load(path) for name, path in paths.items()}


def the_tokenizer(documents: list[Document], settings: ModelSettings) -> Tokenizer:
    """Return the tokenizer of demo/model, trained first if there is none."""
    path = MODEL_DIR / "tokenizer.json"
    if not path.exists():
        MODEL_DIR.mkdir(parents=True, exist_ok=True)
        kept = [d for d in documents if not is_held_out(d)]
        train_tokenizer(kept, settings.d_vocab).save(str(path))
    return Tokenizer.from_file(str(path))


def save_atomically(path: Path, write) -> None:
    """Write through a temporary file, so that a killed run leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as f:
        write(f)
    os.replace(temporary, path)


def batches(streams: dict[str, np.ndarray], settings: ModelSettings) -> Iterator[torch.Tensor]:
    """Yield `(batch, n_ctx)` rows cut at random places, epoch by epoch, for ever.

    Every second row starts with the separator, the others in mid-document: the model meets its
    position 0 both as the beginning of a text and as an arbitrary token.
    """
    separator = 0
    rng = np.random.default_rng(settings.seed)
    corpus = np.concatenate([streams["stdlib"]] * settings.stdlib_copies + [streams["packages"]])
    n_ctx = settings.n_ctx
    while True:
        offset = int(rng.integers(n_ctx))
        slots = (len(corpus) - offset) // n_ctx
        order = rng.permutation(slots) * n_ctx + offset
        for i in range(0, slots - settings.batch + 1, settings.batch):
            rows = corpus[order[i : i + settings.batch, None] + np.arange(n_ctx)].astype(np.int64)
            rows[::2, 0] = separator
            yield torch.from_numpy(rows)


def learning_rate(step: int, settings: ModelSettings) -> float:
    """Linear warm-up, then a cosine to a fiftieth of the peak, cut short by a linear cool-down to zero."""
    if step < settings.warm_up_steps:
        return settings.lr * (step + 1) / settings.warm_up_steps
    per_step = settings.batch * settings.n_ctx
    begin = settings.cool_down_from // per_step
    done = (min(step, begin) - settings.warm_up_steps) / (settings.cosine_tokens // per_step - settings.warm_up_steps)
    rate = settings.lr * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
    return rate * min(1.0, (settings.steps - step) / (settings.steps - begin))


def build(settings: ModelSettings):
    """Build the untrained TransformerLens model."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=settings.n_layers,
        d_model=settings.d_model,
        n_ctx=settings.n_ctx,
        n_heads=settings.n_heads,
        d_head=settings.d_model // settings.n_heads,
        d_mlp=4 * settings.d_model,
        d_vocab=settings.d_vocab,
        act_fn="gelu_new",
        normalization_type="LN",
        positional_embedding_type="standard",
        device="cpu",
        seed=settings.seed,
        model_name="loupe-demo",
    )
    return HookedTransformer(config)


def loss_of(model, rows: torch.Tensor) -> torch.Tensor:
    """Mean next-token cross-entropy in nats; the matrix products run in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(rows, return_type="logits")
    flat = logits[:, :-1].reshape(-1, logits.shape[-1]).float()
    return torch.nn.functional.cross_entropy(flat, rows[:, 1:].reshape(-1))


@torch.no_grad()
def held_out_loss(model, stream: np.ndarray, n_ctx: int, rows: int = HELD_OUT_ROWS) -> float:
    """Mean cross-entropy over the first rows of a held-out stream, in nats a token."""
    rows = min(rows, len(stream) // n_ctx)
    tokens = torch.from_numpy(stream[: rows * n_ctx].astype(np.int64).reshape(rows, n_ctx))
    return sum(loss_of(model, chunk).item() * len(chunk) for chunk in tokens.split(16)) / rows


def make_optimizer(model, settings: ModelSettings) -> torch.optim.Optimizer:
    """AdamW that leaves embeddings, biases and norms undecayed."""
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embed" not in n and ".b_" not in n]
    chosen = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in chosen]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.95))


def train(settings: ModelSettings) -> Path:
    """Train or go on training; write the finished model to demo/model."""
    finished = MODEL_DIR / "model.safetensors"
    if finished.exists():
        return finished
    keep_freed_memory()
    streams = prepare_text(settings)
    model = build(settings)
    optimizer = make_optimizer(model, settings)
    start = 0
    if CHECKPOINT.exists():
        state = torch.load(CHECKPOINT, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    rows = batches(streams, settings)
    for _ in range(start):  # the same order as an unbroken run
        next(rows)
    began = time.time()
    for step in range(start, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        loss = loss_of(model, next(rows))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 250 == 0 or step + 1 == settings.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            save_atomically(CHECKPOINT, lambda f, s=state: torch.save(s, f))
            rate = (step + 1 - start) * settings.batch * settings.n_ctx / (time.time() - began)
            log_progress(model, streams, settings, step + 1, loss.item(), rate)
    save_model(model, settings)
    return finished


def log_progress(model, streams: dict[str, np.ndarray], settings: ModelSettings, step: int, loss: float, rate: float):
    """Print a line and append it to log.jsonl, which the report reads."""
    per_step = settings.batch * settings.n_ctx
    line = {"step": step, "tokens": step * per_step, "loss": round(loss, 4)}
    for name in ("stdlib", "packages"):
        line[f"{name}_held_out"] = round(held_out_loss(model, streams[f"{name}-held-out"], settings.n_ctx), 4)
    line |= {"tokens_per_s": round(rate), "minutes_left": round((settings.steps - step) * per_step / rate / 60, 1)}
    with open(LOG, "a") as f:
        f.write(json.dumps(line) + "\n")
    print(line, flush=True)


def save_model(model, settings: ModelSettings) -> None:
    """Write config and half-precision weights; masks are made again by the constructor."""
    from safetensors.torch import save

    weights = {
        name: value.detach().half().contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith((".mask", ".IGNORE"))
    }
    config = {"architecture": "transformer_lens", "act_fn": "gelu_new", "normalization_type": "LN"}
    config |= {"positional_embedding_type": "standard", "model_name": "loupe-demo"}
    config |= {
        k: v
        for k, v in dataclasses.asdict(settings).items()
        if k in ("n_layers", "d_model", "n_heads", "n_ctx", "d_vocab")
    }
    config |= {"d_head": settings.d_model // settings.n_heads, "d_mlp": 4 * settings.d_model}
    MODEL_DIR.mkdir(parents=True, exist_ok=True)
    (MODEL_DIR / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_atomically(MODEL_DIR / "model.safetensors", lambda f: f.write(save(weights)))


if __name__ == "__main__":
    train(ModelSettings())
