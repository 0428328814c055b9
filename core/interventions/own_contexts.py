"""What ablating a feature does on the rows in which it is strongest, beside random directions as long."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int

from core.dictionaries.dictionary import Dictionary
from core.interventions.controls import Band, ControlSettings, band, draw_controls
from core.interventions.edits import Edit
from core.interventions.runs import EditedRuns
from core.models.language_model import LanguageModel
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress


@dataclass(frozen=True)
class OwnContexts:
    """The mean change of the log-likelihood of next tokens, in nats per token from the first edited one on."""

    effect: float
    """Of the ablation."""
    low: float
    high: float
    """The band of random directions, see core.interventions.controls.band."""
    n: int
    """How many there were."""
    version: ClassVar[int] = 1

    @classmethod
    def key(
        cls, dictionary_sha256: str, model_sha256: str, rows_sha256: str, *, feature: int, controls: ControlSettings
    ) -> str:
        return artifact_key(
            "own-contexts",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            feature=feature,
            n=controls.n,
            seed=controls.seed,
        )

    @property
    def outside(self) -> bool:
        """Whether the ablation lies outside the band."""
        return bool(Band(np.array(self.low), np.array(self.high), self.n, 0.0).outside(np.array(self.effect)))


def ablated_on_own_contexts(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    may_change: Bool[np.ndarray, "row pos"],
    *,
    feature: int,
    controls: ControlSettings,
    progress: Progress = SILENT,
) -> OwnContexts:
    """Ablate a feature on rows, and each time add a random direction in its place.

    `may_change` and the errors raised are those of EditedRuns. Rows in which nothing is edited count 0.
    """
    runs = EditedRuns(dictionary, model, rows, may_change=may_change)
    written = runs.written(Edit((feature,)))
    directions = draw_controls(dictionary.W_dec, (feature,), controls)
    changes = [Edit((feature,)), *directions.changes(written)[: controls.n]]
    change = runs.effects(changes, progress=progress).log_p_change[..., :-1]
    reached = np.maximum.accumulate((written != 0).any(axis=-1), axis=1)[:, :-1]
    means = change[:, reached].mean(axis=1) if reached.any() else np.zeros(len(change))
    lies = band(means[1:])
    return OwnContexts(float(means[0]), float(lies.low), float(lies.high), lies.n)
