"""On what share of a text's tokens each feature is active (Bricken et al. 2023)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.artifacts import artifact_key
from core.corpus import rows_sha256
from core.dictionary import Dictionary
from core.encoded_rows import encoded_rows
from core.errors import CorpusError
from core.jobs import Progress
from core.language_model import LanguageModel, check_fit


@dataclass(frozen=True)
class Density:
    """Firing counts over rows of text, every position counted."""

    count: Int[np.ndarray, " d_sae"]
    """Tokens with f != 0."""
    n_tokens: int
    version: ClassVar[int] = 1

    @property
    def density(self) -> Float[np.ndarray, " d_sae"]:
        """count / n_tokens, 0 to 1."""
        return self.count / self.n_tokens

    @classmethod
    def key(cls, dictionary_sha256: str, model_sha256: str, rows: Int[np.ndarray, "row pos"]) -> str:
        return artifact_key(
            "density", cls.version, dictionary=dictionary_sha256, model=model_sha256, rows=rows_sha256(rows)
        )


def feature_density(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    progress: Progress | None = None,
    batch: int | None = None,
) -> Density:
    """Count on how many tokens of rows of token ids each feature is not zero.

    `batch` rows are encoded at a time (by default as many as make about 2**24 activations); counts do
    not depend on it. Raises DoesNotFitError for a dictionary of another model, CorpusError for no tokens.
    """
    check_fit(dictionary.config, model)
    if rows.size == 0:
        raise CorpusError(
            f"Density of {dictionary.title} needs tokens, got rows of shape {rows.shape}. Choose a text that holds "
            "at least one row."
        )
    count = np.zeros(dictionary.d_sae, np.int64)
    for _, acts in encoded_rows(dictionary, model, rows, progress=progress, batch=batch):
        count += np.count_nonzero(acts, axis=(0, 1))
    return Density(count, rows.size)
