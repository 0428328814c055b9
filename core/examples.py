"""Texts on which features are most active: a pass over rows of text that keeps the chosen features only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.dictionary import Dictionary
from core.errors import CorpusError, OutOfRangeError
from core.jobs import Progress
from core.language_model import LanguageModel, check_fit

_FLOATS_PER_CALL = 2**24


@dataclass(frozen=True)
class FeatureExamples:
    """One feature's strongest rows, strongest first; rows on which it is silent are left out."""

    feature: int
    rows: Int[np.ndarray, "example pos"]
    """Token ids."""
    acts: Float[np.ndarray, "example pos"]
    count: int
    """Tokens of all rows with f != 0."""
    n_tokens: int

    @property
    def density(self) -> float:
        return self.count / self.n_tokens


def top_examples(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    features: Sequence[int],
    *,
    n: int = 20,
    progress: Progress | None = None,
) -> list[FeatureExamples]:
    """Return for each feature the n rows with the largest activation on any token.

    Of equal ones the earlier row comes first. All features are encoded (a TopK dictionary chooses among all), those
    not asked for are dropped at once. Raises OutOfRangeError, DoesNotFitError, or CorpusError for no rows.
    """
    check_fit(dictionary.config, model)
    for feature in features:
        if not 0 <= feature < dictionary.d_sae:
            raise OutOfRangeError("Feature", feature, dictionary.d_sae)
    if rows.size == 0:
        raise CorpusError(f"Examples of {dictionary.title} need rows of text, got {rows.shape}. Choose a longer text.")
    chosen = list(features)
    kept = np.empty((len(chosen), *rows.shape), np.float32)
    batch = max(1, _FLOATS_PER_CALL // (rows.shape[1] * dictionary.d_sae))
    for start in range(0, len(rows), batch):
        part = slice(start, start + batch)
        acts = dictionary.encode(model.activations(rows[part], dictionary.config.hook_name))
        kept[:, part] = np.moveaxis(acts[..., chosen], -1, 0)
        if progress is not None:
            progress.update(min(start + batch, len(rows)), len(rows))
    return [_strongest(feature, rows, acts, n) for feature, acts in zip(chosen, kept, strict=True)]


def _strongest(
    feature: int, rows: Int[np.ndarray, "row pos"], acts: Float[np.ndarray, "row pos"], n: int
) -> FeatureExamples:
    peak = acts.max(axis=1)
    best = np.argsort(-peak, kind="stable")[:n]
    best = best[peak[best] > 0]
    return FeatureExamples(feature, rows[best], acts[best].copy(), int(np.count_nonzero(acts)), rows.size)
