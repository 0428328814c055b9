"""Oracles of the page of one feature. `acts` are its f (row, position), `rows` the tokens, `counted` which count."""

from collections import Counter

import numpy as np


def active_count(acts, rows, token):
    return sum(bool(f != 0) and t == token for f, t in zip(acts.ravel(), rows.ravel(), strict=True))


def share_of_token(acts, rows, token):
    return active_count(acts, rows, token) / sum(t == token for t in rows.ravel())


def share_of_active(acts, rows, token):
    return active_count(acts, rows, token) / np.count_nonzero(acts)


def strongest_token_share(acts, rows):
    on = [row for row in range(len(acts)) if acts[row].any()]
    best = {row: int(np.abs(acts[row]).argmax()) for row in on}
    strongest = sorted(on, key=lambda row: (-abs(acts[row, best[row]]), row))[:20]
    times = Counter(int(rows[row, best[row]]) for row in strongest)
    return max(times.values()) / len(strongest) if times else np.nan


def active_rows(acts, position):
    return sum(bool(f != 0) for f in acts[:, position])


def fires_share(acts, counted, position):
    n = sum(counted[:, position])
    return active_rows(acts, position) / n if n else np.nan


def share_low(acts, counted, position):
    return _wilson(acts, counted, position, -1)


def share_high(acts, counted, position):
    return _wilson(acts, counted, position, 1)


def activation_level(acts, counted, row, position, way):
    """Say the level of one token: `way` is "intervals" or "groups"; the text holds its ends, its count and shares."""
    size = np.abs(np.asarray(acts, np.float64))
    order = sorted((float(f), *place) for place, f in np.ndenumerate(size) if f)
    if way == "intervals":
        top = order[-1][0]
        ends = [(top * i / 11, top * (i + 1) / 11) for i in range(11)]
        low, high = next(end for end in ends if size[row, position] <= end[1] or end is ends[-1])
        inside = sum(low < one[0] <= high for one in order)
    else:
        n, more = divmod(len(order), 10)  # the first groups have one more
        first = np.cumsum([0] + [n + (i < more) for i in range(10)])
        mine = next(i for i in range(10) if (size[row, position], row, position) in order[first[i] : first[i + 1]])
        low, high = order[first[mine] - 1][0] if mine else 0.0, order[first[mine + 1] - 1][0]
        inside = first[mine + 1] - first[mine]
    shares = f"{inside / len(order):.2%} of them, density {inside / counted.sum():.2g}"
    return f"{low:.3g} to {high:.3g}: {inside:,} active tokens, {shares}"


def peak_active(acts, counted):
    means = {p: acts[:, p].sum() / sum(counted[:, p]) for p in range(acts.shape[1]) if acts[:, p].any()}
    return max(means, key=lambda p: (round(means[p], 6), -p), default=None)


def _wilson(acts, counted, position, sign):
    n = int(sum(counted[:, position]))
    if not n:
        return np.nan
    z, s = 1.959963984540054, fires_share(acts, counted, position)
    return (s + z**2 / (2 * n) + sign * z * np.sqrt(s * (1 - s) / n + z**2 / (4 * n**2))) / (1 + z**2 / n)
