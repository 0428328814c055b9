"""A dictionary of twelve features on six rows of sixteen tokens, half of them beyond its context."""

import numpy as np
import pandas as pd
from scipy import stats

from core.activations import tables
from core.activations.quantiles import activation_quantiles
from core.activations.statistics import ActivationStatistics
from core.activations.token_pass import activation_pass, open_store
from core.oracles.encode import encode
from core.overview.tables import density_table
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import Case, Known, Planted, Shown, known

D_IN, D_SAE, N_POS, C = 8, 12, 16, 8
DEAD, ALWAYS = 0, 1
ROWS = np.random.default_rng(4).integers(0, 257, (6, N_POS))
BY_POSITION = {"feature": "position"}


def case(folder) -> Case:
    dictionary, model = dictionary_of(), planted_model(folder / "model", n_ctx=N_POS)
    artifacts = ArtifactStore(folder / "cache")
    found = activation_pass(dictionary, model, ROWS, artifacts)
    x = model.activations(ROWS, dictionary.config.hook_name).astype(float)
    tensors = {"W_enc": dictionary.W_enc, "b_enc": dictionary.b_enc}
    acts, _ = encode(tensors, x, input_bias=dictionary.b_dec.astype(float))
    x_hat = acts @ dictionary.W_dec.astype(float) + dictionary.b_dec
    deciles = activation_quantiles(open_store(dictionary, model, ROWS, artifacts), found)
    by_feature = tables.decile_table(found.feature_table(), deciles)
    below = pd.DataFrame([{"mean_below_median": tables.mean_below_median(by_feature)[0]}])
    counts = tables.cumulative_counts(by_feature)
    threshold = {"threshold": "activation_threshold"}
    at = {"acts": np.moveaxis(acts, 1, -1)}
    levels = {f"decile_{n}": {"level": n / 10} for n in range(1, 11)}
    return Case(
        [
            Shown("features", found.feature_table(), {"acts": acts}),
            Shown("later tokens", found.feature_table(with_first=False), {"acts": acts[:, 1:]}),
            Shown("densities", density_table(found), {"acts": acts}),
            Shown("medians", tables.median_table(deciles.values, deciles.levels), {"acts": acts}),
            *of_curves(found.feature_table()),
            Shown("deciles", by_feature, {"acts": acts}, instead=levels),
            Shown("below", below, {"acts": acts}, {}),
            Shown("thresholds", counts[["activation_threshold"]], {"acts": acts}, {"bin": "#"}),
            Shown("counts", counts, {"acts": acts}, threshold),
            Shown("positions", tables.position_curves(found), at, BY_POSITION),
            *reconstructed(found, acts, x, x_hat),
        ],
        planted(),
    )


def of_curves(features: pd.DataFrame) -> list[Shown]:
    """Return smooth curves over the bars of the features' means, on both axes, and those of a layer, without bars."""
    means = features["mean_active"].dropna().to_numpy(dtype=float)
    value, height = {"at": "value"}, {"height": "kernel_density"}
    shown = []
    for log, of in ((False, means), (True, means)):
        counted = tables.distribution(of, bins=7, log=log)
        low, high = np.log10(counted.bars.iloc[0][["low", "high"]]) if log else counted.bars.iloc[0][["low", "high"]]
        given = {"values": of, "log": log, "width": high - low}
        shown.append(Shown(f"curve, log {log}", counted.curve, given, value, height))
    layer = tables.layer_densities({"one": features}, "mean_active")
    why = {"layer": "the layer's name"}
    return [*shown, Shown("layer", layer, {"values": means, "log": True}, value, height, not_held=why)]


def dictionary_of():
    rng = np.random.default_rng(2)
    b_enc = 0.3 * rng.normal(size=D_SAE)
    b_enc[[DEAD, ALWAYS]] = -100, 100
    return planted_dictionary(
        d_in=D_IN, d_sae=D_SAE, context_size=C, tensors={"b_enc": b_enc}, fold_decoder_norms=False
    )


def reconstructed(found: ActivationStatistics, acts, x, x_hat) -> list[Shown]:
    """Return the curves with and without position 0, and the totals of all tokens and of those after it."""
    shown = []
    for first in (0, 1):
        curves = tables.error_curves(found, context_size=C, with_first=first == 0)[0]
        given = {"acts": acts, "x": x, "x_hat": x_hat, "context_size": C}
        if first:
            given = {name: value[:, 1:] for name, value in given.items() if name != "context_size"}
            curves, given["context_size"] = curves.assign(position=curves["position"] - 1), C - 1
        shown.append(Shown(f"errors from {first} on", curves, given, {"position": "position"}))
        parts = {"acts": acts, "x": x, "x_hat": x_hat}
        whole = {name: part[:, first:].reshape(-1, 1, part.shape[-1]) for name, part in parts.items()}
        totals = pd.DataFrame([found.totals(with_first=first == 0)])
        shown.append(Shown(f"totals from {first} on", totals, whole | {"position": 0, "context_size": 1}, {}))
    return shown


def planted() -> list[Planted | Known]:
    one = {"feature": 0, "acts": np.array([[[3.0], [0], [1]], [[0], [2], [0]]])}
    apart = {"x": np.array([[[3.0, 4]], [[0, 0]]]), "x_hat": np.array([[[4.0, 3]], [[0, 1]]]), "position": 0}
    rows = {"acts": np.array([[[1.0, -2, 0]], [[0, 3, 0]]]), "position": 0}
    lower = {"acts": np.array([[[1.0, 1], [5, 9], [6, 2]]])}
    lone = np.array([1.0, 2, 4, 5.5])
    kernel = {"values": lone, "at": 2.5}
    far = 2**0.2 / 2**0.5  # so far from 0, two values give the kernel a width of 1
    pair = {"values": np.array([-far, far]), "at": 0.0, "log": False, "width": 1}
    steps = {"acts": np.arange(1.0, 13)[None]}
    return [
        Planted("density", 1, "its bias is far above all else", {"feature": ALWAYS}, "features"),
        Planted("active_tokens", 0, "its bias is far below all else", {"feature": DEAD}, "features"),
        Planted("mean_active", None, "never active", {"feature": DEAD}, "features"),
        Planted("log_density", None, "never active", {"feature": DEAD}, "densities"),
        Planted("median_active", None, "never active", {"feature": DEAD}, "medians"),
        known("kernel_density", float(stats.gaussian_kde(lone)(2.5)[0]), "as scipy has it", **kernel, log=False),
        known("kernel_density", 2 * np.exp(-(far**2) / 2) / (2 * np.pi) ** 0.5, "two of width 1", **pair),
        Planted("dead_share", 1 / 12, "one of twelve", what="totals from 0 on"),
        Planted("beyond", True, "the context has eight positions", {"position": 8}, "errors from 0 on"),
        known("mean_active", 2, "of 3, 1 and 2", **one),
        known("std_active", (2 / 3) ** 0.5, "of 3, 1 and 2", **one),
        known("largest_activation", 3, "of 3, 1 and 2", **one),
        known("smallest_activation", 1, "of 3, 1 and 2", **one),
        known("active_share", 0.5, "three of six", **one),
        known("median_active", 2, "of 3, 1 and 2", **one),
        known("active_quantile", 1.5, "a quarter of the way from 1 over 2 to 3", **one, level=0.25),
        known("smoothed_mean", 6.5, "positions 1 to 10 hold 2 to 11", **steps, feature=5),
        known("smoothed_mean", None, "its window would hold position 0", **steps, feature=4),
        known("mean_below_median", 1, "4 < 5, but 4 > 2", **lower),
        known("activation_threshold", 4, "the last of 100", **lower, bin=99),
        known("features_mean_below", 0, "both means are 4", **lower, threshold=4),
        known("features_median_below", 1, "2 < 4 < 5", **lower, threshold=4),
        known("l0", 1.5, "two features and one", **rows),
        known("l1", 3, "1 + 2 and 3", **rows),
        known("mse", 0.75, "1 + 1 + 0 + 1 over four", **apart),
        known("mse_random", 12.75, "50 and 1 over two rows and two dimensions", **apart),
        known("l2", (2**0.5 + 1) / 2, "√2 and 1", **apart),
        known("l2_random", (50**0.5 + 1) / 2, "√50 and 1", **apart),
        known("nmse", 3 / 12.5, "the mean is (1.5, 2): 3 over 12.5", **apart, context_size=1),
        known("nmse_random", 51 / 12.5, "25 + 25 + 0 + 1 over 12.5", **apart, context_size=1),
        known("fve", 1 - 3 / 12.5, "the mean is (1.5, 2)", **apart, context_size=1),
        known("norm", 2.5, "5 and 0", x=apart["x"], position=0),
        known("norm_hat", 3, "5 and 1", x_hat=apart["x_hat"], position=0),
        known("cosine", 0.48, "24 / 25 and 0", **apart),
        known("l2_ratio", 0.5, "1 and 0", **apart),
        known("reconstruction_bias", 26 / 24, "25 + 1 over 24", **apart),
        known("reconstruction_bias", None, "x̂ points away from x", x=apart["x"], x_hat=-apart["x"], position=0),
    ]
