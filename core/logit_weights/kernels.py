"""Compiled inner loop of the logit-weight statistics. Imports numba: import lazily."""

from typing import no_type_check

import numpy as np

from core.work.compiled import compiled


@compiled
@no_type_check
def scan_logits(x, first_token, inverse_scale, moments, top, top_tokens, bottom, bottom_tokens):
    """Add moments of x * inverse_scale over tokens, and keep each row's largest and smallest values.

    x (feature, token) float32, for tokens from `first_token` on. moments (feature, 4) float64: sums of the first four
    powers. top and bottom (feature, k), the most extreme first, must start at -inf and inf; ties: the earlier token
    stays. Most chunks of 256 tokens hold no new extreme, and are read only once.
    """
    n_tokens, k = x.shape[1], top.shape[1]
    for i in range(x.shape[0]):
        inverse, high, low = inverse_scale[i], top[i, k - 1], bottom[i, k - 1]
        for start in range(0, n_tokens, 256):
            row = x[i, start : min(start + 256, n_tokens)]
            # Sums within a chunk are float32, so that the processor handles many values at once.
            one = two = three = four = np.float32(0)
            hits = 0
            for t in range(len(row)):
                z = row[t] * inverse
                square = z * z
                one += z
                two += square
                three += square * z
                four += square * square
                hits += (row[t] > high) | (row[t] < low)
            moments[i, 0] += one
            moments[i, 1] += two
            moments[i, 2] += three
            moments[i, 3] += four
            if hits > 0:
                for t in range(len(row)):
                    if row[t] > high:
                        high = _insert(row[t], first_token + start + t, top[i], top_tokens[i], np.float32(1))
                    if row[t] < low:
                        low = _insert(row[t], first_token + start + t, bottom[i], bottom_tokens[i], np.float32(-1))


@compiled
@no_type_check
def _insert(value, token, values, tokens, sign):
    """Insert a value into a sorted list, drop the last one, and return the new last one."""
    j = len(values) - 1
    while j > 0 and sign * values[j - 1] < sign * value:
        values[j] = values[j - 1]
        tokens[j] = tokens[j - 1]
        j -= 1
    values[j] = value
    tokens[j] = token
    return values[len(values) - 1]
