"""Write what came out of the training to demo/README.md, between two markers.

Everything is computed from the committed files, on text that no weight was trained on.
"""

import json

import numpy as np

from core.activations.reconstruction import error_by_position
from core.dictionaries.sources import open_dictionary
from core.models.language_model import LanguageModel
from core.positions.methods import position_statistics
from core.positions.scores import peak, position_score, suggested_count
from core.workspace import Workspace
from demo.measure import cross_entropy, held_out_rows
from demo.settings import DEMO, DICTIONARIES, DICTIONARIES_DIR, MODEL_DIR, WORK, ModelSettings
from demo.train_model import HELD_OUT_ROWS

README = DEMO / "README.md"
BEGIN, END = "<!-- measured: written by demo/report.py -->", "<!-- end of measured -->"
PROMPTS = ("def __init__(self, ", "import ")
TEMPERATURE = 0.8
RANKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 1000)
N_LOSS_ROWS = 256
N_ERROR_ROWS = 256


def table(header: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *lines])


def dictionary_table() -> str:
    """Return one line per dictionary from the index."""
    index = json.loads((DICTIONARIES_DIR / "index.json").read_text())
    tokens = {s.name: s.training_tokens for s in DICTIONARIES}
    lines = []
    for name, item in index.items():
        m = item["measured"]
        lines.append(
            [
                f"`{name}`",
                f"{m['l0']:.1f}",
                f"{m['fve']:.3f}",
                f"{m['ce_recovered']:.3f}",
                f"{m['dead_share']:.1%}",
                f"{tokens[name] / 1e6:.1f} M",
            ]
        )
    return table(["Dictionary", "L0", "Variance explained", "Loss recovered", "Dead", "Training tokens"], lines)


def loss_table() -> str:
    """Return the language model's training curve in ten lines, as its log holds it."""
    log = [json.loads(line) for line in (WORK / "log.jsonl").read_text().splitlines()]
    chosen = sorted({round(i) for i in np.linspace(0, len(log) - 1, 10)})
    lines = [
        [f"{log[i]['tokens'] / 1e6:.1f} M", f"{log[i]['stdlib_held_out']:.2f}", f"{log[i]['packages_held_out']:.2f}"]
        for i in chosen
    ]
    return table(["Tokens seen", "Standard library", "Packages"], lines)


def final_losses(model: LanguageModel) -> dict[str, float]:
    """Return the loss of the stored model on held-out rows of its full context, nats a token."""
    found = {}
    for name in ("stdlib", "packages"):
        stream = np.load(WORK / f"{name}-held-out.npy").astype(np.int64)
        n_rows = min(N_LOSS_ROWS, len(stream) // model.n_ctx)
        rows = stream[: n_rows * model.n_ctx].reshape(n_rows, model.n_ctx)
        found[name] = cross_entropy(model, rows, "blocks.0.hook_resid_pre", None)
    return found


def continuation(model: LanguageModel, prompt: str, *, seed: int, length: int = 90) -> str:
    """Sample a continuation at TEMPERATURE.

    A byte-level tokenizer joins a space to the word after it, so a space that ends the prompt is
    held back and the first sampled token must begin with one.
    """
    import torch

    words = model.token_strings
    spaced = torch.tensor([word.startswith(" ") for word in words])
    ids = [0, *model.tokenizer.encode(prompt.rstrip(" ")).ids]
    generator = torch.Generator().manual_seed(seed)
    for step in range(length):
        with model.lock, torch.no_grad():
            logits = model.hooked(torch.tensor([ids]))[0, -1] / TEMPERATURE
        if step == 0 and prompt.endswith(" "):
            logits = logits.masked_fill(~spaced, -torch.inf)
        ids.append(int(torch.multinomial(logits.softmax(0), 1, generator=generator)))
        if ids[-1] == 0:
            break
    return "".join(words[i] for i in ids if i)


def samples(model: LanguageModel) -> str:
    """Return the first two continuations of each prompt (seeds 0 and 1, none left out)."""
    texts = [continuation(model, prompt, seed=seed) for prompt in PROMPTS for seed in (0, 1)]
    return "\n\n".join(f"```python\n{text.rstrip()}\n```" for text in texts)


def position_lines(model: LanguageModel, name: str) -> dict[str, str]:
    """Return the positional numbers of one layer-0 dictionary as name and value."""
    dictionary = open_dictionary(f"demo/{name}", Workspace())
    stats = position_statistics(dictionary, model)
    scores = position_score(stats)
    ranked = np.sort(scores)[::-1]
    count = suggested_count(stats)
    peaks = np.sort(peak(stats)[np.argsort(-scores)[:count]])
    gap = int(np.diff(np.concatenate([[0], peaks, [stats.context_size - 1]])).max())
    nmse = error_by_position(dictionary, model, held_out_rows(N_ERROR_ROWS * model.n_ctx, model.n_ctx)).nmse
    lines = {f"Position score at rank {rank}": f"{ranked[rank]:.3f}" for rank in RANKS}
    lines["Positional features (elbow)"] = f"{count}"
    lines["Positions that are a peak"] = f"{len(set(peaks.tolist()))} of {stats.context_size}"
    lines["Widest gap between peaks"] = f"{gap}"
    for title, part in (("0 to 127", slice(128)), ("128 to 255", slice(128, None)), ("224 to 255", slice(224, None))):
        lines[f"Normalised error, positions {title}"] = f"{nmse[part].mean():.3f}"
    return lines


def position_table(model: LanguageModel) -> str:
    """Return the positional numbers, one column per layer-0 dictionary."""
    names = [s.name for s in DICTIONARIES if s.layer == 0]
    columns = [position_lines(model, name) for name in names]
    lines = [[key, *(column[key] for column in columns)] for key in columns[0]]
    return table(["", *(f"`{name}`" for name in names)], lines)


def measured_text() -> str:
    """Return everything between the markers."""
    model = LanguageModel(MODEL_DIR)
    losses = final_losses(model)
    n_tokens = next(iter(json.loads((DICTIONARIES_DIR / "index.json").read_text()).values()))["measured"]["n_tokens"]
    seen = ModelSettings().training_tokens / 1e6
    size = sum(f.stat().st_size for f in DEMO.rglob("*.safetensors")) / 1e6
    return f"""## Dictionaries

Measured with the stored half-precision weights on {n_tokens:,} tokens of held-out text (rows of 128, standard
library and packages), the loss on 20,000 of them.

{dictionary_table()}

All weights together take {size:.1f} MB.

## Positions at layer 0

Scores from all tokens at all positions; errors on {N_ERROR_ROWS} held-out rows of 256 tokens, as
|x - x̂|² / |x - mean|² per position.

{position_table(model)}

## Language model

Held-out loss of the stored weights, nats a token, on {N_LOSS_ROWS} rows of each text: standard library
{losses["stdlib"]:.3f}, packages {losses["packages"]:.3f}. It was trained on {seen:.0f} M tokens. On the way, and on the
first {HELD_OUT_ROWS} of these rows only (which are easier), the loss was:

{loss_table()}

First continuations at temperature {TEMPERATURE}, seeds 0 and 1:

{samples(model)}
"""


def write() -> None:
    """Replace what lies between the markers in demo/README.md."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n\n{measured_text()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
