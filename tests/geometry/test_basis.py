"""How far features lie along single coordinates, against plain numpy and scipy."""

import numpy as np
import pytest
from scipy import stats

from core.errors import CancelledError, DoesNotFitError, OutOfRangeError
from core.geometry.basis import BasisAlignment, basis_alignment, basis_name, coefficients, neuron_basis, writing_layer
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.watched import Watched


def by_hand(c: np.ndarray) -> dict[str, float]:
    """One feature's coefficients, described one at a time."""
    size = sorted((abs(x) for x in c), reverse=True)
    return {
        "coordinate": int(np.argmax(np.abs(c))),
        "coefficient": c[np.argmax(np.abs(c))],
        "top_share": sum(size[:3]) / sum(size),
        "large": sum(x >= 0.1 for x in size),
        "kurtosis": stats.kurtosis(c, fisher=False),
        "effective": sum(x**2 for x in size) ** 2 / sum(x**4 for x in size),
    }


@pytest.mark.parametrize("block", [1, 40, 2**18])
def test_every_feature_is_described_as_by_hand_whatever_the_block(monkeypatch, block):
    monkeypatch.setattr("core.geometry.basis._FLOATS_PER_BLOCK", block)
    dictionary = planted_dictionary(d_in=8, d_sae=12)
    found = basis_alignment(dictionary, workers=2)
    for i, row in enumerate(dictionary.W_dec.astype(np.float64)):
        for name, value in by_hand(row / np.linalg.norm(row)).items():
            assert getattr(found, name)[i] == pytest.approx(value, rel=1e-12), name
    assert found.n_coordinates == 8
    assert found.to_frame()["top_coordinate"].tolist() == found.coordinate.tolist()


def test_a_feature_on_one_neuron_and_one_spread_evenly_have_known_answers():
    W_dec = np.zeros((12, 16))
    W_dec[0, 5] = -3.0
    W_dec[1] = np.tile([0.2, -0.2], 8)
    dictionary = planted_dictionary(d_in=16, tensors={"W_dec": W_dec}, fold_decoder_norms=False)
    found = basis_alignment(dictionary)
    assert (found.coordinate[0], found.coefficient[0], found.top_share[0], found.large[0]) == (5, -1, 1, 1)
    assert found.effective[:2] == pytest.approx([1, 16])
    assert (found.top_share[1], found.kurtosis[1], found.large[1]) == pytest.approx((3 / 16, 1, 16))


def test_a_zero_row_has_no_coordinate_and_a_tiny_one_has():
    W_dec = np.zeros((12, 8))
    W_dec[1, 2] = 1e-30
    found = basis_alignment(planted_dictionary(tensors={"W_dec": W_dec}, fold_decoder_norms=False))
    assert (found.coordinate[0], found.large[0], np.isnan(found.effective[0])) == (-1, 0, True)
    assert (found.coordinate[1], found.coefficient[1]) == (2, 1)


@pytest.mark.parametrize("width", [8, 11, 13])
def test_equal_coefficients_have_no_kurtosis_whatever_rounding_leaves(width):
    dictionary = planted_dictionary(d_in=width, tensors={"W_dec": np.full((12, width), 7.0)}, fold_decoder_norms=False)
    found = basis_alignment(dictionary)
    assert np.isnan(found.kurtosis).all()
    assert found.effective == pytest.approx(np.full(12, width))


def test_norms_of_decoder_rows_do_not_matter():
    scaled = planted_dictionary(fold_decoder_norms=False)
    folded = planted_dictionary(fold_decoder_norms=True)
    np.testing.assert_allclose(basis_alignment(scaled).kurtosis, basis_alignment(folded).kurtosis, rtol=1e-5)


@pytest.mark.parametrize("centred", [False, True])
def test_neurons_are_reached_by_the_cosine_with_what_they_write(tmp_path, centred):
    model = planted_model(tmp_path, centred=centred)
    W_out = model.tensor("blocks.1.mlp.W_out").astype(np.float64)
    W_out = W_out - W_out.mean(axis=1, keepdims=True) * centred
    dictionary = planted_dictionary(hook_name="blocks.1.hook_mlp_out")
    found = basis_alignment(dictionary, basis=neuron_basis(model, 1))
    for i, row in enumerate(dictionary.W_dec.astype(np.float64)):
        cosines = np.array([w @ row / np.linalg.norm(w) / np.linalg.norm(row) for w in W_out])
        for name, value in by_hand(cosines).items():
            assert getattr(found, name)[i] == pytest.approx(value, rel=1e-5), name
        table = coefficients(dictionary, i, basis=neuron_basis(model, 1))
        assert table["coordinate"].tolist() == np.argsort(-np.abs(cosines), kind="stable").tolist()


def test_a_features_coefficients_come_largest_first_and_have_length_one():
    dictionary = planted_dictionary()
    table = coefficients(dictionary, 3)
    row = dictionary.W_dec[3].astype(np.float64)
    np.testing.assert_allclose(table["basis_coefficient"], (row / np.linalg.norm(row))[table["coordinate"]])
    assert (np.diff(table["basis_coefficient"].abs()) <= 0).all()
    with pytest.raises(OutOfRangeError, match="Feature 12"):
        coefficients(dictionary, 12)


def test_a_basis_of_another_width_is_refused_and_a_cancelled_run_stops(tmp_path):

    with pytest.raises(DoesNotFitError, match=r"width 8.*width 5"):
        basis_alignment(planted_dictionary(), basis=np.ones((2, 5)))
    with pytest.raises(CancelledError):
        basis_alignment(planted_dictionary(), progress=Watched(stop_at_report=1))
    with pytest.raises(DoesNotFitError, match=r"blocks\.7"):
        neuron_basis(planted_model(tmp_path), 7)


def test_a_neuron_that_writes_nothing_leaves_the_others_as_they_are():
    dictionary, basis = planted_dictionary(), np.random.default_rng(0).normal(size=(5, 8))
    with_dead = np.insert(basis, 2, 0, axis=0)
    a, b = basis_alignment(dictionary, basis=basis), basis_alignment(dictionary, basis=with_dead)
    assert b.coordinate.tolist() == (a.coordinate + (a.coordinate >= 2)).tolist()
    np.testing.assert_allclose(a.effective, b.effective)


@pytest.mark.parametrize(
    ("hook", "name", "layer"),
    [
        ("blocks.2.mlp.hook_post", "neurons", None),
        ("blocks.2.attn.hook_z", "head outputs", None),
        ("blocks.2.hook_mlp_out", "dimensions of the residual stream", 2),
        ("blocks.2.hook_resid_pre", "dimensions of the residual stream", 1),
        ("blocks.0.hook_resid_mid", "dimensions of the residual stream", None),
        ("hook_embed", "dimensions of the residual stream", None),
        ("blocks.2.ln2.hook_normalized", "coordinates of the hook", None),
    ],
)
def test_a_hooks_coordinates_have_a_name_and_the_layer_whose_neurons_write_there(hook, name, layer):
    assert (basis_name(hook), writing_layer(hook)) == (name, layer)


def test_the_key_tells_the_bases_apart():
    assert BasisAlignment.key("a") != BasisAlignment.key("a", "neurons of layer 1 of m")
