"""Oracles of what a feature's activations go with. `acts` are f (token, feature) and `values` h (token, unit).

`own` is the feature that the page is about. Both hold counted tokens alone.
"""

import numpy as np

from core.oracles.directions import pearson


def feature_correlation(acts, own, correlated_feature):
    return pearson(acts[:, own], acts[:, correlated_feature]) if own != correlated_feature else np.nan


def together_tokens(acts, own, correlated_feature):
    return sum(bool(f != 0 and g != 0) for f, g in zip(acts[:, own], acts[:, correlated_feature], strict=True))


def together_share(acts, own, correlated_feature):
    return together_tokens(acts, own, correlated_feature) / np.count_nonzero(acts[:, own])


def together_lift(acts, own, correlated_feature):
    alone = np.count_nonzero(acts[:, own]) * np.count_nonzero(acts[:, correlated_feature])
    return len(acts) * together_tokens(acts, own, correlated_feature) / alone


def neuron_correlation(acts, values, own, correlated_unit):
    return pearson(acts[:, own], values[:, correlated_unit])
