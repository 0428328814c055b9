"""Oracles of what is sent to Neuronpedia. `acts` are f (row, position, feature); `how` is told in logit_weights.py."""

import numpy as np

from core.oracles.logits import logits


def example_texts(acts, feature):
    return min(20, sum(bool(row.max() > 0) for row in acts[..., feature]))


def top_promoted(W_dec, W_U, how, feature, strings):
    weights = np.round(logits(W_dec, W_U, feature, how), 6)
    return strings[int(weights.argmax())] if np.ptp(weights) else ""
