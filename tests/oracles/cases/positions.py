"""A layer-0 dictionary of ten features on nine tokens at eight positions, six of them in the context."""

import numpy as np
import pandas as pd

from core.dictionaries.spaces import directions
from core.oracles.encode import encode
from core.positions import embeddings, grids, scores, tables
from core.positions.methods import position_statistics
from core.positions.repair import repair_curves
from core.positions.statistics import PositionSettings
from core.positions.units import unit_curves
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.positions_by_hand import by_hand, grid_inputs
from tests.oracles.shown import Case, Known, Planted, Shown, known

N, D, V, N_POS, C = 16, 8, 9, 8, 6
AT_3, ON_5, LATE, DEAD = 0, 1, 2, 3
"""Features that fire at position 3 alone, on token 5 alone, beyond the context alone, and never."""


def case(folder) -> Case:
    model = planted_model(folder, d_vocab=V, n_ctx=N_POS, tensors=embedded())
    dictionary = planted_dictionary(
        d_in=D, d_sae=N, context_size=C, tensors=weights(), apply_b_dec_to_input=False, fold_decoder_norms=False
    )
    stats = position_statistics(dictionary, model, settings=PositionSettings(n_pos=N_POS))
    acts, pre_acts = by_hand(dictionary, grid_inputs(model, N_POS))
    given = {"acts": acts, "pre_acts": pre_acts, "context_size": C, "W_pos": model.W_pos, "features": list(range(9))}
    place = {"feature": "feature", "position": "position"}
    bands = dict.fromkeys(("low", "high"), "the mean, one standard deviation less or more")
    before = {"mean": "mean_pre_activation", "std": "std_pre_activation"}
    curves = {stage: tables.curves(stats, range(N), stage=stage) for stage in ("acts", "pre_acts")}
    count = pd.DataFrame([{"positional": scores.suggested_count(stats)}])
    shown = [
        Shown("scores", scores.score_table(stats), given),
        Shown("peaks", scores.peaks_per_position(stats, range(9)), given, {"position": "position"}),
        Shown("count", count, given, {}),
        Shown("cells", tables.heatmap_cells(stats, range(N)), given, place),
        Shown("curves", curves["acts"], given, place, not_held=bands),
        Shown("pre-activations", curves["pre_acts"], given, place, before, not_held=bands),
        *(Shown(f"at {p}", tables.at_position(stats, p), given | {"position": p}) for p in (3, 7)),
        *of_tokens(dictionary, model, given),
        *of_directions(dictionary, model, given),
        *of_units(model),
        *of_repairs(dictionary, model),
    ]
    return Case(shown, planted())


def embedded() -> dict[str, np.ndarray]:
    """Token 5 alone has the last coordinate, positions 3 and 7 have two of their own."""
    rng = np.random.default_rng(5)
    W_E, W_pos = np.zeros((V, D)), np.zeros((N_POS, D))
    W_E[:, :5], W_pos[:, :5] = rng.normal(size=(V, 5)), rng.normal(size=(N_POS, 5))
    W_E[5, 7] = W_pos[3, 5] = W_pos[7, 6] = 2
    return {"embed.W_E": W_E, "pos_embed.W_pos": W_pos}


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    W_enc, b_enc = rng.normal(size=(D, N)), 0.3 * rng.normal(size=N)
    W_enc[:, :4] = 0
    W_enc[5, AT_3] = W_enc[7, ON_5] = W_enc[6, LATE] = 1
    b_enc[:4] = 0
    W_enc[:, 4:] *= np.geomspace(1, 0.002, N - 4)  # so that scores fall by rank
    b_enc[4:] *= np.geomspace(1, 0.002, N - 4)
    return {"W_enc": W_enc, "b_enc": b_enc, "W_dec": rng.normal(size=(N, D))}


def of_tokens(dictionary, model, given) -> list[Shown]:
    grid = grids.feature_grid(dictionary, model, 5)
    cells = tables.matrix_cells(grid, np.arange(V), np.arange(N_POS), names=("token", "position", "activation"))
    curves = grids.token_curves(dictionary, model, 4)
    ranking = pd.DataFrame({"feature": range(N), "token_score_of_token": curves[:C].mean(axis=0)})
    place = {"token": "token", "position": "position"}
    return [
        Shown("grid", cells, given | {"feature": 5}, place),
        Shown("of a token", ranking, given | {"token": 4}),
    ]


def of_directions(dictionary, model, given) -> list[Shown]:
    sides = {side: np.ascontiguousarray(directions(dictionary, side)) for side in ("decoder", "encoder")}
    near = {side: embeddings.nearest_position(rows, model.W_pos[:C]) for side, rows in sides.items()}
    table = pd.DataFrame(
        {"feature": range(4, N)}
        | {f"max_cosine_{side}": found.cosine[4:] for side, found in near.items()}
        | {f"nearest_position_{side}": found.index[4:] for side, found in near.items()}
    )
    cosines = embeddings.cosine_to_positions(sides["decoder"], model.W_pos)
    names, own = ("feature", "position", "cosine_with_position"), ("position", "other", "position_self_similarity")
    places = np.arange(N_POS)
    cells = tables.matrix_cells(cosines, np.arange(N), places, names=names, keep_zeros=True)
    similar = embeddings.position_self_similarity(model.W_pos)
    similar = tables.matrix_cells(similar, places, places, names=own, keep_zeros=True)
    pca = embeddings.position_pca(model.W_pos, last=N_POS, n_components=3)
    axes = pd.DataFrame({"pca_explained": pca.explained[:6]})
    of_encoder = {name: {"directions": sides["encoder"]} for name in table if name.endswith("encoder")}
    given = given | {"directions": sides["decoder"]}
    return [
        Shown("nearest position", table, given, instead=of_encoder),
        Shown("cosines", cells, given, {"feature": "feature", "position": "position"}),
        Shown("self-similarity", similar, given, {"position": "position", "other": "other"}),
        Shown("axes", axes, given | {"first": 1, "last": N_POS, "unit_norm": True}, {"axis": "#"}),
    ]


def of_units(model) -> list[Shown]:
    hook, rows = "blocks.0.hook_resid_post", np.random.default_rng(1).integers(0, V, (11, N_POS))
    found, values = unit_curves(model, hook, rows), model.activations(rows, hook).astype(np.float64)
    given = {"values": values, "acts": values, "context_size": N_POS, "above": -np.inf}
    both = {"unit": "unit", "feature": "unit", "position": "position"}
    bands = dict.fromkeys(("low", "high"), "the mean, one standard deviation less or more")
    curves = Shown("unit curves", found.curve_table(range(4)), given, both, {"mean": "mean_unit"}, not_held=bands)
    return [Shown("units", found.score_table(), given, {"unit": "unit", "feature": "unit"}), curves]


def of_repairs(dictionary, model) -> list[Shown]:
    """Return what every repair leaves on eleven rows, features 0, 2 and 4 being positional."""
    rows, features = np.random.default_rng(1).integers(0, V, (11, N_POS)), [AT_3, LATE, 4]
    found = repair_curves(dictionary, model, rows, features=features, context_size=C).to_frame()
    tensors = {"W_enc": dictionary.W_enc, "b_enc": dictionary.b_enc}
    W_dec, b_dec, W_pos = (w.astype(float) for w in (dictionary.W_dec, dictionary.b_dec, model.W_pos))
    token = model.W_E.astype(float)[rows]
    x = token + W_pos
    acts, of_token = encode(tensors, x)[0], encode(tensors, token)[0]
    x_hat, beyond = acts @ W_dec + b_dec, (np.arange(N_POS) >= C)[:, None]
    along = (x_hat * W_pos).sum(-1, keepdims=True) / (x_hat**2).sum(-1, keepdims=True)
    swapped = x_hat - acts[..., features] @ W_dec[features] + W_pos
    repaired = {
        "as it is": x_hat,
        "position added": x_hat + beyond * W_pos,
        "orthogonal part added": x_hat + beyond * (W_pos - along * x_hat),
        "positional features swapped": swapped,
        "swapped and centred": swapped - (swapped - x)[:, :C].mean((0, 1)),
        "token alone encoded": of_token @ W_dec + b_dec + W_pos,
    }
    shown = []
    for name, mine in found.groupby("repair", sort=False):
        given = {"x": x, "x_hat": repaired[name], "context_size": C}
        why = {"repair": "the name of the way"}
        shown.append(Shown(name, mine.reset_index(drop=True), given, {"position": "position"}, not_held=why))
    return shown


def planted() -> list[Planted | Known]:
    at, on, late, dead = ({"feature": i} for i in (AT_3, ON_5, LATE, DEAD))
    third, ninth = "it is 2 at position 3 on every token, 0 elsewhere", "it is 2 on token 5 alone"
    never, past = "its weights are zero", "it is 2 at position 7 on every token, beyond the context"
    return [
        Planted("peak", 3, third, at, "scores"),
        Planted("peak", -1, never, dead, "scores"),
        Planted("position_score", 2, third, at, "scores"),
        Planted("peak_width", 1, third, at, "scores"),
        Planted("share_position", 1, third, at),
        Planted("positional_r2", 1, third, at),
        Planted("share_token", 0, third, at),
        Planted("share_token", 1, ninth, on),
        Planted("share_interaction", 0, ninth, on),
        Planted("token_best", 5, ninth, on),
        Planted("token_score", 2, ninth, on),
        Planted("firing_count", V, third, at),
        Planted("firing_count", 1, ninth, on),
        Planted("variance", 4 * 5 / 36, third, at),
        Planted("mutual_information", (np.log(6) + 5 * np.log(6 / 5)) / 6, third, at),
        Planted("mutual_information", 0, ninth, on),
        Planted("t_score", 8**-0.5, ninth, on),
        Planted("inverse_token_score", 2 * 5**0.5 / 6, third, at),
        Planted("inverse_position_score", 2 * 8**0.5 / 9, ninth, on),
        Planted("only_beyond", V, past, late),
        Planted("beyond_score", 2, past, late),
        Planted("mean_activation", 2, third, at | {"position": 3}, "cells"),
        Planted("std_activation", 2 * 8**0.5 / 9, ninth, on | {"position": 2}, "cells"),
        Planted("firing_rate", 1 / 9, ninth, on | {"position": 2}, "cells"),
        Planted("mean_pre_activation", 2 / 9, ninth, on | {"position": 2}),
        Planted("std_pre_activation", 0, third, at | {"position": 2}),
        *of_tiny_inputs(),
    ]


def of_tiny_inputs() -> list[Known]:
    grid = np.array([[0.0, 1], [2, 5], [0, 0]])[..., None]
    e, turned = np.eye(3), np.array([[0.0, 3, 0], [1, 1, 0]])
    to, cross = {"directions": turned, "W_pos": e}, np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
    scored = np.concatenate([np.repeat([[[4.0], [0]]], 30, axis=0)] * 2 + [np.full((30, 2, 1), 0.001)] * 6, axis=2)
    return [
        known("rank", 2, "the first of two equal ones comes first", acts=scored, feature=1, context_size=2),
        known("n_positional", 2, "two that fire at position 0 alone stand out", acts=scored, context_size=2),
        known("features_peaking", 2, "two of three", acts=scored, features=[0, 1], context_size=2, position=0),
        known("activation", 5, "it stands there", acts=grid, feature=0, token=1, position=1),
        known("token_score_of_token", 3.5, "the mean of 2 and 5", acts=grid, feature=0, token=1, context_size=2),
        known("mean_unit", 2, "the mean of 1, 5 and 0", values=grid, unit=0, position=1),
        known("largest_mean_unit", 2, "2 at position 1, less at 0", values=grid, unit=0),
        known("cosine_with_position", 1, "row 0 lies along position 1", feature=0, position=1, **to),
        known("max_cosine", 0.5**0.5, "half way between two", feature=1, context_size=2, **to),
        known("nearest_position", 1, "row 0 lies along position 1", feature=0, context_size=3, **to),
        known("position_self_similarity", 0, "two axes", W_pos=e, position=0, other=1),
        known("pca_explained", 0.8, "twice as far on one axis", W_pos=cross, first=0, last=4, unit_norm=False, axis=0),
    ]
