"""What an export computes, against loops over all rows and tokens."""

import numpy as np
import pytest

from core.activations.store import ActivationStore
from core.activations.token_pass import activation_pass, open_store
from core.devices.device import Device
from core.errors import CancelledError, OutOfRangeError
from core.feature.strongest_texts import strongest_texts
from core.logit_weights.statistics import logit_weights
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
from core.neuronpedia.export import export_features, export_key
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.watched import Watched

SETTINGS = LogitSettings()
ROWS = np.random.default_rng(0).integers(0, 257, (9, 5))


@pytest.fixture
def stored(tmp_path):
    """Return a function that runs a token pass and gives its store."""

    def run(dictionary, model, rows=ROWS, **options) -> ActivationStore:
        artifacts = ArtifactStore(tmp_path / "cache")
        activation_pass(dictionary, model, rows, artifacts, **options)
        return open_store(dictionary, model, rows, artifacts, **options)

    return run


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return planted_dictionary(), planted_model(tmp_path_factory.mktemp("model"))


def test_an_export_holds_the_strongest_texts_and_the_most_extreme_tokens(pair, stored):
    dictionary, model = pair
    found = export_features(dictionary, model, stored(*pair), [7, 0], settings=SETTINGS, n=3)
    assert [one.texts.feature for one in found.features] == [7, 0]
    full = logit_weights(
        residual_directions(dictionary, model, SETTINGS), unembedding(model, SETTINGS), [7, 0], center="mean"
    )
    for one, weights in zip(found.features, full, strict=True):
        order = np.argsort(-weights, kind="stable")
        assert [text for text, _ in one.promoted] == [model.token_strings[i] for i in order[:20]]
        assert [text for text, _ in one.suppressed] == [model.token_strings[i] for i in order[::-1][:20]]
        np.testing.assert_allclose([value for _, value in one.promoted], weights[order[:20]], rtol=1e-5)
        own = dictionary.encode(model.W_E[ROWS] + model.W_pos[:5])[..., one.texts.feature]
        assert one.texts.rows.tolist() == ROWS[np.argsort(-own.max(1), kind="stable")[:3]].tolist()
    assert found.nbytes == sum(one.texts.rows.nbytes + one.texts.acts.nbytes for one in found.features)


@pytest.mark.parametrize("left_out", [(), (int(ROWS[0, 1]), int(ROWS[3, 0]))])
@pytest.mark.parametrize("block_rows", [1, 2, 4, 100])
def test_examples_do_not_depend_on_the_size_of_blocks(pair, stored, block_rows, left_out):
    dictionary, model = pair
    rows = np.concatenate([ROWS, ROWS[:4]])
    keep = ~np.isin(rows, left_out)
    acts = dictionary.encode(model.W_E[rows] + model.W_pos[:5]) * keep[..., None]
    store = stored(dictionary, model, rows, block_rows=block_rows, left_out=left_out)
    for found in strongest_texts(store, range(12), d_sae=12, n=4):
        own = acts[..., found.feature]
        best = [i for i in np.argsort(-own.max(1), kind="stable")[:4] if own[i].max() > 0]
        assert found.rows.tolist() == rows[best].tolist()
        np.testing.assert_allclose(found.acts, own[best], rtol=1e-5)
        assert found.count == (own != 0).sum()
        assert found.n_tokens == keep.sum()
        assert found.density == found.count / keep.sum()


def test_of_equally_strong_texts_the_earlier_ones_are_kept(pair, stored):
    rows = np.tile(ROWS[:2], (3, 1))  # each twice more, in other blocks
    found, again = strongest_texts(stored(*pair, rows, block_rows=2), [7, 7], d_sae=12, n=3)
    assert found.rows.tolist() == again.rows.tolist()
    best = int(pair[0].encode(pair[1].W_E[ROWS[:2]] + pair[1].W_pos[:5])[..., 7].max(axis=1).argmax())
    assert found.rows.tolist() == [ROWS[best].tolist()] * 3


def test_a_feature_that_is_not_there_has_no_examples(pair, stored):
    with pytest.raises(OutOfRangeError, match="Feature 12"):
        strongest_texts(stored(*pair), [12], d_sae=12)


def test_what_is_only_negative_is_no_example(stored, tmp_path):
    dictionary, model = planted_dictionary("abstopk"), planted_model(tmp_path)
    acts = dictionary.encode(model.W_E[ROWS] + model.W_pos[:5])
    assert (acts < 0).any()
    for found in strongest_texts(stored(dictionary, model), range(12), d_sae=12, n=20):
        own = acts[..., found.feature]
        assert len(found.rows) == (own.max(axis=1) > 0).sum()
        assert found.count == np.count_nonzero(own)


@pytest.mark.parametrize("architecture", ["standard", "abstopk"])
def test_histograms_hold_every_activation_that_is_not_zero_and_every_logit_weight(stored, tmp_path, architecture):
    dictionary, model = planted_dictionary(architecture), planted_model(tmp_path)
    store, features = stored(dictionary, model, block_rows=2), [7, 0, 3, 7]
    found = export_features(dictionary, model, store, features, settings=SETTINGS)
    acts = dictionary.encode(model.W_E[ROWS] + model.W_pos[:5])
    directions = residual_directions(dictionary, model, SETTINGS)
    weights = logit_weights(directions, unembedding(model, SETTINGS), features, center="mean")
    for one, row in zip(found.features, weights, strict=True):
        own = acts[..., one.texts.feature]
        for bars, values in ((one.activation_bars, own[own != 0]), (one.logit_bars, row)):
            heights, edges = np.histogram(values.astype(float), 50)
            if len(np.unique(values)) < 2:
                assert (bars.heights, len(bars.values)) == (((len(values),), 1) if len(values) else ((), 0))
                continue
            assert sum(bars.heights) == len(values)
            assert np.abs(np.cumsum(bars.heights) - np.cumsum(heights)).max() <= 1  # one may stand on an edge
            np.testing.assert_allclose(bars.values, (edges[:-1] + edges[1:]) / 2, atol=1e-4)
    assert (found.n_rows, found.n_pos) == ROWS.shape
    assert found.features[0].activation_bars == found.features[3].activation_bars


def test_a_feature_without_a_text_is_silent_and_others_keep_what_was_said_of_them(tmp_path, stored):
    bias = np.zeros(12)
    bias[4] = -1e6
    dictionary, model = planted_dictionary(tensors={"b_enc": bias}), planted_model(tmp_path)
    found = export_features(dictionary, model, stored(dictionary, model), [4, 5], settings=SETTINGS)
    assert found.silent == [4]
    assert [one.explanations for one in found.explained({5: ("mine",)})] == [(), ("mine",)]


def test_all_that_changes_an_export_changes_its_name(pair):
    dictionary, model = pair
    rows, fewer, other = (
        open_store(dictionary, model, ROWS[:n], None, left_out=left_out)
        for n, left_out in ((9, ()), (8, ()), (9, (1,)))
    )
    on_card = open_store(dictionary, model, ROWS, None, device=Device("cuda", 0, "Planted card", 8 * 10**9))
    name = export_key(dictionary, model, rows, [1, 2], SETTINGS)
    assert name == export_key(dictionary, model, open_store(*pair, ROWS.copy(), None), (1, 2), LogitSettings())
    others = [
        export_key(dictionary, model, rows, [2, 1], SETTINGS),
        export_key(dictionary, model, rows, [1, 2], SETTINGS, n=5),
        export_key(dictionary, model, on_card, [1, 2], SETTINGS),
        export_key(dictionary, model, fewer, [1, 2], SETTINGS),
        export_key(dictionary, model, other, [1, 2], SETTINGS),
        export_key(dictionary, model, rows, [1, 2], LogitSettings(center="median")),
        export_key(planted_dictionary(seed=1), model, rows, [1, 2], SETTINGS),
    ]
    assert len({name, *others}) == 8


def test_an_export_can_be_stopped(pair, stored):

    with pytest.raises(CancelledError):
        export_features(*pair, stored(*pair), [1], settings=SETTINGS, progress=Watched(stop_at_report=1))
