"""What an export computes, against loops over all rows and tokens."""

import numpy as np
import pytest

from core import examples
from core.errors import CancelledError
from core.examples import top_examples
from core.feature_export import export_features, export_key
from core.logit_weights import logit_weights
from core.unembedding import LogitSettings, residual_directions, unembedding
from tests.planted import planted_dictionary, planted_model

SETTINGS = LogitSettings()
ROWS = np.random.default_rng(0).integers(0, 257, (9, 5))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return planted_dictionary(), planted_model(tmp_path_factory.mktemp("model"))


def test_an_export_holds_the_strongest_texts_and_the_most_extreme_tokens(pair):
    dictionary, model = pair
    found = export_features(dictionary, model, ROWS, [7, 0], settings=SETTINGS, n=3)
    assert [one.examples.feature for one in found.features] == [7, 0]
    full = logit_weights(
        residual_directions(dictionary, model, SETTINGS), unembedding(model, SETTINGS), [7, 0], center="mean"
    )
    for one, weights in zip(found.features, full, strict=True):
        order = np.argsort(-weights, kind="stable")
        assert [text for text, _ in one.promoted] == [model.token_strings[i] for i in order[:20]]
        assert [text for text, _ in one.suppressed] == [model.token_strings[i] for i in order[::-1][:20]]
        np.testing.assert_allclose([value for _, value in one.promoted], weights[order[:20]], rtol=1e-5)
        own = dictionary.encode(model.W_E[ROWS] + model.W_pos[:5])[..., one.examples.feature]
        assert one.examples.rows.tolist() == ROWS[np.argsort(-own.max(1), kind="stable")[:3]].tolist()
    assert found.nbytes == sum(one.examples.rows.nbytes + one.examples.acts.nbytes for one in found.features)


@pytest.mark.parametrize("rows_per_call", [1, 2, 4, 100])
def test_examples_do_not_depend_on_how_many_rows_are_run_at_once(pair, monkeypatch, rows_per_call):
    dictionary, model = pair
    rows = np.concatenate([ROWS, ROWS[:4]])
    acts = dictionary.encode(model.W_E[rows] + model.W_pos[:5])
    monkeypatch.setattr("core.encoded_rows._FLOATS_PER_CALL", rows_per_call * rows.shape[1] * dictionary.d_sae)
    for found in top_examples(dictionary, model, rows, range(12), n=4):
        own = acts[..., found.feature]
        best = [i for i in np.argsort(-own.max(1), kind="stable")[:4] if own[i].max() > 0]
        assert found.rows.tolist() == rows[best].tolist()
        np.testing.assert_allclose(found.acts, own[best], rtol=1e-5)
        assert found.count == (own != 0).sum()
        assert found.n_tokens == rows.size


def test_of_equally_strong_texts_the_earlier_ones_are_kept():
    rows = np.arange(12).reshape(6, 2)
    best = examples._Strongest([0], rows, 3)
    for start in (0, 2, 4):
        best.add(start, np.ones((2, 2, 1), np.float32))
    assert best.examples()[0].rows.tolist() == rows[:3].tolist()


def test_a_feature_without_a_text_is_silent_and_others_keep_what_was_said_of_them(tmp_path):
    bias = np.zeros(12)
    bias[4] = -1e6
    dictionary = planted_dictionary(tensors={"b_enc": bias})
    found = export_features(dictionary, planted_model(tmp_path), ROWS, [4, 5], settings=SETTINGS)
    assert found.silent == [4]
    assert [one.explanations for one in found.explained({5: ("mine",)})] == [(), ("mine",)]


def test_all_that_changes_an_export_changes_its_name(pair):
    dictionary, model = pair
    name = export_key(dictionary, model, ROWS, [1, 2], SETTINGS)
    assert name == export_key(dictionary, model, ROWS.copy(), (1, 2), LogitSettings())
    others = [
        export_key(dictionary, model, ROWS, [2, 1], SETTINGS),
        export_key(dictionary, model, ROWS[:8], [1, 2], SETTINGS),
        export_key(dictionary, model, ROWS, [1, 2], LogitSettings(center="median")),
        export_key(planted_dictionary(seed=1), model, ROWS, [1, 2], SETTINGS),
    ]
    assert len({name, *others}) == 5


def test_an_export_can_be_stopped(pair):
    class Stopped:
        def update(self, done, total):
            raise CancelledError("stopped")

        def note(self, text):
            pass

    with pytest.raises(CancelledError):
        export_features(*pair, ROWS, [1], settings=SETTINGS, progress=Stopped())
