"""All numbers that pages have for each feature of a dictionary, under their names in the catalogue.

The map colours by them and tables list them. A page with a new number adds it here.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from core import catalogue
from core.errors import LoupeError
from core.geometry.tables import encoder_decoder_cosine
from core.logit_weights.unembedding import LogitSettings
from ui.shared.errors import NotReady
from ui.studies import atlas, compute, geometry, logit_weights, opened, positions, stability, token_pass

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
    text: Callable[[str | None], tuple[str, str]] | None = None
    """Returns the text that the number was computed on, with its BOS rule, and the hash of its rows; None for a number
    of weights alone."""

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


def _atlas(name: str) -> Values:
    return lambda id: atlas.study(id).table[name].to_numpy(dtype=float)


def _atlas_text(id: str | None) -> tuple[str, str]:
    study = atlas.study(id)
    return study.note, study.passed.rows_sha256


def _passed_text(id: str | None) -> tuple[str, str]:
    passed = token_pass.token_pass(id)
    return passed.text, passed.rows_sha256


def _positions_text(id: str | None) -> tuple[str, str]:
    study = positions.position_study(id)
    return study.text, study.rows_sha256


def texts(name: str, ids: Sequence[str]) -> dict[str, str]:
    """Return what a download says of the text behind a column, with its hash; nothing for numbers of weights alone."""
    read = COLUMNS[name].text if name in COLUMNS else None
    if read is None:
        return {}
    with suppress(NotReady, LoupeError), compute.only_stored():
        if said := list(dict.fromkeys(pair for pair in map(read, ids) if pair[0])):
            notes, hashes = (dict.fromkeys(part) for part in zip(*said, strict=True))
            return {"text": "; ".join(notes), "rows_sha256": "; ".join(hashes)}
    return {}


COLUMNS = {
    column.name: column
    for column in (
        FeatureColumn("density", lambda id: token_pass.token_pass(id).density, log=True, text=_passed_text),
        FeatureColumn("mean_active", _activations("mean_active"), log=True, text=_passed_text),
        FeatureColumn("largest_activation", _activations("largest_activation"), log=True, text=_passed_text),
        FeatureColumn("atlas_effect", _atlas("atlas_effect"), text=_atlas_text),
        FeatureColumn("atlas_per_firing", _atlas("atlas_per_firing"), log=True, text=_atlas_text),
        FeatureColumn("atlas_over_chance", _atlas("atlas_over_chance"), log=True, text=_atlas_text),
        FeatureColumn("position_score", _position_score("position_score"), log=True, text=_positions_text),
        FeatureColumn("peak", _position_score("peak"), text=_positions_text),
        FeatureColumn("skewness", _logit_weights("skewness")),
        FeatureColumn("kurtosis", _logit_weights("kurtosis"), log=True),
        FeatureColumn("nearest_cosine", lambda id: geometry.neighbors(id).cos[:, 0]),
        FeatureColumn("return_share", lambda id: stability.study(id).found.share),
        FeatureColumn("mean_return_cosine", lambda id: stability.study(id).mean_cosine),
        FeatureColumn("encoder_decoder_cosine", lambda id: encoder_decoder_cosine(opened.dictionary(id))),
    )
}
