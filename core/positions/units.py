"""The model's own units (neurons, residual dimensions) by position, from text.

Gurnee et al. 2024 (Universal neurons, figure 1) found position neurons in this way: the mean value of a unit along
positions with its spread, and the share of its variance that position explains.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.models.batches import batches
from core.models.language_model import LanguageModel
from core.positions.statistics import NO_SPREAD
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress


@dataclass(frozen=True)
class UnitCurves:
    """Mean and population standard deviation of every unit at a hook over rows of text."""

    mean: Float[np.ndarray, "unit pos"]
    std: Float[np.ndarray, "unit pos"]
    n_rows: int
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, model_sha256: str, hook_name: str, rows_sha256: str) -> str:
        return artifact_key("unit-curves", cls.version, model=model_sha256, hook=hook_name, rows=rows_sha256)

    @property
    def positional_r2(self) -> Float[np.ndarray, " unit"]:
        """Var_p(mean) / total variance over rows and positions; NaN for a unit that never varies."""
        between = self.mean.var(axis=1)
        total = between + (self.std**2).mean(axis=1)
        whole = total + self.mean.mean(axis=1) ** 2
        return np.divide(between, total, out=np.full_like(total, np.nan), where=total > NO_SPREAD * whole)

    def score_table(self) -> pd.DataFrame:
        """One row per unit, the most positional first: unit, positional_r2, largest_mean_unit, peak."""
        columns = {
            "unit": np.arange(len(self.mean)),
            "positional_r2": self.positional_r2,
            "largest_mean_unit": self.mean.max(axis=1),
            "peak": self.mean.argmax(axis=1),
        }
        return pd.DataFrame(columns).sort_values("positional_r2", ascending=False, ignore_index=True)

    def curve_table(self, units: Sequence[int]) -> pd.DataFrame:
        """Columns unit, position, mean, std, low, high (one standard deviation either side)."""
        n_pos = self.mean.shape[1]
        chosen = np.repeat(np.asarray(units, dtype=int), n_pos)
        position = np.tile(np.arange(n_pos), len(units))
        mean, std = self.mean[chosen, position], self.std[chosen, position]
        columns = {"unit": chosen, "position": position, "mean": mean, "std": std}
        return pd.DataFrame(columns | {"low": mean - std, "high": mean + std})


def unit_curves(
    model: LanguageModel,
    hook_name: str,
    rows: Int[np.ndarray, "row pos"],
    *,
    progress: Progress = SILENT,
    batch: int = 16,
) -> UnitCurves:
    """Run rows of text through the model and take moments of every unit at every position.

    Sums are kept in float64, of values shifted by the first row's (their mean may be far from 0).
    """
    shift = total = square = None
    for _, values in batches(model, rows, hook_name, step=batch, progress=progress):
        x = values.astype(np.float64)
        if shift is None:
            shift, total, square = x[0].copy(), np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
        x -= shift
        total += x.sum(0)
        square += (x * x).sum(0)
    mean = total / len(rows)
    variance = np.maximum(square / len(rows) - mean**2, 0)
    return UnitCurves((mean + shift).T.copy(), np.sqrt(variance).T.copy(), len(rows))
