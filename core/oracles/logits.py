"""Logit weights of a feature from its raw decoder row and the raw unembedding, in float64."""

from collections.abc import Mapping

import numpy as np

from core.oracles.directions import unit


def logits(W_dec: np.ndarray, W_U: np.ndarray, feature: int, how: Mapping[str, object]) -> np.ndarray:
    """Return L(t) of one feature. `how` is told in core/oracles/logit_weights.py."""
    row, rows = np.asarray(W_dec[feature], np.float64), np.asarray(W_U, np.float64).T.copy()
    if how.get("W_out") is not None:
        row = row @ np.asarray(how["W_out"], np.float64)
    if how.get("ln_w") is not None:
        rows *= how["ln_w"]
    if how.get("center_d_model"):
        rows -= rows.mean(axis=1, keepdims=True)
    if how.get("center") == "mean":
        rows -= rows.mean(axis=0)
    if how.get("unit_columns"):
        rows = np.array([np.nan_to_num(unit(one)) for one in rows])
    if how.get("unit_rows"):
        row = np.nan_to_num(unit(row))
    L = rows @ row
    return L - np.median(L) if how.get("center") == "median" else L
