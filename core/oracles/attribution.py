"""Oracles of first-order effects: slopes of the model itself, in float64, by a small step one way and the other.

`model` is told in core/oracles/transformer.py. `asked` names the number: {"kind": "loss"} sums it over the tokens that
are `counted` (row, position); {"places": ..., "plus": ..., "minus": ...} is a logit at one place of each row, less
another where `minus` is there. `acts` are f (row, position, feature), `directions` d_f (feature, dimension).
"""

import numpy as np

from core.oracles.directions import pearson
from core.oracles.transformer import logits, next_log_p_of

_STEP = 1e-5


def attribution(model, rows, asked, counted, acts, baseline, directions, feature):
    return _slope(model, rows, asked, counted, _change(acts, baseline, counted, directions, feature))


def attribution_at(model, rows, asked, counted, acts, baseline, directions, feature, token_number):
    change = _change(acts, baseline, counted, directions, feature)
    alone, at = np.zeros(change.shape), divmod(int(token_number), rows.shape[1])
    alone[at] = change[at]
    return _slope(model, rows, asked, counted, alone)


def attribution_size(model, rows, asked, counted, acts, baseline, directions, feature):
    return sum(map(abs, _on_tokens(model, rows, asked, counted, acts, baseline, directions, feature)))


def attribution_there(model, rows, asked, counted, acts, baseline, directions, feature):
    return max(_on_tokens(model, rows, asked, counted, acts, baseline, directions, feature), key=abs)


def ablation_effect(model, rows, asked, counted, acts, baseline, directions, feature):
    change = _change(acts, baseline, counted, directions, feature)
    return _number(model, rows, asked, counted, 0.0) - _number(model, rows, asked, counted, -change)


def linear_error(model, rows, asked, counted, acts, baseline, directions, feature):
    given = model, rows, asked, counted, acts, baseline, directions, feature
    return attribution(*given) - ablation_effect(*given)


def attribution_series(model, rows, asked, counted, acts, baseline, directions, strongest, drawn, feature):
    if drawn:
        return "random direction"
    given = model, rows, asked, counted, acts, baseline, directions
    sizes = [abs(attribution(*given, each)) for each in range(len(directions))]
    return "strongest" if sum(size > sizes[feature] for size in sizes) < strongest else "sample of others"


def linear_slope(model, rows, asked, counted, acts, baseline, directions, features):
    guess, truth = _pairs(model, rows, asked, counted, acts, baseline, directions, features)
    return sum(guess * truth) / sum(guess**2) if any(guess) else None


def linear_rank(model, rows, asked, counted, acts, baseline, directions, features):
    guess, truth = _pairs(model, rows, asked, counted, acts, baseline, directions, features)
    return pearson(_ranks(guess), _ranks(truth)) if len(features) > 2 else None


def atlas_effect(model, rows, counted, acts, directions, feature):
    return sum(_firings(model, rows, counted, acts, directions, feature)) / counted.sum()


def atlas_size(model, rows, counted, acts, directions, feature):
    return sum(map(abs, _firings(model, rows, counted, acts, directions, feature))) / counted.sum()


def atlas_per_firing(model, rows, counted, acts, directions, feature):
    each = _firings(model, rows, counted, acts, directions, feature)
    return sum(map(abs, each)) / len(each) if each else None


def atlas_mean_firing(model, rows, counted, acts, directions, feature):
    each = _firings(model, rows, counted, acts, directions, feature)
    return sum(each) / len(each) if each else None


def atlas_chance(model, rows, counted, acts, directions, feature):
    d = directions.shape[1]
    longest = np.sqrt(sum(directions[feature] ** 2)) * _mean_coordinate(d)
    sizes = []
    for row, position in _fires(acts, counted, feature):
        one = rows[row : row + 1], {"kind": "loss"}, counted[row : row + 1]
        gradient = [_slope(model, *one, _only(one[0], position, axis)) for axis in np.eye(d)]
        sizes.append(abs(acts[row, position, feature]) * np.sqrt(sum(np.square(gradient))) * longest)
    return np.mean(sizes) if sizes else None


def atlas_over_chance(model, rows, counted, acts, directions, feature):
    size = atlas_per_firing(model, rows, counted, acts, directions, feature)
    return None if size is None else size / atlas_chance(model, rows, counted, acts, directions, feature)


def atlas_quadrant(model, rows, counted, acts, directions, feature):
    often = [len(_fires(acts, counted, each)) for each in range(len(directions))]
    if not often[feature]:
        return "silent"
    fires = [each for each, n in enumerate(often) if n]
    does = {each: atlas_per_firing(model, rows, counted, acts, directions, each) for each in fires}
    much = often[feature] > np.median([often[each] for each in fires]), does[feature] > np.median(list(does.values()))
    return " ".join(["fires", "much," if much[0] else "little,", "does", "much" if much[1] else "little"])


def _number(model, rows, asked, counted, added):
    if asked.get("kind") == "loss":
        return -next_log_p_of(model, rows, added)[counted[:, :-1]].sum()
    found = logits(model, rows, added)[range(len(rows)), asked["places"]]
    return found[:, asked["plus"]].sum() - (found[:, asked["minus"]].sum() if "minus" in asked else 0)


def _slope(model, rows, asked, counted, change):
    above, below = (_number(model, rows, asked, counted, way * _STEP * change) for way in (1, -1))
    return (above - below) / (2 * _STEP)


def _change(acts, baseline, counted, directions, feature):
    return np.where(counted, acts[..., feature] - baseline[feature], 0)[..., None] * directions[feature]


def _on_tokens(model, rows, asked, counted, acts, baseline, directions, feature):
    given = model, rows, asked, counted, acts, baseline, directions, feature
    return [attribution_at(*given, token_number) for token_number in range(rows.size)]


def _pairs(model, rows, asked, counted, acts, baseline, directions, features):
    given = model, rows, asked, counted, acts, baseline, directions
    return (np.array([find(*given, feature) for feature in features]) for find in (attribution, ablation_effect))


def _ranks(values):
    return np.array([sum(values < one) + (sum(values == one) + 1) / 2 for one in values])


def _fires(acts, counted, feature):
    return [tuple(place) for place in np.argwhere((acts[..., feature] != 0) & counted)]


def _only(rows, position, value):
    change = np.zeros((*rows.shape, len(value)))
    change[0, position] = value
    return change


def _firings(model, rows, counted, acts, directions, feature):
    """Return the effect of each firing on the summed loss of its row."""
    effects = []
    for row, position in _fires(acts, counted, feature):
        one = rows[row : row + 1], {"kind": "loss"}, counted[row : row + 1]
        change = _only(one[0], position, acts[row, position, feature] * directions[feature])
        effects.append(_slope(model, *one, change))
    return effects


def _mean_coordinate(d):
    """Return the mean of |u_1| over the sphere; u_1 has the density (1 - u_1²)^((d - 3) / 2) / B(1/2, (d - 1) / 2)."""
    from scipy.special import beta

    return 1.0 if d == 1 else 2 / ((d - 1) * beta(0.5, (d - 1) / 2))
