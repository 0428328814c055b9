"""One dictionary's logit-weight statistics, with everything that views and exports need."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core import tables
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.logit_weights.classes import ClassThresholds, classify, logit_table
from core.logit_weights.statistics import LogitStatistics, logit_statistics, random_directions
from core.logit_weights.unembedding import (
    LogitSettings,
    describe_directions,
    residual_directions,
    source_key,
    unembedding,
)
from core.maths.samples import drawn_places
from core.models.language_model import LanguageModel
from core.work.calls import call
from core.work.progress import SILENT, Progress
from core.work.wanted import Wanted

BASELINE_SEED = 0
"""Of the random directions that a dictionary is compared with."""


@dataclass(frozen=True)
class LogitStudy:
    """Everything that the views of logit weights share, for one dictionary and one choice of settings."""

    dictionary: Dictionary
    model: LanguageModel
    settings: LogitSettings
    stats: LogitStatistics
    device: Device = CPU
    """The device that computed `stats`."""

    @cached_property
    def directions(self) -> Float[np.ndarray, "d_sae d_model"]:
        """What each feature adds to the residual stream."""
        return residual_directions(self.dictionary, self.model, self.settings)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per feature (see `logit_table`), with classes by the default thresholds."""
        return logit_table(self.stats, self.model.token_strings)

    @cached_property
    def most_peaked(self) -> int | None:
        """The feature with the largest kurtosis of those with long tails of promoted tokens; None if none has a shape.

        It promotes a few tokens far more than all others.
        """
        kurtosis = np.where(self.stats.skewness > 0, self.stats.kurtosis, -np.inf)
        kurtosis[self.stats.constant | np.isnan(kurtosis)] = -np.inf
        return int(kurtosis.argmax()) if np.isfinite(kurtosis).any() else None

    def classified(self, thresholds: ClassThresholds) -> pd.DataFrame:
        """Return `table` with classes by other thresholds."""
        return self.table.assign(logit_class=classify(self.stats, thresholds))

    def note(self, *more: str) -> str:
        """Return a line that names the data of a figure."""
        parts = [
            f"{self.stats.n_tokens:,} tokens",
            self.settings.describe(self.model),
            *describe_directions(self.dictionary, self.model),
            f"d_sae {self.dictionary.d_sae:,}",
        ]
        parts.append("decoder norms folded" if self.dictionary.folded else "decoder norms as stored")
        return " · ".join([*parts, *self.device.inputs.values(), *more])

    @cached_property
    def provenance(self) -> dict:
        return tables.provenance(
            dictionary=self.dictionary,
            model=self.model,
            method="logit weights",
            settings=self.settings.done_to(self.model).as_inputs() | self.device.inputs,
        )


def drawn_features(
    stats: LogitStatistics, thresholds: ClassThresholds, *, most: int = 5000, seed: int = 0
) -> Int[np.ndarray, " n"]:
    """Choose at most `most` features for a scatter plot, ascending: the peaked ones, and a random sample of the others.

    Constant features are left out. If the peaked ones alone are more than `most`, they are sampled too.
    """
    varied = np.flatnonzero(~stats.constant)
    peaked = stats.kurtosis[varied] > thresholds.peaked
    order = np.concatenate([varied[peaked], varied[~peaked]])
    return drawn_places(order, whole=int(peaked.sum()), most=most, seed=seed)


def logits_device(n: int, model: LanguageModel, device: Device) -> Device:
    """Return where logit weights of so many features are best computed, given the chosen device."""
    return device.for_work(n * model.d_vocab * model.d_model)


def statistics_key(dictionary: Dictionary, model: LanguageModel, settings: LogitSettings, device: Device) -> str:
    """Name the statistics of a dictionary, given the chosen device."""
    device = logits_device(dictionary.d_sae, model, device)
    return LogitStatistics.key(dictionary.sha256, source_key(model, settings), settings, device=device)


def wanted_logits(
    dictionary: Dictionary, model: LanguageModel, settings: LogitSettings, device: Device
) -> Wanted[LogitStatistics]:
    """Name the statistics of a dictionary with what computes them. Raises DoesNotFitError when it computes."""
    where = logits_device(dictionary.d_sae, model, device)
    work = call(_statistics, dictionary, model, settings, device=where)
    key = statistics_key(dictionary, model, settings, device)
    return Wanted(LogitStatistics, key, f"Logit weights of {dictionary.title}", work)


def _statistics(
    dictionary: Dictionary, model: LanguageModel, settings: LogitSettings, device: Device, progress: Progress = SILENT
) -> LogitStatistics:
    rows, tokens = residual_directions(dictionary, model, settings), unembedding(model, settings)
    return logit_statistics(rows, tokens, center=settings.center, device=device, progress=progress)


def wanted_random(n: int, model: LanguageModel, settings: LogitSettings, device: Device) -> Wanted[LogitStatistics]:
    """Name the statistics of n random directions, seeded, on this device."""
    work = call(_of_random, n, model, settings, device=device)
    name = f"{n} random directions, seed {BASELINE_SEED}"
    key = LogitStatistics.key(name, source_key(model, settings), settings, device=device)
    return Wanted(LogitStatistics, key, "Logit weights of random directions", work)


def _of_random(
    n: int, model: LanguageModel, settings: LogitSettings, device: Device, progress: Progress = SILENT
) -> LogitStatistics:
    rows, tokens = random_directions(n, model.d_model, seed=BASELINE_SEED), unembedding(model, settings)
    return logit_statistics(rows, tokens, center=settings.center, device=device, progress=progress)
