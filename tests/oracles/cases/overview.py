"""Weights of three architectures and a crosscoder, recipes of two dictionaries, and a temporal dictionary's halves."""

import numpy as np
import pandas as pd

from core.activations.temporal import temporal_halves
from core.activations.token_pass import activation_pass
from core.dictionaries.sources import open_dictionary
from core.overview.probe import probe_recipes
from core.overview.tables import density_counts, density_table, unseen_below, weight_table
from core.workspace import Workspace
from tests.doubles import crosscoders
from tests.doubles.activation_rows import NEEDS, ROWS, planted, temporal_tensors
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import Case, Known, Planted, Shown, known

THRESHOLD, LEFT_OUT, SIZE = 0.3, (3, 9), 20.0
COSINE = {"encoder_decoder_cosine": "in the room of geometry"}
POSITION = {"position": "position"}


def case(folder) -> Case:
    model = planted_model(folder / "model")
    return Case([*of_weights(folder), *of_density(model), *of_recipes(folder), *of_halves(model)], known_values())


def of_weights(folder) -> list[Shown]:
    """Return the weights of a folded, a gated and a bias-free dictionary, and of both sides of a crosscoder."""
    rng = np.random.default_rng(1)
    W_dec = rng.normal(size=(12, 8))
    W_dec[0] = np.eye(8)[0] * 2
    W_enc, b_enc, b_dec = rng.normal(size=(8, 12)), rng.normal(size=12), rng.normal(size=8)
    W_enc[:, 0] = np.eye(8)[1] * 3
    b_enc[0], b_dec[0] = -1, 0.5
    drawn = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
    lengths = np.sqrt((W_dec**2).sum(1))
    folded = {"W_enc": W_enc * lengths, "b_enc": b_enc * lengths, "W_dec": W_dec / lengths[:, None], "b_dec": b_dec}
    gated = planted_dictionary("gated", fold_decoder_norms=False)
    pursuit = planted("matching_pursuit", fold_decoder_norms=False)
    tied = {"W_enc": pursuit.W_dec.T, "W_dec": pursuit.W_dec, "b_dec": pursuit.b_dec}
    own = {"W_enc": gated.W_enc, "W_dec": gated.W_dec, "b_dec": gated.b_dec, "b_mag": gated.b_enc}
    plain = planted_dictionary(tensors=drawn, fold_decoder_norms=False)
    shown = [("plain", plain, drawn), ("folded", planted_dictionary(tensors=drawn), folded)]
    shown += [("gated", gated, own), ("no bias", pursuit, tied), *of_sides(folder)]
    return [Shown(what, weight_table(dictionary), given, not_held=COSINE) for what, dictionary, given in shown]


def of_sides(folder) -> list[tuple]:
    w = crosscoders.draw()
    crosscoders.dictionary_learning(folder / "cc", w)
    sides = []
    for side in range(2):
        here, id = Workspace(roots=(folder,)), f"folder/{folder}/cc#side={side}"
        dictionary = open_dictionary(id, here, fold_decoder_norms=False)
        given = {name: w[name][side] for name in ("W_enc", "W_dec", "b_dec")} | {"b_enc": w["b_enc"]}
        sides.append((f"side {side}", dictionary, given | {"sides": w["W_dec"], "side": side}))
    return sides


def of_density(model) -> list[Shown]:
    dictionary = planted_dictionary(tensors={"b_enc": np.r_[-100.0, -2.5, np.zeros(10)]})
    statistics, acts = activation_pass(dictionary, model, ROWS, None), dictionary.encode(inputs(model))
    shown = []
    for first in (True, False):
        counts = density_counts(density_table(statistics, with_first=first), THRESHOLD)
        n = statistics.n_tokens(with_first=first)
        table = pd.DataFrame([{"ultralow": counts["ultralow"], "unseen_below": unseen_below(n)}])
        counted = acts if first else acts[:, 1:]
        given = {"acts": counted, "threshold": THRESHOLD, "n_tokens": ROWS[:, 0 if first else 1 :].size}
        shown.append(Shown(f"densities, first {first}", table, given, {}))
    return shown


def of_recipes(folder) -> list[Shown]:
    """Return recipes of a dictionary drawn, and of one made for inputs of mean length √d_in, which it never gets."""
    rng = np.random.default_rng(6)
    D = np.concatenate([np.eye(8), -np.eye(8)])
    W_E = SIZE * D[np.arange(257) % 16]
    still = {"embed.W_E": W_E, "pos_embed.W_pos": np.zeros((12, 8))}
    loud = {"embed.W_E": 2 + 0.3 * rng.normal(size=(257, 1)) + W_E / 9 + 0.3 * rng.normal(size=W_E.shape)}
    loud["embed.W_E"][int(ROWS[2, 3])] *= 40
    exact = {"W_enc": D.T, "W_dec": 10 * D, "b_enc": np.full(16, -0.9 * 8**0.5), "b_dec": np.zeros(8)}
    wide = {"W_enc": D.T, "W_dec": D + 0.1 * rng.normal(size=D.shape), "b_enc": 0.3 * rng.normal(size=16)}
    shown = []
    for what, tensors, embedded, subtracts, expected in (
        ("made for shorter inputs", exact, still, True, None),
        ("subtracts", wide | {"b_dec": np.full(8, 2.0)}, loud, True, 2.0),
        ("adds", wide | {"b_dec": np.full(8, 0.3)}, loud, False, None),
    ):
        dictionary = planted_dictionary(
            d_sae=16, tensors=tensors, fold_decoder_norms=False, apply_b_dec_to_input=subtracts
        )
        model = planted_model(folder / what, tensors=embedded)
        probe = probe_recipes(dictionary, model, ROWS, expected_l0=expected, left_out=LEFT_OUT)
        given = {"x": inputs(model), "tokens": ROWS, "left_out": LEFT_OUT, "tensors": tensors, "subtracts": subtracts}
        shown.append(Shown(what, probe.to_frame(), given, {"recipe": "recipe"}))
    return shown


def of_halves(model) -> list[Shown]:
    import torch

    tensors = temporal_tensors(NEEDS["temporal"]) | {"b_dec": np.linspace(-1, 1, 8)}
    dictionary, x = planted("temporal", tensors=tensors), inputs(model)
    found = temporal_halves(dictionary, model, ROWS)
    with torch.no_grad():
        novel, predicted = dictionary.sae.encode_with_predictions(torch.tensor(x, dtype=torch.float32))
    codes = {"novel_codes": novel.double().numpy(), "predicted_codes": predicted.double().numpy()}
    given = codes | {"x": x, "W_dec": dictionary.W_dec, "b_dec": dictionary.b_dec}
    return [
        Shown("halves by position", found.position_table(), given, POSITION),
        Shown("halves by feature", found.feature_table(), given),
    ]


def inputs(model) -> np.ndarray:
    return model.activations(ROWS, "blocks.0.hook_resid_pre").astype(float)


def known_values() -> list[Planted | Known]:
    first, other = {"feature": 0}, {"feature": 2}
    one = {"W_dec": np.array([[3.0, 4]]), "predicted_codes": np.ones((2, 1, 1)), "position": 0}
    x = np.array([[[4.0, 4]], [[2, 4]]])
    halves = one | {"x": x, "b_dec": np.zeros(2)}
    acts = np.array([[0, 0, 1.0], [0, 1, 1], [0, 0, 1], [0, 0, 1]])
    return [
        Planted("encoder_norm", 3, "three times an axis", first, "plain"),
        Planted("encoder_norm", 6, "its decoder row has length 2", first, "folded"),
        Planted("decoder_norm", 2, "twice an axis", first, "plain"),
        Planted("decoder_norm", 1, "folded", what="folded"),
        Planted("encoder_bias", -1, "it was set", first, "plain"),
        Planted("encoder_bias", -2, "its decoder row has length 2", first, "folded"),
        Planted("encoder_bias", 0, "it has none", what="no bias"),
        Planted("decoder_bias_product", 1, "twice one half", first, "plain"),
        Planted("relative_decoder_norm", 0, "it is of the other side alone", other, "side 0"),
        Planted("relative_decoder_norm", 1, "it is of this side alone", other, "side 1"),
        Planted("recipe_fve", 1, "it was made for this", {"recipe": "scaled 0.141"}, "made for shorter inputs"),
        known("unseen_below", 0.95, "unseen on one token", n_tokens=1),
        known("unseen_below", 1 - 0.05**0.5, "unseen on two", n_tokens=2),
        known("unseen_below", 1, "nothing was looked at", n_tokens=0),
        known("ultralow", 1, "none, one and four of four", acts=acts, threshold=0.3),
        known("ultralow", 0, "a density of the threshold is not below it", acts=acts, threshold=0.25),
        known("predicted_norm", 5, "3, 4, 5", **one),
        known("novel_norm", 10, "6, 8, 10", novel_codes=np.full((1, 1, 1), 2.0), W_dec=one["W_dec"], position=0),
        known("fve_predicted", 0, "it leaves 1 + 1, and so does the mean", **halves),
        known("fve_both", -25, "the novel half adds (3, 4) twice", **halves, novel_codes=np.ones((2, 1, 1))),
        known("predicted_code", 1, "always 1", predicted_codes=one["predicted_codes"], feature=0),
        known("novel_code", 0.5, "1 and 0", novel_codes=np.array([[[1.0]], [[0.0]]]), feature=0),
    ]
