"""Measure a dictionary as it is stored, on text that neither it nor the model was trained on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.corpus.streams import sample_rows
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources.folder import read_folder
from core.models.batches import batches
from core.models.language_model import LanguageModel
from demo.settings import WORK, TextSettings

N_TOKENS = 200_000
N_CE_TOKENS = 20_000


def held_out_rows(n_tokens: int, context: int = TextSettings.context) -> np.ndarray:
    """Return rows of held-out text: half standard library, or as much as is held out of it, then packages."""
    stdlib, packages = (np.load(WORK / f"{name}-held-out.npy").astype(np.int64) for name in ("stdlib", "packages"))
    n_rows = -(-n_tokens // context)
    n_stdlib = min(n_rows // 2, len(stdlib) // context)
    return np.concatenate(
        [
            sample_rows(stdlib, n_rows=n_stdlib, context=context, seed=0),
            sample_rows(packages, n_rows=n_rows - n_stdlib, context=context, seed=0),
        ]
    )


def reconstruction(dictionary: Dictionary, model: LanguageModel, rows: np.ndarray) -> dict[str, float]:
    """Return l0, fve and dead_share over the tokens of `rows`.

    fve is 1 - sum |x - x_hat|^2 / sum |x - mean|^2, divided once at the end.
    """
    fired = np.zeros(dictionary.d_sae, bool)
    active = error = squares = 0.0
    total = np.zeros(dictionary.d_in)
    for _, passing in batches(model, rows, dictionary.config.hook_name, step=32):
        x = passing.reshape(-1, dictionary.d_in)
        acts = dictionary.encode(x)
        fired |= (acts != 0).any(0)
        active += float((acts != 0).sum())
        error += float(((x - dictionary.reconstruct(x)).astype(np.float64) ** 2).sum())
        squares += float((x.astype(np.float64) ** 2).sum())
        total += x.sum(0, dtype=np.float64)
    spread = squares - float(total @ total) / rows.size
    return {"l0": active / rows.size, "fve": 1 - error / spread, "dead_share": float(1 - fired.mean())}


def cross_entropy(model: LanguageModel, rows: np.ndarray, hook_name: str, change: Callable | None) -> float:
    """Return the mean next-token loss in nats with `change` applied to what passes at the hook."""
    import torch

    hooks = [] if change is None else [(hook_name, lambda x, hook: change(x))]
    losses = []
    for start in range(0, len(rows), 16):
        tokens = torch.from_numpy(rows[start : start + 16])
        with model.lock, torch.no_grad():
            loss = model.hooked.run_with_hooks(tokens, return_type="loss", loss_per_token=True, fwd_hooks=hooks)
        losses.append(loss.flatten().numpy())
    return float(np.concatenate(losses).mean(dtype=np.float64))


def ce_recovered(dictionary: Dictionary, model: LanguageModel, rows: np.ndarray) -> float:
    """Return (CE_zero - CE_spliced) / (CE_zero - CE_original)."""
    import torch

    hook_name = dictionary.config.hook_name
    original = cross_entropy(model, rows, hook_name, None)
    zero = cross_entropy(model, rows, hook_name, torch.zeros_like)
    return loss_recovered(dictionary, model, rows, original, zero)


def loss_recovered(
    dictionary: Dictionary, model: LanguageModel, rows: np.ndarray, original: float, zero: float
) -> float:
    """Return the same from the two losses that do not depend on the dictionary."""
    import torch

    def splice(x):
        return torch.from_numpy(dictionary.reconstruct(x.flatten(0, 1).numpy())).reshape(x.shape)

    return (zero - cross_entropy(model, rows, dictionary.config.hook_name, splice)) / (zero - original)


def measure(model: LanguageModel, name: str, folder: Path) -> dict[str, float]:
    """Return l0, fve, ce_recovered and dead_share of the dictionary in a folder, rounded, and n_tokens."""
    dictionary = read_folder(folder, id=f"demo/{name}", title=name)
    rows = held_out_rows(N_TOKENS)
    found = reconstruction(dictionary, model, rows)
    found["ce_recovered"] = ce_recovered(dictionary, model, held_out_rows(N_CE_TOKENS))
    order = ("l0", "fve", "ce_recovered", "dead_share")
    return {key: round(found[key], 4) for key in order} | {"n_tokens": rows.size}
