"""Texts on which features are most active: a pass over rows of text that keeps the chosen features only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.dictionary import Dictionary
from core.encoded_rows import encoded_rows
from core.errors import CorpusError, OutOfRangeError
from core.jobs import Progress
from core.language_model import LanguageModel, check_fit


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
    best = _Strongest(list(features), rows, n)
    for start, acts in encoded_rows(dictionary, model, rows, progress=progress):
        best.add(start, acts)
    return best.examples()


class _Strongest:
    """The n strongest rows of some features, of all batches seen so far; memory does not grow with the batches."""

    def __init__(self, features: list[int], rows: Int[np.ndarray, "row pos"], n: int):
        self._features, self._rows, self._n = features, rows, n
        self._acts = np.empty((len(features), 0, rows.shape[1]), np.float32)
        self._row = np.empty((len(features), 0), np.int64)
        self._count = np.zeros(len(features), np.int64)

    def add(self, start: int, acts: Float[np.ndarray, "batch pos d_sae"]) -> None:
        """Take in the rows from `start` on."""
        new = np.moveaxis(acts[..., self._features], -1, 0)
        self._count += np.count_nonzero(new, axis=(1, 2))
        numbers = np.broadcast_to(np.arange(start, start + len(acts)), new.shape[:2])
        acts, row = np.concatenate([self._acts, new], axis=1), np.concatenate([self._row, numbers], axis=1)
        # Earlier rows stand first, and so they do among equals.
        order = np.argsort(-acts.max(axis=2), axis=1, kind="stable")[:, : self._n]
        self._acts = np.take_along_axis(acts, order[..., None], axis=1)
        self._row = np.take_along_axis(row, order, axis=1)

    def examples(self) -> list[FeatureExamples]:
        found = []
        for feature, acts, row, count in zip(self._features, self._acts, self._row, self._count, strict=True):
            active = acts.max(axis=1) > 0
            found.append(FeatureExamples(feature, self._rows[row[active]], acts[active], int(count), self._rows.size))
        return found
