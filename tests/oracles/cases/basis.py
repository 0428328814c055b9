"""Features along one axis, against one, along several and along none; in the hook's basis and in that of neurons."""

import numpy as np
from scipy import stats

from core.geometry.basis import basis_alignment, coefficients
from tests.doubles.planted import planted_dictionary
from tests.oracles.shown import Case, Known, Planted, Shown, known

D, N, UNITS = 12, 14, 17
AXIS, AGAINST, EVEN, ZERO, EDGE = range(5)


def case(folder) -> Case:
    dictionary = planted_dictionary(d_in=D, d_sae=N, tensors={"W_dec": rows()}, fold_decoder_norms=False)
    neurons = np.random.default_rng(4).normal(size=(UNITS, D)).astype(np.float32)
    neurons[3], neurons[5] = 0, np.eye(D)[0] * 7  # one writes nothing, one writes along feature 0
    shown = []
    for what, basis in (("hook", None), ("neurons", neurons)):
        given = {"W_dec": dictionary.W_dec} | ({} if basis is None else {"W_out": basis})
        shown.append(Shown(what, basis_alignment(dictionary, basis=basis).to_frame(), given))
        for feature in (AXIS, N - 1):
            table = coefficients(dictionary, feature, basis=basis)
            rows_are = {"coordinate": "coordinate"}
            shown.append(Shown(f"{what} of {feature}", table, given | {"feature": feature}, rows_are))
            largest = table.head(1)[["coordinate"]].rename(columns={"coordinate": "top_coordinate"})
            shown.append(Shown(f"{what}, first of {feature}", largest, given | {"feature": feature}, {}))
    return Case(shown, planted())


def rows() -> np.ndarray:
    W_dec = np.random.default_rng(3).normal(size=(N, D))
    W_dec[: EDGE + 2] = 0
    W_dec[AXIS, 0], W_dec[AGAINST, 2] = 3, -2
    W_dec[EVEN] = 0.5
    W_dec[EDGE, :2] = 1, 0.1  # the second is less than a tenth of the length
    W_dec[EDGE + 1, [3, 5, 8]] = 1, -1, 1  # three of one size: the first counts
    W_dec[-1] *= 1e-3
    return W_dec


def planted() -> list[Planted | Known]:
    axis, against, even, zero, edge = ({"feature": i} for i in range(5))
    along, turned, same, none = "three times axis 0", "axis 2 turned round", "all are equal", "a zero row"
    drawn = rows()[9]
    third = {"W_dec": np.array([[2.0, 1, 2, 0]]), "feature": 0}
    given = {"W_dec": drawn[None], "feature": 0}
    return [
        Planted("top_coordinate", 0, along, axis, "hook"),
        Planted("top_coordinate", 5, "neuron 5 writes along axis 0", axis, "neurons"),
        Planted("top_coordinate", -1, none, zero),
        Planted("top_coordinate", 3, "the first of three", {"feature": EDGE + 1}, "hook"),
        Planted("top_coefficient", 1, along, axis),
        Planted("top_coefficient", -1, turned, against, "hook"),
        Planted("top_coefficient", np.nan, none, zero),
        Planted("top3_share", 1, along, axis, "hook"),
        Planted("top3_share", 3 / D, same, even, "hook"),
        Planted("large_coefficients", D, same, even, "hook"),
        Planted("large_coefficients", 1, "0.1 of 1.005", edge, "hook"),
        Planted("large_coefficients", 0, none, zero),
        Planted("basis_kurtosis", np.nan, same, even, "hook"),
        Planted("basis_kurtosis", D - 2 + 1 / (D - 1), along, axis, "hook"),
        Planted("effective_coordinates", 1, along, axis, "hook"),
        Planted("effective_coordinates", D, same, even, "hook"),
        Planted("effective_coordinates", 3, "three of one size", {"feature": EDGE + 1}, "hook"),
        Planted("basis_coefficient", 1, along, {"coordinate": 0}, f"hook of {AXIS}"),
        known("basis_coefficient", 2 / 3, "1, 2, 2 has length 3", **third, coordinate=2),
        known("basis_kurtosis", float(stats.kurtosis(drawn, fisher=False)), "as scipy has it", **given),
    ]
