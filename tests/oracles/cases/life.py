"""Three small layers of directions by both rules, and two layers of activations, with chance beside."""

from collections.abc import Mapping

import numpy as np

from core.matching.activations import match_activations
from core.matching.baselines import match_rotated, mixtures
from core.oracles.life import source_threshold, successor_threshold
from core.stability.life import Life, life, life_graph, step_by_activation
from tests.oracles.cases.text_page import on_text
from tests.oracles.shown import Case, Known, Planted, Shown, known
from tests.stability.test_returning import dictionary, noisy
from ui.stability.life import flow_table
from ui.studies.stability import Choice, LifeStudy

D, T, LEAST, ZERO = 16, 0.7, 4, 5
NAMES = ("6", "7", "8")


def case(folder) -> Case:
    shown = []
    layers = [dictionary(rows) for rows in series()]
    given = {"layers": [one.W_dec.astype(float) for one in layers], "by": "directions", "least": None}
    none = [None] * (len(layers) - 1)
    given = with_thresholds(given | {"mixtures_on": none, "mixtures_back": none}, T)
    for rule in ("nearest", "mutual"):
        shown += of_life(f"by {rule}", life(layers, threshold=T, rule=rule), given | {"rule": rule})
    return Case([*shown, *of_activations()], planted())


def series() -> list[np.ndarray]:
    """Return three layers of six features.

    Feature 0 lives throughout, 1 is born in the second layer, 2 dies there, 3 is there alone, and in the third 0 and 4
    come from 0. Feature 5 of the second has no direction.
    """
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((D, D)))[0]
    first = axes[[0, 6, 2, 7, 8, 9]]
    second = axes[[0, 1, 2, 3, 9, 10]]
    third = np.concatenate([axes[[0, 1, 11, 12]], axes[:1] + 0.25 * axes[13:14], axes[14:15]])
    rows = [noisy(one, 0.1, seed) for seed, one in enumerate((first, second, third))]
    rows[1][ZERO] = 0
    return rows


def with_thresholds(given: Mapping[str, object], threshold: float) -> dict[str, object]:
    """Add what counts as a successor and as a source, as the oracles say."""
    known = {name: given[name] for name in ("layers", "by", "least")} | {"threshold": threshold}
    steps = range(len(given["layers"]) - 1)
    on = [successor_threshold(**known, mixtures_on=given["mixtures_on"], step=step) for step in steps]
    back = [source_threshold(**known, mixtures_back=given["mixtures_back"], step=step) for step in steps]
    return {**given, "threshold": threshold, "used_on": on, "used_back": back}


def of_life(what: str, found: Life, given: Mapping[str, object]) -> list[Shown]:
    names = NAMES[: found.n_layers]
    given = {**given, "names": names}
    shown = [Shown(f"steps {what}", found.step_table(names), given, {"step": "#"})]
    fates, name = found.table(names), {"life_layer": "the name of the layer"}
    for layer in range(found.n_layers):
        held, mine = given | {"layer": layer}, fates[fates["life_layer"] == names[layer]].reset_index(drop=True)
        shown += [
            Shown(f"layer {layer} {what}", found.feature_table(layer), held),
            Shown(f"fates of {layer} {what}", mine, held, {"fate": "life_fate"}, not_held=name),
        ]
    ends = {"life_from": "life_from", "life_to": "life_to"}
    for feature in range(3):
        table = flow_table(LifeStudy(names, (), Choice(), found), life_graph(found, 1, feature))
        for step in range(found.n_layers - 1):
            mine = table[table["life_step"] == f"{names[step]} → {names[step + 1]}"].reset_index(drop=True)
            if len(mine):
                shown.append(Shown(f"flow of {feature}, step {step} {what}", mine, given | {"step": step}, ends))
    return shown


def of_activations() -> list[Shown]:
    """Return a step by activations: feature 0 fires in both, 1 of the first is found twice, and one hardly fires."""
    rng = np.random.default_rng(5)
    f, g = (rng.normal(1, 1, (60, width)) * (rng.random((60, width)) < 0.4) for width in (7, 9))
    g[:, 0], g[:, 2] = 2 * f[:, 0], f[:, 1]
    g[:, 3] = f[:, 1] + 0.2 * g[:, 3]
    f[:, 6] = 0
    f[:3, 6] = 1
    layers = [values.astype(np.float32).astype(float) for values in (f, g)]
    one, other = (on_text(values, values, values).acts for values in layers)
    match, given = match_activations(one, other, least=LEAST), {"layers": layers, "by": "activations", "least": LEAST}
    chance = [match_rotated(*pair, least=LEAST).a_best for pair in ((one, other), (other, one))]
    given |= {
        "mixtures_on": [mixtures(9, 0, 0)[:, :9]],
        "mixtures_back": [mixtures(7, 0, 0)[:, :6]],
    }  # of six active features
    shown = []
    for threshold, rule in ((0.3, "nearest"), (0.7, "mutual")):
        step = step_by_activation(match, *chance, threshold=threshold, rule=rule)
        held = with_thresholds(given, threshold) | {"rule": rule}
        shown += of_life(f"by activations over {threshold}", Life((step,)), held)
    return shown


def planted() -> list[Planted | Known]:
    second, third = "layer 1 by nearest", "layer 2 by nearest"
    ends, fates = "at the ends of a series nobody can tell", "fates of 1 by nearest"
    dies, steps = {"life_fate": "dies here"}, "steps by nearest"
    first, axes = "it is planted in both", np.eye(3)
    two = {"layers": [axes[:2], axes[1:]], "by": "directions", "least": None, "rule": "nearest"}
    tilted = np.array([[0.6, 0.8]])
    plane = {"layers": [np.eye(2), np.eye(2)], "by": "directions", "least": None}
    quarter = {"used_on": [0.5**0.5]}, {"used_back": [0.5**0.5]}
    drawn, back = {"mixtures_on": [None], "step": 0}, {"mixtures_back": [None], "step": 0}
    over, often = "in a plane a quarter is over √½", "in a plane even 0.9995 is reached more often"
    pair, mixed = {"by": "directions", "step": 0, "life_from": 0, "life_to": 0}, {"mixtures_on": [np.ones((1, 1))]}
    return [
        Planted("life_fate", "passes through", "it lives throughout", {"feature": 0}, second),
        Planted("life_fate", "born here", "the first layer lacks it", {"feature": 1}, second),
        Planted("life_fate", "dies here", "the last layer lacks it", {"feature": 2}, second),
        Planted("life_fate", "here alone", "no other layer has it", {"feature": 3}, second),
        Planted("life_fate", "", "it has no direction", {"feature": ZERO}, second),
        Planted("life_fate", "passes through", ends, {"feature": 0}, "layer 0 by nearest"),
        Planted("fate_features", 2, "2 and 4: the first layer has them", dies, fates),
        Planted("fate_share", 2 / 5, "2 and 4, of five with a direction", dies, fates),
        Planted("life_source", 2, first, {"feature": 2}, second),
        Planted("life_source", 5, "it is the fifth of the first layer", {"feature": 4}, second),
        Planted("life_source", -1, "it is born here", {"feature": 1}, second),
        Planted("life_source", 0, "0 became two", {"feature": 4}, third),
        Planted("life_source", -1, "the source's nearest is another", {"feature": 4}, "layer 2 by mutual"),
        Planted("life_successor", 1, first, {"feature": 1}, second),
        Planted("life_successor", -1, "it dies here", {"feature": 2}, second),
        Planted("source_cosine", None, "nothing comes before", what="layer 0 by nearest"),
        Planted("successor_cosine", None, "nothing comes after", what=third),
        Planted("source_chance", None, "it has no direction", {"feature": ZERO}, second),
        Planted("successor_chance", None, "it has no direction", {"feature": ZERO}, second),
        Planted("succeeded_share", 2 / 5, "0 and 1, of five with a direction", {"life_step": "7 → 8"}, steps),
        Planted("sourced_share", 3 / 5, "0, 2 and 4, of five", {"life_step": "6 → 7"}, steps),
        Planted("life_step", "6 → 7", "the names of the first two", what="flow of 2, step 0 by nearest"),
        known("source_cosine", 1, "the same axis", **two_of(two), layer=1, feature=0),
        known("successor_cosine", 0, "the next layer lacks it", **two_of(two), layer=0, feature=0),
        known("succeeded_share", 0.5, "one of two", **two, used_on=[0.7], step=0),
        known("source_chance", 1 - 0.75**2, over, **plane, **quarter[1], mixtures_back=[None], layer=1, feature=0),
        known("successor_chance", 1 - 0.75**2, over, **plane, **quarter[0], mixtures_on=[None], layer=0, feature=0),
        known("random_successors", 1 - 0.75**2, over, **plane, **quarter[0], **drawn),
        known("random_sources", 1 - 0.75**2, over, **plane, **quarter[1], **back),
        known("successor_threshold", 1.0, often, **plane, threshold=0.7, **drawn),
        known("source_threshold", 1.0, often, **plane, threshold=0.7, **back),
        known("successor_threshold", 1.0, "the one mixture is it", **fires(), threshold=0.7, **drawn | mixed),
        known("life_similarity", 0.6, "of (1, 0) and (0.6, 0.8)", **pair | {"layers": [np.eye(2), tilted]}),
        known("life_similarity", 1, "twice as strong", **pair | {"layers": fires()["layers"], "by": "activations"}),
    ]


def two_of(given: Mapping[str, object]) -> dict[str, object]:
    return {name: given[name] for name in ("layers", "by", "least")}


def fires() -> dict[str, object]:
    acts = np.array([[1.0], [0], [2]])
    return {"layers": [acts, 2 * acts], "by": "activations", "least": 1}
