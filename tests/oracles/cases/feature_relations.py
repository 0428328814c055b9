"""Eight features on 60 rows of seven tokens, some of which go with the first, against it, or with one neuron."""

import numpy as np
import pandas as pd
from scipy import stats

from core.activations.store import feature_activations
from core.feature.correlated_features import correlated_features
from core.feature.correlated_neurons import correlated_neurons
from tests.doubles.held_store import HeldStore
from tests.doubles.planted import planted_model
from tests.oracles.shown import Case, Known, Planted, Shown, known

SHAPE, D_SAE, HOOK, UNIT = (60, 7), 8, "blocks.1.mlp.hook_post", 5
OWN, TWICE, AGAINST, DEAD, OF_UNIT, ALWAYS = range(6)
"""One drawn, its double, one on where it is not, one on nowhere, one that is a neuron, and one on every token."""


def case(folder) -> Case:
    rng, model = np.random.default_rng(3), planted_model(folder)
    rows, counted = rng.integers(2, 257, SHAPE), rng.random(SHAPE) < 0.9
    store_rows = np.where(counted, rows, 1)
    values = model.activations(store_rows, HOOK)
    acts = activations(rng, values[..., UNIT]) * counted[..., None]
    store = HeldStore(acts, counted, rows=rows)
    given = {"acts": acts[counted].astype(float), "values": values[counted].astype(float)}
    shown = [table for own in (OWN, AGAINST, 6) for table in of_feature(store, given, own)]
    units = correlated_neurons(store, store.statistics(), model, HOOK, k=4)
    for own in (OWN, OF_UNIT, 7):
        shown.append(Shown(f"units of {own}", units.table(own), given | {"own": own}, IT))
    best = {"feature": range(D_SAE), "correlated_unit": units.idx[:, 0], "neuron_correlation": units.corr[:, 0]}
    alive = pd.DataFrame(best).drop(index=[DEAD, ALWAYS]).reset_index(drop=True)
    shown.append(Shown("best units", alive, given, IT | {"own": "feature"}))
    assert units.table(DEAD).empty, "what is constant goes with nothing"
    assert units.table(ALWAYS).empty, "what is constant goes with nothing"
    return Case(shown, planted())


IT, PAIR = {"correlated_unit": "correlated_unit"}, {"correlated_feature": "correlated_feature"}


def activations(rng, neuron: np.ndarray) -> np.ndarray:
    acts = rng.normal(2, 1, (*SHAPE, D_SAE)).astype(np.float32) * (rng.random((*SHAPE, D_SAE)) < 0.4)
    acts[..., 6] += 0.5 * acts[..., OWN]
    acts[..., TWICE], acts[..., AGAINST] = 2 * acts[..., OWN], acts[..., OWN] == 0
    acts[..., DEAD], acts[..., OF_UNIT], acts[..., ALWAYS] = 0, neuron, 1
    return acts


def of_feature(store, given, own) -> list[Shown]:
    """Return the features most alike and most opposed, and all, as the page lists and draws them."""
    mine = feature_activations(store, own, d_sae=D_SAE)
    found = correlated_features(mine, store, store.statistics(), itself=own)
    every = pd.DataFrame({"feature": np.arange(D_SAE), "feature_correlation": found.correlation})
    given, both = given | {"own": own}, PAIR | {"feature": "correlated_feature"}
    return [
        Shown(f"alike, {own}", found.table(top=4), given, both),
        Shown(f"opposed, {own}", found.table(lowest=True), given, both),
        Shown(f"all, {own}", every, given, {"correlated_feature": "feature"}),
    ]


def planted() -> list[Planted | Known]:
    twice, against = {"correlated_feature": TWICE}, {"correlated_feature": AGAINST}
    alike, opposed, every = (f"{name}, {OWN}" for name in ("alike", "opposed", "all"))
    four = {"acts": np.array([[1.0, 2], [3, 0], [0, 0], [4, 1], [0, 0], [0, 5]]), "own": 0, "correlated_feature": 1}
    units = {"values": np.array([[0.5], [1], [-2], [3], [0], [1]]), "correlated_unit": 0}
    r, s = (stats.pearsonr([1, 3, 0, 4, 0, 0], g)[0] for g in ([2, 0, 0, 1, 0, 5], [0.5, 1, -2, 3, 0, 1]))
    return [
        Planted("feature_correlation", 1, "it is its double", twice, alike),
        Planted("together_share", 1, "it is its double", twice, alike),
        Planted("together_tokens", 0, "it is active where the other is not", against, opposed),
        Planted("together_share", 0, "it is active where the other is not", against, opposed),
        Planted("together_lift", 0, "it is active where the other is not", against, opposed),
        Planted("feature_correlation", np.nan, "it never fires", {"feature": DEAD}, every),
        Planted("feature_correlation", np.nan, "it is the same on every token", {"feature": ALWAYS}, every),
        Planted("feature_correlation", np.nan, "it is itself", {"feature": OWN}, every),
        Planted("neuron_correlation", 1, "it is this neuron", {"feature": OF_UNIT, "correlated_unit": UNIT}),
        Planted("neuron_correlation", 1, "it is this neuron", {"correlated_unit": UNIT}, f"units of {OF_UNIT}"),
        known("feature_correlation", r, "as scipy has it", **four),
        known("together_tokens", 2, "the first and the fourth", **four),
        known("together_share", 2 / 3, "two of three", **four),
        known("together_lift", 4 / 3, "two of six, where 1.5 of six is chance", **four),
        known("neuron_correlation", s, "as scipy has it", acts=four["acts"], own=0, **units),
    ]
