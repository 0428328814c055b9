"""Oracles of a feature beside a proxy, on the tokens that are counted.

`acts` are f (token, feature) and `f` one feature's; `proxy` holds the value of each token, `threshold` what it must be
over to be a hit. `by` is "hits" or "ratios", the classes that tokens are split by.
"""

import numpy as np

from core.oracles.directions import pearson
from core.oracles.strings import ratios, touched

_BINS, _CUTOFFS = 24, 200
_EDGES = (-10, 0, 5, 10)
_LOWEST = -30


def proxy_value(rows, pieces, silent, context, text_row, position):
    """`context` holds what core/oracles/strings.py needs: alphabets, blocks, or a pattern."""
    find = touched if "pattern" in context else ratios
    return float(find(rows, pieces, silent, **context)[text_row, position])


def proxy_tokens(proxy, threshold):
    return sum(bool(value > threshold) for value in proxy)


def proxy_active_tokens(acts, proxy, threshold, feature):
    return sum(bool(value > threshold and f != 0) for value, f in zip(proxy, acts[:, feature], strict=True))


def proxy_base_rate(proxy, threshold):
    return proxy_tokens(proxy, threshold) / len(proxy)


def proxy_specificity(acts, proxy, threshold, feature):
    return _share(proxy_active_tokens(acts, proxy, threshold, feature), np.count_nonzero(acts[:, feature]))


def proxy_specificity_low(acts, proxy, threshold, feature):
    return _wilson(proxy_active_tokens(acts, proxy, threshold, feature), np.count_nonzero(acts[:, feature]), -1)


def proxy_specificity_high(acts, proxy, threshold, feature):
    return _wilson(proxy_active_tokens(acts, proxy, threshold, feature), np.count_nonzero(acts[:, feature]), 1)


def proxy_sensitivity(acts, proxy, threshold, feature):
    return _share(proxy_active_tokens(acts, proxy, threshold, feature), proxy_tokens(proxy, threshold))


def proxy_lift(acts, proxy, threshold, feature):
    return _share(proxy_specificity(acts, proxy, threshold, feature), proxy_base_rate(proxy, threshold))


def proxy_correlation(acts, proxy, threshold, feature):
    return pearson(acts[:, feature], np.array([float(value > threshold) for value in proxy]))


def proxy_excess_correlation(acts, proxy, threshold, feature):
    return pearson(acts[:, feature], np.array([max(value - threshold, 0.0) for value in proxy]))


def proxy_weight(acts, proxy, threshold, feature):
    pairs = list(zip(acts[:, feature], proxy, strict=True))
    return _share(sum(f for f, value in pairs if value > threshold), sum(f for f, _ in pairs))


def proxy_class(proxy, threshold, by, token):
    value = proxy[token]
    if by == "hits":
        return "hit" if value > threshold else "no hit"
    if value == -np.inf:
        return "no string"
    if value > _EDGES[-1]:
        return f"over {_EDGES[-1]}"
    high = next(edge for edge in _EDGES if value <= edge)
    return f"{_EDGES[_EDGES.index(high) - 1]} to {high}" if high > _EDGES[0] else f"{high} or less"


def proxy_class_tokens(f, proxy, threshold, by, proxy_class, bin):
    return len(_of_class(f, proxy, threshold, by, proxy_class, bin))


def proxy_class_share(f, proxy, threshold, by, proxy_class, bin):
    return _share(proxy_class_tokens(f, proxy, threshold, by, proxy_class, bin), len(_in_bin(f, bin)))


def proxy_class_activation(f, proxy, threshold, by, proxy_class, bin):
    return float(sum(f[t] for t in _of_class(f, proxy, threshold, by, proxy_class, bin)))


def proxy_bin_low(f, bin):
    low, high = min(0.0, *f), max(0.0, *f)
    return low + (high - low) * bin / _BINS


def proxy_bin_high(f, bin):
    return proxy_bin_low(f, bin + 1)


def proxy_cutoff(f, place):
    """Return one of the cutoffs, the smallest first: places of even distance among the activations that occur."""
    occur = sorted({one for one in f if one}, reverse=True)
    n = min(_CUTOFFS, len(occur))
    ranks = [i * (len(occur) - 1) // max(n - 1, 1) for i in range(n)]
    return occur[ranks[n - 1 - place]]


def proxy_value_low(proxy, bin):
    known = _known(proxy)
    high = max(known) if max(known) > min(known) else min(known) + 1
    return min(known) + (high - min(known)) * bin / _BINS


def proxy_value_high(proxy, bin):
    return proxy_value_low(proxy, bin + 1)


def proxy_value_tokens(proxy, bin):
    return len(_at_ratio(proxy, bin))


def proxy_active_share(f, proxy, bin):
    return _share(*_active_at(f, proxy, bin))


def proxy_active_share_low(f, proxy, bin):
    return _wilson(*_active_at(f, proxy, bin), -1)


def proxy_active_share_high(f, proxy, bin):
    return _wilson(*_active_at(f, proxy, bin), 1)


def _of_class(f, proxy, threshold, by, name, bin):
    """Return the active tokens of a class in a bin."""
    return [t for t in _in_bin(f, bin) if proxy_class(proxy, threshold, by, t) == name]


def _in_bin(f, bin):
    """Return the active tokens of a bin."""
    low, high, last = proxy_bin_low(f, bin), proxy_bin_high(f, bin), bin == _BINS - 1
    return [t for t, one in enumerate(f) if one != 0 and (low <= one < high or (last and one >= low))]


def _known(proxy):
    """Return the ratios that are counted; a token where no string ends has none."""
    return [max(float(value), _LOWEST) for value in proxy if value > -np.inf]


def _at_ratio(proxy, bin):
    """Return the tokens whose ratio lies in a bin."""
    low, high = proxy_value_low(proxy, bin), proxy_value_high(proxy, bin)
    last = bin == _BINS - 1
    counted = [(t, max(float(value), _LOWEST)) for t, value in enumerate(proxy) if value > -np.inf]
    return [t for t, value in counted if low <= value < high or (last and value >= low)]


def _active_at(f, proxy, bin):
    tokens = _at_ratio(proxy, bin)
    return sum(bool(f[t] != 0) for t in tokens), len(tokens)


def _share(part, whole):
    return part / whole if whole else np.nan


def _wilson(count, n, sign):
    if not n:
        return np.nan
    z, s = 1.959963984540054, count / n
    return (s + z**2 / (2 * n) + sign * z * np.sqrt(s * (1 - s) / n + z**2 / (4 * n**2))) / (1 + z**2 / n)
