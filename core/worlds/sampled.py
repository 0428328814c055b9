"""What a dictionary of the known world does on inputs drawn from it, counted as a token pass counts text."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from core.activations.encoding import Encoder
from core.activations.statistics import ActivationStatistics, Tally
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.world import N_FEATURES, draw
from core.work.progress import SILENT, Progress

N_INPUTS, ROW = 20_000, 20
"""Inputs drawn, and how many stand in one row, as tokens would."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """The statistics of the token pass, and how the firing of both kinds of features goes together."""

    statistics: ActivationStatistics
    rate: Float[np.ndarray, " feature"]
    """Share of the inputs on which each feature of the world fires."""
    both: Float[np.ndarray, "feature d_sae"]
    """Share of the inputs on which a feature of the world and one of the dictionary fire."""

    @property
    def density(self) -> Float[np.ndarray, " d_sae"]:
        """Share of the inputs on which each feature of the dictionary fires."""
        return self.statistics.feature_table()["density"].to_numpy()


def sampled(dictionary: Dictionary, *, n: int = N_INPUTS, progress: Progress = SILENT) -> Sampled:
    """Draw inputs of the world and count what fires; n is rounded down to whole rows. `progress` counts inputs."""
    x, true = draw(n // ROW * ROW)
    rows = np.arange(len(x)).reshape(-1, ROW)  # stands for token ids
    block = Encoder(dictionary).encoded(rows, [x], progress)
    tally = Tally(ROW, dictionary.d_sae, dictionary.config.d_out)
    tally.add(block)
    return Sampled(tally.finish(), (true > 0).mean(axis=0), _together(true > 0, fires(block, dictionary.d_sae)))


def fires(block, d_sae: int) -> Bool[np.ndarray, "token d_sae"]:
    """Return which features are active on which tokens of a block."""
    active = np.zeros((len(block.ends), d_sae), bool)
    active[np.repeat(np.arange(len(block.ends)), np.diff(block.ends, prepend=0)), block.features] = True
    return active


def _together(
    true: Bool[np.ndarray, "token feature"], active: Bool[np.ndarray, "token d_sae"]
) -> Float[np.ndarray, "feature d_sae"]:
    """Return the share of the tokens on which both are; whole numbers below 2^24 are exact in float32."""
    assert len(true) < 2**24
    counts = true.astype(np.float32).T @ active.astype(np.float32)
    assert counts.shape[0] == N_FEATURES
    return counts.astype(np.float64) / len(true)
