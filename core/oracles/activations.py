"""Oracles of activations on text and of the reconstruction. `acts` are f (row, position, feature).

`x` and `x_hat` are (row, position, dimension), `context_size` is C. Where a page counts all tokens, they stand as rows
of one position. Numbers of a position are those of a feature whose f are all that are at the position: the last axis
of `acts` is then the position.
"""

import numpy as np


def active_tokens(acts, feature):
    return len(_active(acts, feature))


def density(acts, feature):
    return active_tokens(acts, feature) / acts[..., feature].size


def log_density(acts, feature):
    return np.log10(density(acts, feature)) if active_tokens(acts, feature) else None


def mean_active(acts, feature):
    active = _active(acts, feature)
    return sum(active) / len(active) if len(active) else None


def std_active(acts, feature):
    active = _active(acts, feature)
    return np.sqrt(sum((active - mean_active(acts, feature)) ** 2) / len(active)) if len(active) else None


def largest_activation(acts, feature):
    return max(_active(acts, feature), default=None)


def smallest_activation(acts, feature):
    return min(_active(acts, feature), default=None)


def active_share(acts, feature):
    return density(acts, feature)


def active_quantile(acts, feature, level):
    active = np.sort(_active(acts, feature))
    at = level * (len(active) - 1)
    low, share = int(at), at - int(at)
    return active[low] * (1 - share) + active[min(low + 1, len(active) - 1)] * share


def median_active(acts, feature):
    return active_quantile(acts, feature, 0.5) if active_tokens(acts, feature) else None


def kernel_density(values, at, log, width=None):
    """Return the height of the curve; on a log axis all is of log10. Without bars, the area below it is 1.

    `width` is that of a bar, on a log axis in powers of ten.
    """
    values, at = (np.log10(values), np.log10(at)) if log else (values, at)
    n = len(values)
    std = np.sqrt(sum((values - np.mean(values)) ** 2) / (n - 1)) * n**-0.2
    height = sum(np.exp(-(((at - one) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi)) for one in values)
    return height * (width or 1 / n)


def dead_share(acts):
    return sum(active_tokens(acts, feature) == 0 for feature in range(acts.shape[-1])) / acts.shape[-1]


def smoothed_mean(acts, feature):
    window = range(feature - 4, feature + 6)
    if window[0] < 1 or window[-1] >= acts.shape[-1]:
        return None
    means = [mean_active(acts, position) for position in window]
    return np.mean([mean for mean in means if mean is not None])


def mean_below_median(acts):
    counted = [feature for feature in range(acts.shape[-1]) if active_tokens(acts, feature) >= 3]
    return sum(mean_active(acts, one) < median_active(acts, one) * (1 - 1e-9) for one in counted)


def activation_threshold(acts, bin):
    return max(mean_active(acts, feature) for feature in _alive(acts)) * bin / 99


def features_mean_below(acts, threshold):
    return sum(mean_active(acts, feature) < threshold for feature in _alive(acts))


def features_median_below(acts, threshold):
    return sum(median_active(acts, feature) < threshold for feature in _alive(acts))


def l0(acts, position):
    return np.count_nonzero(acts[:, position]) / len(acts)


def l1(acts, position):
    return np.abs(acts[:, position]).sum() / len(acts)


def mse(x, x_hat, position):
    return np.mean((x[:, position] - x_hat[:, position]) ** 2)


def mse_random(x, x_hat, position):
    return np.mean(_square(x, position) + _square(x_hat, position)) / x.shape[-1]


def nmse(x, x_hat, position, context_size):
    return mse(x, x_hat, position) / _variance(x, position, context_size)


def nmse_random(x, x_hat, position, context_size):
    return mse_random(x, x_hat, position) / _variance(x, position, context_size)


def fve(x, x_hat, position, context_size):
    return 1 - nmse(x, x_hat, position, context_size)


def l2(x, x_hat, position):
    return np.mean(np.sqrt(_square(x - x_hat, position)))


def l2_random(x, x_hat, position):
    return np.mean(np.sqrt(_square(x, position) + _square(x_hat, position)))


def norm(x, position):
    return np.mean(np.sqrt(_square(x, position)))


def norm_hat(x_hat, position):
    return norm(x_hat, position)


def cosine(x, x_hat, position):
    lengths = np.sqrt(_square(x, position) * _square(x_hat, position))
    products = (x[:, position] * x_hat[:, position]).sum(-1)
    return np.mean([p / length if length > 0 else 0 for p, length in zip(products, lengths, strict=True)])


def l2_ratio(x, x_hat, position):
    squares = zip(_square(x_hat, position), _square(x, position), strict=True)
    return np.mean([np.sqrt(above / below) if below > 0 else 0 for above, below in squares])


def reconstruction_bias(x, x_hat, position):
    product = (x[:, position] * x_hat[:, position]).sum()
    return _square(x_hat, position).sum() / product if product > 0 else None


def beyond(position, context_size):
    return bool(position >= context_size)


def _active(acts, feature):
    values = np.asarray(acts[..., feature], np.float64).ravel()
    return values[values != 0]


def _alive(acts):
    return [feature for feature in range(acts.shape[-1]) if active_tokens(acts, feature)]


def _square(x, position):
    return (x[:, position] ** 2).sum(-1)


def _variance(x, position, context_size):
    return np.mean((x[:, position] - x[:, :context_size].mean((0, 1))) ** 2)
