"""Oracles of the known world: what each feature of a dictionary was planted as, and what the pages say of it.

`world` holds the true directions, one a row, and `true` their activations (input, feature of the world); W_enc, b_enc
and W_dec are the dictionary's, and `fires` says which of its features do (input, feature). `narrow` are the decoder
rows of the narrower dictionary, None where there is none.
"""

import numpy as np

from core.oracles.directions import cosine, unit

_RECOVERED = _LABEL = 0.7
_COPIES = 0.9
_SILENT, _FIRES = 0.5, 0.9
_SAME = 0.9999
_NEAR = 0.95


def world_kind(W_enc, b_enc, W_dec, world, true, feature):
    """Tell it from the weights: what a feature reads and writes, and what others of its family do."""
    return _kinds(W_enc, b_enc, W_dec, world, true)[feature][0]


def world_feature(W_enc, b_enc, W_dec, world, true, feature):
    return _kinds(W_enc, b_enc, W_dec, world, true)[feature][1]


def world_cosine(rows, others, feature):
    return max(_cosines(rows[feature], others))


def world_label(W_dec, narrow, feature):
    return _labels(W_dec, narrow)[feature]


def world_wrong(W_enc, b_enc, W_dec, world, true, fires, narrow, feature):
    given = W_enc, b_enc, W_dec, world, true, fires, narrow
    whats = (*(("split", "absorbed") if narrow is not None else ()), "duplicated", "dead")
    sides = {what: [feature in side for side in _sides(*given, what)] for what in whats}
    missed = [f"not said: {what}" for what, (is_so, said) in sides.items() if is_so and not said]
    return ", ".join(missed + [f"said: {what}" for what, (is_so, said) in sides.items() if said and not is_so])


def world_true(W_enc, b_enc, W_dec, world, true, fires, narrow, world_what):
    return len(_sides(W_enc, b_enc, W_dec, world, true, fires, narrow, world_what)[0])


def world_hit(W_enc, b_enc, W_dec, world, true, fires, narrow, world_what):
    so, said = _sides(W_enc, b_enc, W_dec, world, true, fires, narrow, world_what)
    return len(so & said)


def world_missed(W_enc, b_enc, W_dec, world, true, fires, narrow, world_what):
    so, said = _sides(W_enc, b_enc, W_dec, world, true, fires, narrow, world_what)
    return len(so - said)


def world_false(W_enc, b_enc, W_dec, world, true, fires, narrow, world_what):
    so, said = _sides(W_enc, b_enc, W_dec, world, true, fires, narrow, world_what)
    return len(said - so)


def world_page(world_what):
    pages = {"split": "Splitting", "absorbed": "Ground truth", "duplicated": "Geometry", "dead": "Overview"}
    return pages.get(world_what, "Matching")


def world_rule(fires, world_what):
    parent = f"on under {_SILENT} of the inputs with one child, on over {_FIRES} of its others"
    return {
        "recovered": f"the nearest decoder row has a cosine over {_RECOVERED}",
        "split": f"it shares its parent, the nearest narrow feature over {_LABEL}, with others",
        "absorbed": f"a parent's fires {parent}",
        "duplicated": f"another decoder row has a cosine over {_COPIES}",
        "dead": f"it fires on none of {len(fires):,} inputs",
    }[world_what]


def world_is(true, own):
    if world_parent(true, own) is not None:
        return "child"
    return "parent" if any(world_parent(true, other) == own for other in range(true.shape[1])) else "alone"


def world_parent(true, own):
    on = true[:, own] != 0
    always = [j for j in np.flatnonzero((true[on] != 0).all(axis=0)) if j != own]
    return int(always[0]) if always else None


def world_rate(true, own):
    return np.count_nonzero(true[:, own]) / len(true)


def world_recall(true, fires, W_dec, world, own):
    return np.sum(_both(true, fires, W_dec, world, own)) / np.count_nonzero(true[:, own])


def world_precision(true, fires, W_dec, world, own):
    n = np.sum(fires[:, _nearest(world[own], W_dec)])
    return np.sum(_both(true, fires, W_dec, world, own)) / n if n else np.nan


def world_has(W_enc, b_enc, W_dec, world, true, own):
    kinds = _kinds(W_enc, b_enc, W_dec, world, true)
    return "yes" if any(kind in ("kept", "copied", "holed") and of == own for kind, of in kinds) else "no"


def _both(true, fires, W_dec, world, own):
    return (true[:, own] != 0) & fires[:, _nearest(world[own], W_dec)]


def _nearest(row, others):
    return int(np.argmax(_cosines(row, others)))


def _cosines(row, others):
    return (others * unit(row)).sum(axis=1) / np.sqrt((others**2).sum(axis=1))


def _kinds(W_enc, b_enc, W_dec, world, true):
    """Return the kind of each feature, and the feature of the world that it is for."""
    parents = [world_parent(true, j) for j in range(len(world))]
    found = [_kind(W_enc[:, i], b_enc[i], W_dec[i], world, parents) for i in range(len(W_dec))]
    holed = {of for kind, of in found if kind == "holed"}
    named = []
    for kind, of in found:
        absorbs = kind == "split" and parents[of] in holed
        copied = kind == "kept" and sum(other == (kind, of) for other in found) > 1
        named.append(("absorbing" if absorbs else "copied" if copied else kind, of))
    return named


def _kind(reads, bias, writes, world, parents):
    """Return what one feature is for itself; "kept" and "split" may yet be "copied" and "absorbing"."""
    if bias < -10:
        return "dead", None
    j = _nearest(writes, world)
    if cosine(writes, world[j]) > _NEAR:
        return ("kept" if cosine(reads, writes) > _SAME else "holed"), j
    children = [child for child, parent in enumerate(parents) if parent is not None]
    both = _cosines(writes, world[children] + world[[parents[child] for child in children]])
    if max(both) > _SAME:
        return "split", children[int(np.argmax(both))]
    for parent in set(parents) - {None}:
        family = np.mean([world[child] for child in range(len(world)) if parents[child] == parent], axis=0)
        if cosine(writes, world[parent] + family) > _SAME:
            return "family", parent
    return "noise", None


def _sides(W_enc, b_enc, W_dec, world, true, fires, narrow, what):
    """Return of which features something is true, and of which it is said."""
    kinds = _kinds(W_enc, b_enc, W_dec, world, true)
    if what == "recovered":
        so = {of for kind, of in kinds if kind in ("kept", "copied", "holed")}
        return so, {j for j in range(len(world)) if world_cosine(world, W_dec, j) > _RECOVERED}
    names = {"split": ("split",), "absorbed": ("holed", "absorbing"), "duplicated": ("copied",), "dead": ("dead",)}
    so, every = {i for i, (kind, _) in enumerate(kinds) if kind in names[what]}, range(len(W_dec))
    if what == "split":
        return so, {i for i, label in enumerate(_labels(W_dec, narrow)) if label == "split"}
    if what == "duplicated":
        return so, {i for i in every if sorted(_cosines(W_dec[i], W_dec))[-2] > _COPIES}
    if what == "dead":
        return so, {i for i in every if not fires[:, i].any()}
    return so, _absorbed(W_dec, world, true, fires)


def _labels(W_dec, narrow):
    cosines = np.array([_cosines(row, narrow) for row in W_dec])
    parents = [int(np.argmax(row)) if max(row) > _LABEL else -1 for row in cosines]
    nearest = [int(np.argmax(row)) if max(row) > _LABEL else -1 for row in cosines.T]
    labels = []
    for feature, parent in enumerate(parents):
        shares = "split" if parents.count(parent) > 1 else "reconstruction"
        labels.append("novel" if parent < 0 else "merged" if nearest.count(feature) > 1 else shares)
    return labels


def _absorbed(W_dec, world, true, fires):
    said = set()
    for child in range(len(world)):
        parent = world_parent(true, child)
        if parent is not None:
            best, with_child = _nearest(world[parent], W_dec), true[:, child] != 0
            others = (true[:, parent] != 0) & ~with_child
            if fires[with_child, best].mean() < _SILENT and fires[others, best].mean() > _FIRES:
                said |= {best, _nearest(world[child], W_dec)}
    return said
