"""Rows of text through a model, a few at a time.

The number of rows run together changes the result of a row by rounding only.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from core.devices.device import Device
from core.models.language_model import LanguageModel
from core.models.running import weights_nbytes
from core.work.progress import SILENT, Progress

TOKENS_PER_RUN = 2**12
Place = tuple[LanguageModel, str]
"""A model, and one of its hooks."""


def model_device(model: LanguageModel, n_tokens: int, device: Device) -> Device:
    """Return where a model is best run over so many tokens, given the chosen device: each meets every weight once."""
    return device.for_work(n_tokens * weights_nbytes(model.config) // 4)


def rows_per_run(n_pos: int, tokens: int | None = None) -> int:
    """Number of rows that are run together: those of about `tokens` tokens (default TOKENS_PER_RUN), at least one."""
    return max(1, (tokens or TOKENS_PER_RUN) // n_pos)


def readers(model: LanguageModel, hooks: Sequence[str]) -> list[Place]:
    """Return which model each hook is of: all of one, or each of its own (core.models.side_by_side)."""
    beside = getattr(model, "beside", ())
    assert len(hooks) == 1 or len(beside) in (0, len(hooks))
    return [(model, hook) for hook in hooks] if len(hooks) == 1 or not beside else list(zip(beside, hooks, strict=True))


def by_model(places: Sequence[Place]) -> list[tuple[LanguageModel, list[str]]]:
    """Return each model of some places once, with its hooks, each once."""
    found: dict[int, tuple[LanguageModel, list[str]]] = {}
    for model, hook in places:
        hooks = found.setdefault(id(model), (model, []))[1]
        hooks += [] if hook in hooks else [hook]
    return list(found.values())


def read_each(places: Sequence[Place], tokens: Int[np.ndarray, "row pos"]) -> list[Float[np.ndarray, "row pos _"]]:
    """Return what passes at each place. A model runs once for all its hooks; none changes what another gives."""
    found = {}
    for model, hooks in by_model(places):
        one = len(hooks) == 1
        values = {hooks[0]: model.activations(tokens, hooks[0])} if one else model.activations_of(tokens, hooks)
        found |= {(id(model), hook): value for hook, value in values.items()}
    return [found[id(model), hook] for model, hook in places]


def activations_at(
    model: LanguageModel, tokens: Int[np.ndarray, "row pos"], hooks: Sequence[str]
) -> Float[np.ndarray, "row pos d"]:
    """Return what passes at each of the hooks, one after the other in the last axis."""
    parts = read_each(readers(model, hooks), tokens)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def batches(
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    hook_name: str | Sequence[str],
    *,
    step: int | None = None,
    progress: Progress = SILENT,
) -> Iterator[tuple[slice, Float[np.ndarray, "batch pos d_in"]]]:
    """Run `step` rows of token ids at a time (default `rows_per_run`); yield their slice and the activations at a hook.

    Of several hooks the activations are joined.
    `progress` counts rows; a batch counts when the caller asks for the next one. Raises what
    `LanguageModel.activations` raises.
    """
    step = step or rows_per_run(rows.shape[1])
    hooks = (hook_name,) if isinstance(hook_name, str) else hook_name
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        yield part, activations_at(model, rows[part], hooks)
        progress.update(part.stop, len(rows))
