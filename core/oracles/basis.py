"""Oracles of how a feature lies in a basis: the hook's own, or the rows of `W_out`, which say what neurons write."""

import numpy as np

from core.oracles.directions import unit


def basis_coefficient(W_dec, feature, coordinate, W_out=None):
    return _coefficients(W_dec, feature, W_out)[coordinate]


def top_coordinate(W_dec, feature, W_out=None):
    c = _coefficients(W_dec, feature, W_out)
    return max(range(len(c)), key=lambda k: (round(abs(c[k]), 7), -k)) if np.isfinite(c).all() else -1


def top_coefficient(W_dec, feature, W_out=None):
    k = top_coordinate(W_dec, feature, W_out)
    return basis_coefficient(W_dec, feature, k, W_out) if k >= 0 else np.nan


def top3_share(W_dec, feature, W_out=None):
    sizes = sorted(abs(_coefficients(W_dec, feature, W_out)))
    return sum(sizes[-3:]) / sum(sizes)


def large_coefficients(W_dec, feature, W_out=None):
    return sum(bool(c >= 0.1 or c <= -0.1) for c in _coefficients(W_dec, feature, W_out))


def basis_kurtosis(W_dec, feature, W_out=None):
    c = _coefficients(W_dec, feature, W_out)
    deviations = c - np.mean(c)
    variance = np.mean(deviations**2)
    return np.mean(deviations**4) / variance**2 if variance > 1e-20 else np.nan


def effective_coordinates(W_dec, feature, W_out=None):
    c = _coefficients(W_dec, feature, W_out)
    return sum(c**2) ** 2 / sum(c**4)


def _coefficients(W_dec, feature, W_out):
    """Return c; NaN where the decoder row has no direction. A neuron that writes nothing has 0."""
    row = unit(W_dec[feature])
    if W_out is None:
        return row
    return np.array([(unit(one) * row).sum() if np.any(one) else 0 * row.sum() for one in W_out])
