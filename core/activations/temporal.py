"""The two halves of a temporal dictionary (Lubana et al. 2025): what it predicts from tokens before, what is novel."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.activations.reconstruction import ratio
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.models.batches import batches
from core.models.language_model import LanguageModel
from core.models.search import check_hooks
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

_FLOATS_PER_CALL = 2**24


@dataclass(frozen=True)
class TemporalHalves:
    """Means over rows of text, by position and by feature. x_hat = predicted + novel + bias."""

    predicted_norm: Float[np.ndarray, " pos"]
    """Length of the predicted half."""
    novel_norm: Float[np.ndarray, " pos"]
    error_predicted: Float[np.ndarray, " pos"]
    """|x - predicted - bias|^2: what the prediction leaves."""
    error_both: Float[np.ndarray, " pos"]
    """|x - x_hat|^2."""
    spread: Float[np.ndarray, " pos"]
    """|x - mean|^2, with the mean over all tokens."""
    predicted_code: Float[np.ndarray, " d_sae"]
    """Mean over all tokens of a feature's predicted code, which may be negative."""
    novel_code: Float[np.ndarray, " d_sae"]
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, weights_sha256: str, model_sha256: str, rows_sha256: str) -> str:
        return artifact_key(
            "temporal-halves", cls.version, weights=weights_sha256, model=model_sha256, rows=rows_sha256
        )

    def position_table(self) -> pd.DataFrame:
        """One row per position: position, predicted_norm, novel_norm, fve_predicted, fve_both."""
        columns = {"position": np.arange(len(self.spread))}
        columns |= {"predicted_norm": self.predicted_norm, "novel_norm": self.novel_norm}
        columns |= {"fve_predicted": 1 - ratio(self.error_predicted, self.spread)}
        return pd.DataFrame(columns | {"fve_both": 1 - ratio(self.error_both, self.spread)})

    def feature_table(self) -> pd.DataFrame:
        """One row per feature: feature, predicted_code, novel_code."""
        columns = {"feature": np.arange(len(self.novel_code)), "predicted_code": self.predicted_code}
        return pd.DataFrame(columns | {"novel_code": self.novel_code})

    @property
    def fve_predicted(self) -> float:
        """Variance explained by the predicted half alone, over all tokens: divided once at the end."""
        return float(1 - self.error_predicted.sum() / self.spread.sum()) if self.spread.sum() > 0 else np.nan

    @property
    def fve_both(self) -> float:
        return float(1 - self.error_both.sum() / self.spread.sum()) if self.spread.sum() > 0 else np.nan


def temporal_halves(
    dictionary: Dictionary, model: LanguageModel, rows: Int[np.ndarray, "row pos"], *, progress: Progress = SILENT
) -> TemporalHalves:
    """Run a temporal dictionary on rows of token ids and take its output apart. `progress` counts rows.

    Raises DoesNotFitError for any other dictionary, or one of another model.
    """
    check_hooks(dictionary, model)
    if dictionary.config.architecture != "temporal":
        raise DoesNotFitError(
            f"{dictionary.title} is a {dictionary.config.kind} dictionary, whose output has no halves. Expected a "
            "temporal one; choose another."
        )
    n, n_pos = rows.shape
    by_position, codes = np.zeros((5, n_pos)), np.zeros((2, dictionary.d_sae))
    total = np.zeros((n_pos, dictionary.d_in))
    shift: np.ndarray | None = None  # x is shifted by one of its values first, as its mean may be far from 0
    step = max(1, _FLOATS_PER_CALL // (n_pos * dictionary.d_sae))
    for _, x in batches(model, rows, dictionary.config.hook_name, step=step, progress=progress):
        halves = dictionary.halves(x)
        x, predicted, novel, bias = (part.astype(np.float64) for part in (x, *halves[:3]))
        shift = x[0, -1] if shift is None else shift
        squares = ((x - predicted - bias) ** 2, (x - predicted - novel - bias) ** 2, (x - shift) ** 2)
        norms = [np.linalg.norm(half, axis=-1).sum(axis=0) for half in (predicted, novel)]
        by_position += np.stack([*norms, *(square.sum(axis=(0, 2)) for square in squares)])
        codes += np.stack([half.sum(axis=(0, 1), dtype=np.float64) for half in halves[3:]])
        total += (x - shift).sum(axis=0)
    means, at = by_position / n, total / n
    mean = at.mean(axis=0)
    means[4] = np.maximum(means[4] - 2 * at @ mean + mean @ mean, 0)  # the true value cannot be negative
    return TemporalHalves(*means, *(codes / rows.size))
