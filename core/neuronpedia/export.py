"""Compute what is exported about features: their strongest texts, the tokens that they promote, and histograms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.activations.store import ActivationStore, device_inputs, left_out_name
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.feature_lists import format_features
from core.feature.strongest_texts import strongest_texts
from core.logit_weights.statistics import LogitStatistics, logit_statistics, logit_weights
from core.logit_weights.unembedding import (
    LogitSettings,
    Unembedding,
    residual_directions,
    source_key,
    unembedding,
)
from core.models.language_model import LanguageModel
from core.neuronpedia.layouts import MOST_LOGITS, Bars, ExportedFeature
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Part, Progress

N_BARS = 50
"""Bars of a histogram, as in SAEDashboard."""
STRONGEST = 20
"""Number of strongest rows of text of each feature."""
_AT_ONCE = 16
"""Number of features whose logit weights are all in memory at a time."""


@dataclass(frozen=True)
class FeatureExport:
    """Features in the order of the request, without explanations."""

    features: tuple[ExportedFeature, ...]
    n_rows: int = 0
    """Number of rows of text."""
    n_pos: int = 0
    """Tokens in a row."""

    @property
    def nbytes(self) -> int:
        return sum(one.texts.rows.nbytes + one.texts.acts.nbytes for one in self.features)

    @property
    def silent(self) -> list[int]:
        """Features that have no strongest text, as they are active on no token."""
        return [one.texts.feature for one in self.features if not len(one.texts.rows)]

    def to_frame(self) -> pd.DataFrame:
        """One row per feature: feature, density, largest_activation, example_texts, top_promoted."""
        texts = [one.texts for one in self.features]
        return pd.DataFrame(
            {
                "feature": [one.feature for one in texts],
                "density": [one.density for one in texts],
                "largest_activation": [float(one.acts.max(initial=0)) for one in texts],
                "example_texts": [len(one.rows) for one in texts],
                "top_promoted": [one.promotes_most for one in self.features],
            }
        )

    def explained(self, explanations: Mapping[int, Sequence[str]]) -> list[ExportedFeature]:
        """Return the features with explanations that a person wrote, by feature."""
        return [replace(one, explanations=explanations.get(one.texts.feature, ())) for one in self.features]


def export_key(
    dictionary: Dictionary,
    model: LanguageModel,
    store: ActivationStore,
    features: Sequence[int],
    settings: LogitSettings,
    *,
    n: int = STRONGEST,
) -> str:
    """Name an export by all its inputs."""
    return artifact_key(
        "feature-export",
        3,
        dictionary=dictionary.sha256,
        model=source_key(model, settings),
        tokenizer=model.tokenizer_sha256,
        rows=rows_sha256(store.rows),
        left_out=left_out_name(store.left_out),
        features=format_features(features),
        n=n,
        **device_inputs(store.device),
        **settings.as_inputs(),
    )


def export_features(
    dictionary: Dictionary,
    model: LanguageModel,
    store: ActivationStore,
    features: Sequence[int],
    *,
    settings: LogitSettings,
    n: int = STRONGEST,
    progress: Progress = SILENT,
) -> FeatureExport:
    """Find each feature's n strongest rows of stored text, the tokens it promotes and suppresses, and histograms.

    `progress` counts blocks. Raises what `strongest_texts` and `residual_directions` raise.
    """
    features, parts = list(features), [Part(progress, i, 3) for i in range(3)]
    directions = residual_directions(dictionary, model, settings)[features]  # first, as it may raise
    texts = strongest_texts(store, features, d_sae=dictionary.d_sae, n=n, progress=parts[0])
    activations = activation_bars(store, features, d_sae=dictionary.d_sae, progress=parts[1:])
    progress.note("logit weights")
    tokens = unembedding(model, settings)
    stats = logit_statistics(directions, tokens, center=settings.center, k=MOST_LOGITS)
    logits = logit_bars(directions, tokens, settings)
    return FeatureExport(
        tuple(
            ExportedFeature(
                text, *_extremes(stats, i, model.token_strings), activation_bars=activations[i], logit_bars=logits[i]
            )
            for i, text in enumerate(texts)
        ),
        *store.rows.shape,
    )


def activation_bars(
    store: ActivationStore, features: Sequence[int], *, d_sae: int, progress: Sequence[Progress] = (SILENT, SILENT)
) -> list[Bars]:
    """Return the histogram of each feature's non-zero activations, from its smallest to its largest.

    The store is read twice: for the smallest and largest activations, then for the bars. `progress` holds one Progress
    for each reading; both count blocks.
    """
    known, place = np.unique(features, return_inverse=True)
    slots = np.full(d_sae, len(known))
    slots[known] = np.arange(len(known))
    low, high = np.full(len(known), np.inf), np.full(len(known), -np.inf)
    heights = np.zeros((len(known), N_BARS), np.int64)
    for turn in range(2):
        for block in store.blocks(progress[turn]):
            slot = slots[block.features]
            slot, acts = slot[slot < len(known)], block.acts[slot < len(known)].astype(np.float64)
            if turn == 0:
                np.minimum.at(low, slot, acts)
                np.maximum.at(high, slot, acts)
            else:
                share = np.divide(
                    acts - low[slot], (high - low)[slot], out=np.zeros(len(acts)), where=(high > low)[slot]
                )
                np.add.at(heights, (slot, np.minimum((share * N_BARS).astype(np.int64), N_BARS - 1)), 1)
    return [_bars(float(low[i]), float(high[i]), heights[i]) for i in place]


def logit_bars(
    directions: Float[np.ndarray, "feature d_model"], tokens: Unembedding, settings: LogitSettings
) -> list[Bars]:
    """Return the histogram of each feature's logit weights of all tokens."""
    bars = []
    for start in range(0, len(directions), _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, len(directions)))
        for weights in logit_weights(directions, tokens, some, center=settings.center):
            heights, edges = np.histogram(weights.astype(np.float64), N_BARS)
            ends = (edges[0], edges[-1]) if weights.min() < weights.max() else (weights[0], weights[0])
            bars.append(_bars(*map(float, ends), heights))
    return bars


def _bars(low: float, high: float, heights: Int[np.ndarray, " bar"]) -> Bars:
    """Return bars between two ends; a single bar if all values are equal, none if there are no values."""
    total = int(heights.sum())
    if low >= high:
        return Bars((round(low, 5),), (total,)) if total else Bars()
    middles = low + (high - low) * (np.arange(len(heights)) + 0.5) / len(heights)
    return Bars(tuple(np.round(middles, 5).tolist()), tuple(heights.tolist()))


def _extremes(
    stats: LogitStatistics, i: int, strings: Sequence[str]
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Return a feature's promoted and suppressed tokens, most extreme first."""

    def pairs(tokens, values) -> list[tuple[str, float]]:
        return [(strings[token], float(value)) for token, value in zip(tokens, values, strict=True)]

    return (
        pairs(stats.top_tokens[i], stats.top_values[i]),
        pairs(stats.bottom_tokens[i], stats.bottom_values[i]),
    )
