"""Features as the body of Neuronpedia's upload call. core/neuronpedia/bulk.py makes the folder for bulk import."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.feature.strongest_texts import StrongestTexts
from core.neuronpedia.labels import NeuronpediaError, NeuronpediaSource

MOST_IN_UPLOAD = 128
MOST_LOGITS = 20
MOST_TOKENS = 1024
LONGEST_EXPLANATION = 512
NO_TEXT = "\N{REPLACEMENT CHARACTER}"
"""Stands for an empty token, as Neuronpedia accepts no empty text."""


@dataclass(frozen=True)
class Bars:
    """A histogram: the middles of bars of equal width (`values`), and the number of values in each (`heights`)."""

    values: tuple[float, ...] = ()
    heights: tuple[int, ...] = ()


@dataclass(frozen=True)
class ExportedFeature:
    """Everything that is exported about one feature."""

    texts: StrongestTexts
    promoted: Sequence[tuple[str, float]]
    """Text and logit weight of the tokens that it promotes, the largest first."""
    suppressed: Sequence[tuple[str, float]]
    """Text and logit weight of the tokens that it suppresses, the smallest first."""
    explanations: Sequence[str] = ()
    """Written by the person who exports."""
    activation_bars: Bars = Bars()
    """Histogram of its non-zero activations."""
    logit_bars: Bars = Bars()
    """Histogram of its logit weights of all tokens."""

    @property
    def promotes_most(self) -> str:
        """The text of the token with the largest logit weight; empty if all tokens have the same."""
        alike = not self.promoted or self.promoted[0][1] == self.suppressed[0][1]
        return "" if alike else self.promoted[0][0]


def upload_batch(
    source: NeuronpediaSource, features: Sequence[ExportedFeature], token_strings: Sequence[str]
) -> dict[str, Any]:
    """Return the body of POST /api/feature/upload-batch.

    Raises NeuronpediaError for no features, for more than 128, and for a feature that is active on no text, as
    Neuronpedia would refuse them.
    """
    if not 0 < len(features) <= MOST_IN_UPLOAD:
        raise NeuronpediaError(
            f"{len(features):,} features cannot be uploaded at once: Neuronpedia takes 1 to {MOST_IN_UPLOAD}. "
            "Select fewer."
        )
    silent = [f.texts.feature for f in features if not len(f.texts.rows)]
    if silent:
        raise NeuronpediaError(
            f"Feature {', '.join(map(str, silent[:10]))} is silent on all {features[0].texts.n_tokens:,} tokens; "
            "Neuronpedia expects a text on which each feature is active. Leave it out, or use more text."
        )
    return {
        "modelId": source.model_id.lower(),
        "source": source.source_id.lower(),
        "features": [_uploaded(feature, token_strings) for feature in features],
    }


def _uploaded(feature: ExportedFeature, token_strings: Sequence[str]) -> dict[str, Any]:
    texts = feature.texts
    largest = float(texts.acts.max())
    return {
        "index": texts.feature,
        "density": texts.density,
        "topLogits": [{"token": t or NO_TEXT, "value": float(v)} for t, v in feature.promoted[:MOST_LOGITS]],
        "bottomLogits": [{"token": t or NO_TEXT, "value": float(v)} for t, v in feature.suppressed[:MOST_LOGITS]],
        # No methodName and modelName: the server has no method for texts that a person wrote, and refuses unknown ones.
        "explanations": [{"text": text[:LONGEST_EXPLANATION]} for text in feature.explanations],
        "activations": [
            item | {"quantileMin": 0.0, "quantileMax": largest, "quantileFraction": 1.0}
            for item in examples(texts, token_strings)
        ],
    }


def examples(texts: StrongestTexts, token_strings: Sequence[str]) -> list[dict[str, Any]]:
    """Return tokens and values of a feature's strongest texts."""
    return [
        {
            "tokens": [token_strings[token] or NO_TEXT for token in row[:MOST_TOKENS].tolist()],
            "values": np.round(acts[:MOST_TOKENS].astype(np.float64), 6).tolist(),
        }
        for row, acts in zip(texts.rows, texts.acts, strict=True)
    ]
