"""Seven directions in five dimensions: a double, a bit copy, a zero row, a sum of two, and others drawn."""

import numpy as np
import pandas as pd

from core.geometry import tables
from core.geometry.composed import composed_features
from core.geometry.neighbors import nearest_features
from core.geometry.study import GeometryStudy
from core.oracles.geometry import nearest_cosine
from tests.doubles.planted import planted_dictionary
from tests.oracles.shown import Case, Known, Planted, Shown, known

N, D, K = 26, 5, 24


def case(folder) -> Case:
    dictionary = planted_dictionary(tensors=weights(), d_in=D, d_sae=N, fold_decoder_norms=False)
    shown = [table for side in ("decoder", "encoder") for table in tables_of(dictionary, side)]
    cosine = pd.DataFrame({"feature": range(N), "encoder_decoder_cosine": tables.encoder_decoder_cosine(dictionary)})
    W = {"W_enc": dictionary.W_enc, "W_dec": dictionary.W_dec}
    return Case([*shown, Shown("encoder and decoder", cosine, W)], planted())


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    W_dec, W_enc = rng.normal(size=(N, D)), rng.normal(size=(D, N))
    W_dec[1] = 2 * W_dec[0]  # a double: the same direction, other bits
    W_dec[2] = W_dec[3]  # a copy
    W_dec[4] = 0
    W_dec[5:8] = np.eye(D)[:3] * 3
    W_dec[8] = (np.eye(D)[0] + np.eye(D)[1]) * 0.5
    W_enc[:, 5] = -W_dec[5]
    return {"W_dec": W_dec, "W_enc": W_enc}


def tables_of(dictionary, side) -> list[Shown]:
    rows = dictionary.W_dec if side == "decoder" else np.ascontiguousarray(dictionary.W_enc.T)
    k = min(K, N - 4)
    study = GeometryStudy(dictionary, side, nearest_features(rows, k=k), nearest_features(rows, k=k - 2, copies=False))
    n, given = study.n_features, {"directions": rows, "n": study.n_features, "d": D, "k": k, "r": 3}
    cosines = np.array([nearest_cosine(rows, i) for i in range(N)])
    edges = tables.common_edges({"nearest": study.distinct.cos[:, 0].astype(float)}, bins=4)
    near = tables.with_random_ranks(tables.neighbors_of(study.neighbors, 0), study.random)
    composed = composed_features(rows, study.distinct)
    bins = {"bin_low": "bin_low", "bin_high": "bin_high"}
    held = {**given, "cosines": cosines, "bins": 4}
    whose = {"dictionary": "the name of a row's dictionary"}
    histogram = tables.histograms({"it": tables.rth_cosine(study.distinct, 1)}, edges)
    chance = tables.random_histogram(study.random, 3, edges, "chance")
    summary = {
        **vars(study.crowding),
        "welch_bound": study.random.welch_bound,
        "interference": study.random.interference,
    }
    return [
        Shown(f"{side} distances", tables.feature_distances(study.distinct, 3), given),
        Shown(f"{side} histogram", histogram, held, bins, not_held=whose),
        Shown(f"{side} edges", histogram[["bin_low", "bin_high"]], held, {"bin": "#"}),
        Shown(
            f"{side} chance",
            chance,
            given,
            bins,
            {"features_in_bin": "random_cosine"},
            not_held=whose | {"share_in_bin": "the same, divided by n"},
        ),
        Shown(f"{side} hubs", tables.hubs(study.distinct), given | {"k": k - 2}),
        Shown(f"{side} by bin", tables.neighbors_by_bin(study.distinct, edges), held, bins),
        Shown(
            f"{side} near 0",
            near,
            given | {"feature": 0},
            {"neighbor_rank": "neighbor_rank", "neighbor": "neighbor"},
            {"neighbor_rank": "neighbor_rank"},
        ),
        Shown(f"{side} sums", tables.composed_table(composed, study.distinct), given),
        Shown(f"{side} summary", pd.DataFrame([summary]), given | {"n": n}, {}),
    ]


def planted() -> list[Planted | Known]:
    double = "row 1 is row 0 doubled"
    return [
        Planted("nearest_cosine", 1, double, {"feature": 0}, "decoder hubs"),
        Planted("neighbor", 1, double, {"feature": 0}, "decoder hubs"),
        Planted("neighbor_cosine", 1, double, {"neighbor": 1}, "decoder near 0"),
        Planted("neighbor_rank", 1, double, {"neighbor": 1}, "decoder near 0"),
        Planted("mutual_rank", 1, double, {"neighbor": 1}, "decoder near 0"),
        Planted("largest_cosine", 1, double, what="decoder summary"),
        Planted("composed_cosine", 1, "row 8 is half of rows 5 and 6", {"feature": 8}, "decoder sums"),
        Planted("encoder_decoder_cosine", -1, "column 5 is row 5 turned round", {"feature": 5}),
        Planted("encoder_decoder_cosine", np.nan, "row 4 is zero", {"feature": 4}),
        Planted("interference", 5**-0.5, "5 dimensions"),
        Planted("welch_bound", (19 / (5 * 23)) ** 0.5, "24 directions in 5 dimensions", what="decoder summary"),
        *of_a_star(),
        *of_chance_and_bins(),
    ]


def of_a_star() -> list[Known]:
    """Four features about feature 0, each at 2 / √5 from it and 4 / 5 from each other, and a sum of two."""
    e = np.eye(6)
    star = np.vstack([e[0], e[0] + e[1:5] / 2, e[5]])
    about = 2 / 5**0.5
    pair, bins = np.vstack([e[0], e[1], e[0] + e[1]]), {"bin_low": 0.8, "bin_high": 1.0}
    cosines = np.array([about] * 5 + [0])
    return [
        known("rth_cosine", 0.8, "the second nearest of an arm is another arm", directions=star, feature=1, r=2),
        known("in_degree", 5, "four arms, and the last, which has cosine 0 with all", directions=star, feature=0),
        known("in_degree_top", 5, "of all others", directions=star, feature=1, k=4),
        known("mean_cosine", (4 * about + 6 * 0.8) / 15, "4 and 6 of 15 pairs", directions=star),
        known("mean_nearest_cosine", about * 5 / 6, "the last has cosine 0 with all", directions=star),
        known("features_in_bin", 5, "the star without the last", cosines=cosines, **bins),
        known("share_in_bin", 5 / 6, "five of six", cosines=cosines, **bins),
        known("commonest_neighbor", 0, "the centre", directions=star, cosines=cosines, **bins),
        known("same_neighbor_share", 0.8, "the centre is not its own", directions=star, cosines=cosines, **bins),
        known("distinct_neighbors", 2, "the centre, and an arm for it", directions=star, cosines=cosines, **bins),
        known("composed_first", 0, "rows 0 and 1 make row 2", directions=pair, feature=2),
        known("composed_second", 1, "rows 0 and 1 make row 2", directions=pair, feature=2),
        known("composed_gain", 1 - 0.5**0.5, "it has cosine √½ with either", directions=pair, feature=2),
    ]


def of_chance_and_bins() -> list[Known]:
    """In three dimensions the cosine of two random directions is even between −1 and 1."""
    half = {"bins": 4, "cosines": np.array([0.0, 1.0]), "bin": 2}
    return [
        known("random_cosine", 0.5, "a quarter of two", n=2, d=3, r=1, bin_low=0.0, bin_high=0.5),
        known("random_rth_cosine", 2 * 0.5**0.5 - 1, "the larger of two even numbers", n=3, d=3, neighbor_rank=1),
        known("bin_low", 0.5, "the third of four bins", **half),
        known("bin_high", 0.75, "the third of four bins", **half),
    ]
