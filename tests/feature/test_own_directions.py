"""A direction of one's own as a dictionary of one feature, and files that hold none."""

import io
import pickle

import numpy as np
import pytest
from safetensors.numpy import save

from core.activations.store import feature_activations
from core.activations.token_pass import activation_pass, open_store
from core.errors import OutOfRangeError
from core.feature import own_direction as feature_own_direction
from core.feature.own_direction import DirectionError, OwnDirection, as_dictionary, own_direction, read_vectors
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS
from tests.doubles.planted import planted_dictionary, planted_model

VECTOR = np.random.default_rng(0).normal(size=8)


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def test_a_direction_gives_x_dot_u_above_its_threshold_and_zero_elsewhere(tmp_path):
    model = planted_model(tmp_path)
    like = planted_dictionary("topk", normalize_activations="none")
    vectors = read_vectors("probe.npy", npy(3 * VECTOR))[""]
    direction = own_direction(vectors, 0, d_in=8, title="probe.npy")
    values = feature_own_direction.projections(direction, model, like.config.hook_name, ROWS)
    threshold = feature_own_direction.suggested_threshold(values, density=0.2)
    assert (values > threshold).mean() == pytest.approx(0.2, abs=0.02)
    dictionary = as_dictionary(direction, like, threshold=threshold)
    x = model.activations(ROWS, like.config.hook_name)
    expected = x.astype(float) @ (VECTOR / np.linalg.norm(VECTOR))
    expected[expected <= threshold] = 0
    np.testing.assert_allclose(dictionary.W_dec[0], VECTOR / np.linalg.norm(VECTOR), atol=1e-7)
    assert dictionary.d_sae == 1
    artifacts = ArtifactStore(tmp_path / "cache")
    activation_pass(dictionary, model, ROWS, artifacts)
    found = feature_activations(open_store(dictionary, model, ROWS, artifacts), 0, d_sae=1)
    assert list(zip(found.row, found.position, strict=True)) == list(zip(*np.nonzero(expected), strict=True))
    np.testing.assert_allclose(found.act, expected[expected != 0], rtol=1e-5)
    assert as_dictionary(direction, like, threshold=threshold + 1).sha256 != dictionary.sha256


def test_a_direction_that_nothing_passes_still_has_a_threshold_that_is_not_negative():
    assert feature_own_direction.suggested_threshold(np.full(50, -2.0, np.float32)) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_rows_are_chosen_from_a_matrix_of_any_numbers(dtype):
    matrix = (10 * np.random.default_rng(1).normal(size=(3, 8))).astype(dtype)
    for name, data in (("a.NPY", npy(matrix)), ("a.safetensors", save({"w": matrix, "x": np.ones((1, 1, 8))}))):
        (found,) = read_vectors(name, data).values()
        u = own_direction(found, 2, d_in=8, title="a").unit
        np.testing.assert_allclose(u, matrix[2] / np.linalg.norm(matrix[2].astype(float)), atol=1e-3)
        assert np.linalg.norm(u) == pytest.approx(1, abs=1e-6)


def test_a_very_long_and_a_very_short_vector_keep_their_direction():
    for factor in (1e300, 1e-300):
        np.testing.assert_allclose(
            own_direction(factor * VECTOR[None], 0, d_in=8, title="x").unit,
            own_direction(VECTOR[None], 0, d_in=8, title="x").unit,
            atol=1e-7,
        )


def lying_header() -> bytes:
    return npy(np.zeros(4)).replace(b"(4,), }    ", b"(40000000,),")


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.npy", npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), "without pickled objects"),
        ("a.npy", npy(VECTOR)[:-8], "its header says 64 bytes and it has 56"),
        ("a.npy", b"", "cannot be read"),
        ("a.npy", b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16, "cannot be read"),
        ("a.npy", lying_header(), "cannot be read"),
        ("a.npy", npy(np.array(["text"])), "holds <U4"),
        ("a.npy", npy(np.zeros((2, 2, 2))), "shape \\(2, 2, 2\\)"),
        ("a.npy", npy(np.zeros(0)), "shape \\(0,\\)"),
        ("a.npy", npy(np.array(1.0)), "shape \\(\\)"),
        ("a.safetensors", b"\xff" * 20, "cannot be read"),
        ("a.safetensors", save({"w": np.ones((2, 3, 4))}), "shape \\(2, 3, 4\\)"),
        ("a.pt", b"x", "neither .npy nor .safetensors"),
    ],
)
def test_a_file_without_a_direction_is_refused_with_the_reason(name, data, says):
    with pytest.raises(DirectionError, match=says):
        read_vectors(name, data)


class Opens:
    """An object whose pickle opens a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_is_unpickled_even_where_all_sizes_agree(tmp_path):
    content = pickle.dumps(np.array([Opens(tmp_path / "opened")], dtype=object))
    content += b" " * (-len(content) % 8)
    header = npy(np.zeros(len(content) // 8)).replace(b"'<f8'", b"'|O' ")[: -len(content)]
    with pytest.raises(DirectionError, match="without pickled objects"):
        read_vectors("a.npy", header + content)
    assert not (tmp_path / "opened").exists()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(feature_own_direction, "MAX_BYTES", 100)
    with pytest.raises(DirectionError, match="expected at most"):
        read_vectors("a.npy", npy(VECTOR))


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        (np.ones(7), "has 7 numbers, expected 8"),
        (np.zeros(8), "All numbers"),
        (np.array([1, np.nan, np.inf, 0, 0, 0, 0, 0]), "2 of the 8 numbers"),
    ],
)
def test_a_vector_that_is_no_direction_here_is_refused_with_the_reason(vector, says):
    with pytest.raises(DirectionError, match=says):
        own_direction(vector[None], 0, d_in=8, title="probe")
    with pytest.raises(OutOfRangeError):
        own_direction(vector[None], 1, d_in=8, title="probe")


def test_equal_directions_have_equal_names():
    unit = own_direction(VECTOR[None], 0, d_in=8, title="x").unit
    assert OwnDirection(unit, "x").sha256 == OwnDirection(unit.copy(), "y").sha256
