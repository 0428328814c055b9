"""Rows of text through a model, a few at a time.

The number of rows run together changes the result of a row by rounding only.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from core.models.language_model import LanguageModel
from core.work.jobs import SILENT, Progress

TOKENS_PER_RUN = 2**12


def rows_per_run(n_pos: int, tokens: int | None = None) -> int:
    """Number of rows that are run together: those of about `tokens` tokens (default TOKENS_PER_RUN), at least one."""
    return max(1, (tokens or TOKENS_PER_RUN) // n_pos)


def batches(
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    hook_name: str,
    *,
    step: int | None = None,
    progress: Progress = SILENT,
) -> Iterator[tuple[slice, Float[np.ndarray, "batch pos d_in"]]]:
    """Run `step` rows of token ids at a time (default `rows_per_run`); yield their slice and the activations at a hook.

    `progress` counts rows; a batch counts when the caller asks for the next one. Raises what
    `LanguageModel.activations` raises.
    """
    step = step or rows_per_run(rows.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        yield part, model.activations(rows[part], hook_name)
        progress.update(part.stop, len(rows))
