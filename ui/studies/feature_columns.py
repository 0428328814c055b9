"""All numbers that pages have for each feature of a dictionary, under their names in the catalogue.

The map colours by them and tables list them. A page with a new number adds it here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core import catalogue
from core.geometry.tables import encoder_decoder_cosine
from core.logit_weights.unembedding import LogitSettings
from ui.studies import geometry, logit_weights, opened, positions, token_pass

Values = Callable[[str | None], np.ndarray]


@dataclass(frozen=True)
class FeatureColumn:
    """One number of each feature. `values` takes the id of a dictionary; None is the picked one.

    It may raise a LoupeError if a dictionary has no such number, and StillRunning while a job computes it.
    """

    name: str
    values: Values
    log: bool = False
    """Whether its values span orders of magnitude."""
    categorical: bool = False

    @property
    def title(self) -> str:
        return catalogue.statistic(self.name).title


def _position_score(name: str) -> Values:
    def values(id: str | None) -> np.ndarray:
        scores = positions.position_study(id).scores.set_index("feature").sort_index()
        return scores[name].to_numpy(dtype=float)

    return values


def _activations(name: str) -> Values:
    return lambda id: token_pass.token_pass(id).statistics.feature_table()[name].to_numpy(dtype=float)


def _logit_weights(name: str) -> Values:
    def values(id: str | None) -> np.ndarray:
        return getattr(logit_weights.logit_study(LogitSettings(), id).stats, name)

    return values


COLUMNS = {
    column.name: column
    for column in (
        FeatureColumn("density", lambda id: token_pass.token_pass(id).density, log=True),
        FeatureColumn("mean_active", _activations("mean_active"), log=True),
        FeatureColumn("largest_activation", _activations("largest_activation"), log=True),
        FeatureColumn("position_score", _position_score("position_score"), log=True),
        FeatureColumn("peak", _position_score("peak")),
        FeatureColumn("skewness", _logit_weights("skewness")),
        FeatureColumn("kurtosis", _logit_weights("kurtosis"), log=True),
        FeatureColumn("nearest_cosine", lambda id: geometry.neighbors(id).cos[:, 0]),
        FeatureColumn("encoder_decoder_cosine", lambda id: encoder_decoder_cosine(opened.dictionary(id))),
    )
}
