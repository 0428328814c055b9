"""Tries a dictionary with other recipes on a few tokens: does one of them reconstruct more of the input?

A healthy dictionary does best as it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.dictionaries.config import check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError
from core.models.language_model import LanguageModel
from core.models.search import check_hooks
from core.overview import attempts
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

POOR, ENOUGH = 0.2, 0.5
"""A recipe that explains less of the variance helps nobody; one that explains so much needs no dearer attempts."""
_TOKENS, _POSITIONS, _FLOATS = 512, 32, 2**23


@dataclass(frozen=True)
class RecipeProbe:
    """Variance explained on a few tokens in several ways of feeding a dictionary; the first is as it is.

    Position 0 and outliers are read by the model and not judged, as one of them can outweigh all others.
    """

    kinds: tuple[str, ...]
    """Of core.overview.attempts."""
    details: tuple[str, ...]
    """What was changed: a factor, a number, a hook; empty where the kind says it all."""
    fve: Float[np.ndarray, " attempt"]
    """NaN where the attempt gave no number."""
    l0: float
    n_tokens: int
    """Tokens that were judged."""
    n_outliers: int
    """Tokens after position 0 that were not judged because their inputs are too long."""
    fve_with_outliers: float
    outlier_error_share: float
    """Of the squared error as it is, on judged tokens and outliers."""
    version: ClassVar[int] = 1

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        *,
        expected_l0: float | None = None,
        left_out: tuple[int, ...] = (),
    ) -> str:
        return artifact_key(
            "recipe-probe",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            expected_l0=expected_l0,
            left_out=" ".join(map(str, left_out)),
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per attempt: recipe (kind and detail), recipe_fve."""
        names = [f"{kind} {detail}".strip() for kind, detail in zip(self.kinds, self.details, strict=True)]
        return pd.DataFrame({"recipe": names, "recipe_fve": self.fve})

    @property
    def plain(self) -> float:
        """Variance explained as it is; a number far below 0 if it is not defined."""
        return float(np.nan_to_num(self.fve[0], nan=-1e9))

    def best(self, kinds: Iterable[str]) -> int | None:
        """Return the number of the attempt of these kinds that explains most; None if no attempt gave a number."""
        made = [i for i, kind in enumerate(self.kinds) if kind in set(kinds) and not np.isnan(self.fve[i])]
        return max(made, key=lambda i: self.fve[i]) if made else None


def expected_l0(dictionary: Dictionary) -> float | None:
    """Return how many features should be active on a token: as published, or as the config says."""
    said = (dictionary.origin.published.get("l0"), dictionary.config.k, *map(dictionary.metadata.get, ("k", "l0")))
    numbers = (value for value in said if isinstance(value, int | float) and not isinstance(value, bool))
    return next((float(value) for value in numbers if 0 < value < np.inf), None)


def probe_recipes(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    expected_l0: float | None = None,
    left_out: tuple[int, ...] = (),
    progress: Progress = SILENT,
) -> RecipeProbe:
    """Try other recipes on the beginnings of some rows, about 512 tokens, fewer for wide dictionaries.

    `expected_l0` is how many features the source says are active on a token; tokens in `left_out` are not
    judged. Raises DoesNotFitError if dictionary and model do not fit together, and CorpusError if there are no tokens.
    """
    check_hooks(dictionary, model)
    check_reconstructs(dictionary.config, dictionary.title)
    if rows.size == 0:
        raise CorpusError(f"Rows of shape {rows.shape} hold no tokens to try; expected at least one. Choose a text.")
    sample = attempts.read_sample(dictionary, model, beginnings(rows, dictionary.d_sae), left_out)
    x_hat = attempts.reconstruct(dictionary, sample.x)
    tried = _Found(progress, sample.fve(x_hat))
    l0 = float((attempts.encode(dictionary, sample.x) != 0).sum(axis=-1)[sample.judged].mean())
    tried.add(attempts.on_input(dictionary, model, sample))
    tried.add(attempts.on_activations(dictionary, sample, l0=l0, expected_l0=expected_l0, plain=tried.best))
    if tried.best < ENOUGH:  # these run the model again
        tried.add(attempts.on_model(dictionary, model, sample))
    if tried.best < POOR:
        tried.add(attempts.on_hooks(dictionary, model, sample))
    return tried.finish(sample, x_hat, l0)


def beginnings(rows: Int[np.ndarray, "row pos"], d_sae: int) -> Int[np.ndarray, "few start"]:
    """Return the first positions of the first rows: many texts for few tokens. Later tokens change nothing."""
    n_tokens = min(_TOKENS, max(64, _FLOATS // d_sae))
    n_pos = min(rows.shape[1], _POSITIONS)
    return rows[: max(1, n_tokens // n_pos), :n_pos]


class _Found:
    """The results of the attempts so far."""

    def __init__(self, progress: Progress, plain: float):
        self._progress = progress
        self._made = [(attempts.AS_IS, "", plain)]

    @property
    def best(self) -> float:
        return max(np.nan_to_num(fve, nan=-np.inf) for *_, fve in self._made)

    def add(self, more: Iterable[attempts.Attempt]) -> None:
        for kind, detail, attempt in more:
            self._progress.note(f"{kind} {detail}".strip())
            self._made.append((kind, detail, attempt()))

    def finish(self, sample: attempts.Sample, x_hat: np.ndarray, l0: float) -> RecipeProbe:
        error = ((sample.target - x_hat).astype(np.float64) ** 2).sum(axis=-1)
        either = sample.judged | sample.outliers
        kinds, details, fve = zip(*self._made, strict=True)
        return RecipeProbe(
            kinds=kinds,
            details=details,
            fve=np.array(fve),
            l0=l0,
            n_tokens=int(sample.judged.sum()),
            n_outliers=int(sample.outliers.sum()),
            fve_with_outliers=sample.fve(x_hat, judged=either),
            outlier_error_share=float(error[sample.outliers].sum() / error[either].sum()) if error.any() else 0.0,
        )
