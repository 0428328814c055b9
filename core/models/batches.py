"""Rows of text through a model, a few at a time.

What the model gives for a row is the same up to rounding, however many rows are run together.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from core.models.language_model import LanguageModel
from core.work.jobs import SILENT, Progress

TOKENS_PER_RUN = 2**12


def rows_per_run(n_pos: int, tokens: int | None = None) -> int:
    """Number of rows that are run together: about `tokens` (default TOKENS_PER_RUN), but at least one row."""
    return max(1, (tokens or TOKENS_PER_RUN) // n_pos)


def batches(
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    hook_name: str,
    *,
    step: int | None = None,
    progress: Progress = SILENT,
) -> Iterator[tuple[slice, Float[np.ndarray, "batch pos d_in"]]]:
    """Run `step` rows of token ids at a time (default `rows_per_run`); yield which, and what passes at the hook.

    `progress` counts rows, each batch once its user asks for the next one. Raises what `LanguageModel.activations`
    raises.
    """
    step = step or rows_per_run(rows.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        yield part, model.activations(rows[part], hook_name)
        progress.update(part.stop, len(rows))
