"""Oracles of the life of features over a series of layers.

`layers` holds for each layer its directions in rows (`by` "directions"), or f (token, feature) (`by` "activations"), of
which features active on fewer than `least` tokens are left out. `used_on[n]` is the threshold used for successors of
layer n in layer n + 1, `used_back[n]` that for sources of layer n + 1 in layer n; `rule` is "nearest" or "mutual".
`mixtures_on[n]` are the mixtures (feature of layer n + 1, mixture) that were drawn, `mixtures_back[n]` those of n.
"""

import numpy as np

from core.oracles.directions import cosine, directed, pearson
from core.oracles.stability import chance_threshold, return_chance

_NONE = -1


def life_source(layers, by, least, rule, used_back, layer, feature):
    return _match(layers, by, least, rule, used_back[layer - 1], feature, layer, layer - 1) if layer else _NONE


def life_successor(layers, by, least, rule, used_on, layer, feature):
    last = layer == len(layers) - 1
    return _NONE if last else _match(layers, by, least, rule, used_on[layer], feature, layer, layer + 1)


def source_cosine(layers, by, least, layer, feature):
    return _best(layers, by, least, feature, layer, layer - 1)[0] if layer else None


def successor_cosine(layers, by, least, layer, feature):
    return _best(layers, by, least, feature, layer, layer + 1)[0] if layer < len(layers) - 1 else None


def source_chance(layers, by, least, used_back, mixtures_back, layer, feature):
    if not layer:
        return None
    return _chance(layers, by, least, used_back[layer - 1], mixtures_back[layer - 1], feature, layer, layer - 1)


def successor_chance(layers, by, least, used_on, mixtures_on, layer, feature):
    if layer == len(layers) - 1:
        return None
    return _chance(layers, by, least, used_on[layer], mixtures_on[layer], feature, layer, layer + 1)


def life_fate(layers, by, least, rule, used_on, used_back, layer, feature):
    if feature not in _kept(layers, by, least, layer):
        return ""
    comes = layer == 0 or life_source(layers, by, least, rule, used_back, layer, feature) != _NONE
    goes = layer == len(layers) - 1 or life_successor(layers, by, least, rule, used_on, layer, feature) != _NONE
    if comes:
        return "passes through" if goes else "dies here"
    return "born here" if goes else "here alone"


def fate_features(layers, by, least, rule, used_on, used_back, layer, fate):
    kept = _kept(layers, by, least, layer)
    return sum(life_fate(layers, by, least, rule, used_on, used_back, layer, i) == fate for i in kept)


def fate_share(layers, by, least, rule, used_on, used_back, layer, fate):
    n = fate_features(layers, by, least, rule, used_on, used_back, layer, fate)
    return n / len(_kept(layers, by, least, layer))


def life_step(names, step):
    return f"{names[step]} → {names[step + 1]}"


def succeeded_share(layers, by, least, rule, used_on, step):
    kept = _kept(layers, by, least, step)
    return np.mean([life_successor(layers, by, least, rule, used_on, step, i) != _NONE for i in kept])


def sourced_share(layers, by, least, rule, used_back, step):
    kept = _kept(layers, by, least, step + 1)
    return np.mean([life_source(layers, by, least, rule, used_back, step + 1, i) != _NONE for i in kept])


def random_successors(layers, by, least, used_on, mixtures_on, step):
    kept = _kept(layers, by, least, step)
    return np.mean([successor_chance(layers, by, least, used_on, mixtures_on, step, i) for i in kept])


def random_sources(layers, by, least, used_back, mixtures_back, step):
    kept = _kept(layers, by, least, step + 1)
    return np.mean([source_chance(layers, by, least, used_back, mixtures_back, step + 1, i) for i in kept])


def successor_threshold(layers, by, least, threshold, mixtures_on, step):
    return max(threshold, _by_chance(layers, by, least, mixtures_on[step], step, step + 1))


def source_threshold(layers, by, least, threshold, mixtures_back, step):
    return max(threshold, _by_chance(layers, by, least, mixtures_back[step], step + 1, step))


def life_similarity(layers, by, step, life_from, life_to):
    return _similarity(layers, by, life_from, life_to, step, step + 1)


def _kept(layers, by, least, layer):
    if by == "directions":
        return directed(layers[layer])
    return [i for i, f in enumerate(layers[layer].T) if sum(f != 0) >= least]


def _similarity(layers, by, feature, other, here, there):
    if by == "directions":
        return cosine(layers[here][feature], layers[there][other])
    return pearson(layers[here][:, feature], layers[there][:, other])


def _best(layers, by, least, feature, here, there):
    """Return the largest similarity in the other layer, and of which feature; None for a feature left out."""
    if feature not in _kept(layers, by, least, here):
        return None, _NONE
    others = _kept(layers, by, least, there)
    return max((_similarity(layers, by, feature, j, here, there), j) for j in others)


def _match(layers, by, least, rule, used, feature, here, there):
    similarity, match = _best(layers, by, least, feature, here, there)
    if similarity is None or similarity <= used:
        return _NONE
    mutual = _best(layers, by, least, match, there, here)[1] == feature
    return match if rule == "nearest" or mutual else _NONE


def _mixed(layers, mixtures, feature, here, there):
    return max(pearson(layers[here][:, feature], layers[there] @ weights) for weights in mixtures.T)


def _chance(layers, by, least, used, mixtures, feature, here, there):
    if feature not in _kept(layers, by, least, here):
        return None
    if by == "directions":
        return return_chance(layers[here], [layers[there]], [used], feature)
    return float(_mixed(layers, mixtures, feature, here, there) > used)


def _by_chance(layers, by, least, mixtures, here, there):
    if by == "directions":
        return chance_threshold(layers[here], [layers[there]], 0)
    found = sorted(_mixed(layers, mixtures, i, here, there) for i in _kept(layers, by, least, here))
    at = 0.99 * (len(found) - 1)
    low = int(at)
    return found[low] + (at - low) * (found[min(low + 1, len(found) - 1)] - found[low])
