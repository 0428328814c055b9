"""What each feature adds to the logit of every token."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from core.errors import BadSettingError, UnknownNameError
from core.logit_weights.classes import ClassThresholds, token_table
from core.logit_weights.statistics import logit_weights
from core.logit_weights.study import LogitStudy, drawn_features, logits_device, wanted_logits
from core.logit_weights.unembedding import LogitSettings, Unembedding, unembedding
from sae_loupe.opened import Opened
from sae_loupe.results import StudyResult
from sae_loupe.words import number


@dataclass(frozen=True, eq=False, repr=False)
class Logits(StudyResult):
    """Statistics of the logit weights of every feature, from core.logit_weights.

    `mean`, `std`, `skewness`, `kurtosis`, `minimum`, `maximum` are [d_sae]; `top_tokens`, `top_values`,
    `bottom_tokens`, `bottom_values` [d_sae, 20].
    """

    study: LogitStudy

    def to_frame(self) -> pd.DataFrame:
        """One row for each feature, in order: class, moments, and its first token at either end."""
        return self.study.table

    def weights(self, feature: int) -> np.ndarray:
        """Return one feature's logit weight on every token, [n_tokens]; the tokens are those of `unembedding`."""
        settings, feature = self.study.settings, number("Feature", feature, len(self.stats.mean))
        return logit_weights(self.study.directions, self.unembedding, [feature], center=settings.center)[0]

    @property
    def unembedding(self) -> Unembedding:
        """The processed W_U: `rows` [n_tokens, d_model] and `tokens` [n_tokens]."""
        return unembedding(self.study.model, self.study.settings)

    def tokens(self, feature: int, end: str = "top") -> pd.DataFrame:
        """Return the 20 tokens that a feature promotes most ('top') or suppresses most ('bottom').

        Columns: token, token_label, logit_weight.
        """
        if end not in ("top", "bottom"):
            raise UnknownNameError("end", end, ["top", "bottom"])
        feature = number("Feature", feature, len(self.stats.mean))
        return token_table(self.stats, feature, self.study.model.token_strings, end=end)

    def chart(self):
        """Draw skewness against kurtosis of all features; of very many, those with a large kurtosis and a sample."""
        from ui.logit_weights.charts import shape_scatter
        from ui.shared.finish import finished

        rules = ClassThresholds()
        drawn = self.study.table.iloc[drawn_features(self.stats, rules)]
        borders = {"skewness": (-rules.even, rules.even), "kurtosis": (rules.flat, rules.peaked)}
        colour = {"colour": "logit_class", "colour_title": "Class"}
        return finished(shape_scatter(drawn, y="kurtosis", y_title="Kurtosis", borders=borders, **colour), dark=False)


def of(sae: Opened, **settings: Any) -> Logits:
    """Compute statistics of logit weights, as the page Logit weights does."""
    dictionary, model, chosen = sae.dictionary, sae.model, checked(settings)
    stats = sae.wanted(wanted_logits(dictionary, model, chosen, sae.device()))
    return Logits(LogitStudy(dictionary, model, chosen, stats, logits_device(dictionary.d_sae, model, sae.device())))


def checked(settings: dict[str, Any]) -> LogitSettings:
    """Return settings by their names. Raises UnknownNameError and BadSettingError."""
    known = {field.name: field.type for field in fields(LogitSettings)}
    for name, value in settings.items():
        if name not in known:
            raise UnknownNameError("setting of logit weights", name, list(known))
        expected = ("mean", "median", "none") if name == "center" else (True, False)
        if value not in expected:
            raise BadSettingError(f"{name} is {value!r}. Expected one of {', '.join(map(repr, expected))}.")
    return LogitSettings(**settings)
