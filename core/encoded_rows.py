"""Rows of text through model and dictionary, a batch at a time, with all activations of a batch at hand."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from core.dictionary import Dictionary
from core.jobs import Progress
from core.language_model import LanguageModel

_FLOATS_PER_CALL = 2**24


def encoded_rows(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    progress: Progress | None = None,
    batch: int | None = None,
) -> Iterator[tuple[int, Float[np.ndarray, "batch pos d_sae"]]]:
    """Yield where each batch of rows begins, and its activations.

    `batch` rows are encoded at a time, by default as many as make about 2**24 activations. `progress.update(done,
    total)` counts rows once the caller is done with a batch, and may raise.
    """
    batch = batch or max(1, _FLOATS_PER_CALL // (rows.shape[1] * dictionary.d_sae))
    for start in range(0, len(rows), batch):
        yield start, dictionary.encode(model.activations(rows[start : start + batch], dictionary.config.hook_name))
        if progress is not None:
            progress.update(min(start + batch, len(rows)), len(rows))
