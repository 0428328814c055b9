"""Correlations of features with the model's own units, against numpy's on dense activations."""

import numpy as np
import pytest

from core.activations.token_pass import activation_pass, open_store
from core.errors import CancelledError, DoesNotFitError, OutOfRangeError
from core.feature.correlated_neurons import CorrelatedNeurons, _farthest, correlated_neurons, estimate_cost
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, assert_same, dense, planted
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.watched import Watched

HOOK = "blocks.1.mlp.hook_post"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return planted_model(tmp_path_factory.mktemp("model"))


def passed(dictionary, model, tmp_path, **options):
    artifacts = ArtifactStore(tmp_path / "cache")
    statistics = activation_pass(dictionary, model, ROWS, artifacts, block_rows=4, **options)
    return open_store(dictionary, model, ROWS, artifacts, block_rows=4, **options), statistics


def by_hand(acts: np.ndarray, units: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([[np.corrcoef(f, h)[0, 1] for h in units.T] for f in acts.T])


@pytest.mark.parametrize("hook", [HOOK, "blocks.1.hook_resid_post"])
def test_the_units_farthest_from_0_are_those_of_numpys_correlations(tmp_path, model, hook):
    dictionary = planted("standard")
    store, statistics = passed(dictionary, model, tmp_path)
    found = correlated_neurons(store, statistics, model, hook, k=3, workers=2)
    units = model.activations(ROWS, hook).reshape(77, -1).astype(np.float64)
    corr = by_hand(dense(dictionary, model).reshape(77, -1).astype(np.float64), units)
    order = np.argsort(-np.abs(corr), axis=1)[:, :3]
    assert found.idx.tolist() == order.tolist()
    np.testing.assert_allclose(found.corr, np.take_along_axis(corr, order, axis=1), rtol=1e-4, atol=1e-6)
    assert (found.n_tokens, found.n_units, found.hook_name) == (77, units.shape[1], hook)
    assert found.table(5)["correlated_unit"].tolist() == order[5].tolist()
    with pytest.raises(OutOfRangeError):
        found.table(12)


@pytest.mark.parametrize(("memory", "units"), [(16 * 8, 128), (5 * 16 * 8, 3), (2**29, 1)])
def test_neither_memory_nor_the_tile_of_units_changes_the_answer(tmp_path, model, monkeypatch, memory, units):
    dictionary = planted("topk")
    store, statistics = passed(dictionary, model, tmp_path)
    whole = correlated_neurons(store, statistics, model, HOOK, workers=1)
    monkeypatch.setattr("core.feature.correlated_neurons._UNITS", units)
    monkeypatch.setattr("core.feature.correlated_neurons._FEATURES", units)
    found = correlated_neurons(store, statistics, model, HOOK, memory=memory, workers=3)
    assert_same(found, whole)


def test_units_far_from_0_keep_their_correlations_and_constant_ones_have_none(tmp_path, model, monkeypatch):
    dictionary = planted("standard")
    store, statistics = passed(dictionary, model, tmp_path)
    run = model.activations

    def shifted(rows, hook):
        x = run(rows, hook)
        if hook != HOOK:
            return x
        x = x * np.float32(60) + np.float32(1e7)
        x[..., 4] = 1e6 + 0.0625 * (x[..., 5] > 1e7)  # what rounding of float32 leaves of a constant
        return x

    monkeypatch.setattr(model, "activations", shifted)
    found = correlated_neurons(store, statistics, model, HOOK, k=16)
    units = shifted(ROWS, HOOK).reshape(77, -1).astype(np.float64)
    corr = by_hand(dense(dictionary, model).reshape(77, -1).astype(np.float64), units)
    assert not (found.idx == 4).any()
    assert (found.idx[:, -1] == -1).all()
    assert np.isnan(found.corr[:, -1]).all()
    np.testing.assert_allclose(found.corr[:, 0], corr[np.arange(12), found.idx[:, 0]], rtol=1e-5)


def test_what_is_left_out_and_what_never_fires_do_not_count(tmp_path, model):
    left_out = tuple(int(token) for token in np.unique(ROWS)[:20])
    dictionary = planted_dictionary(tensors={"b_enc": np.where(np.arange(12) == 2, -1e6, 0.0)})
    store, statistics = passed(dictionary, model, tmp_path, left_out=left_out)
    found = correlated_neurons(store, statistics, model, HOOK, k=2)
    kept = ~np.isin(ROWS, left_out)
    corr = by_hand(dense(dictionary, model)[kept].astype(np.float64), model.activations(ROWS, HOOK)[kept])
    assert found.idx[3].tolist() == np.argsort(-np.abs(corr[3]))[:2].tolist()
    assert found.corr[3, 0] == pytest.approx(corr[3, found.idx[3, 0]], rel=1e-4)
    assert found.idx[2].tolist() == [-1, -1]
    assert found.table(2).empty


def test_progress_counts_tokens_of_all_runs_and_stops_the_work(tmp_path, model, monkeypatch):

    monkeypatch.setattr("core.models.batches.TOKENS_PER_RUN", 14)
    store, statistics = passed(planted("standard"), model, tmp_path)
    watched = Watched()
    correlated_neurons(store, statistics, model, HOOK, memory=6 * 16 * 8, progress=watched)
    assert watched.told[-1] == (154, 154)
    assert [done for done, _ in watched.told[:6]] == [14, 28, 42, 56, 70, 77]
    with pytest.raises(CancelledError):
        correlated_neurons(store, statistics, model, HOOK, progress=Watched(stop_at=31))


def test_the_cost_says_how_often_the_model_runs_and_unknown_hooks_are_explained(tmp_path, model, monkeypatch):
    store, statistics = passed(planted("standard"), model, tmp_path)
    monkeypatch.setattr("core.feature.correlated_neurons.MEMORY", 5 * 16 * 8)
    cost = estimate_cost(store, model, HOOK, 12)
    assert (cost.n_tokens, cost.runs) == (77, 3)
    assert cost.seconds > 0
    with pytest.raises(DoesNotFitError, match=r"blocks\.9"):
        correlated_neurons(store, statistics, model, "blocks.9.mlp.hook_post")


def test_of_equal_values_the_lower_number_comes_first():
    found = np.array([[0.5, -0.5, 0.1, 0.5], [np.nan, 0.2, np.nan, np.nan], [0.1, -0.4, 0.3, 0.2]])
    values, units = _farthest(found, 2)
    assert units.tolist() == [[0, 1], [1, -1], [1, 2]]
    np.testing.assert_allclose(values, np.array([[0.5, -0.5], [0.2, np.nan], [-0.4, 0.3]]), rtol=1e-6)


def test_the_key_names_everything_that_changes_the_answer():
    base = ("d", "m", "r", HOOK)
    keys = {CorrelatedNeurons.key(*base[:i], "other", *base[i + 1 :]) for i in range(4)}
    keys |= {CorrelatedNeurons.key(*base, left_out=(1,)), CorrelatedNeurons.key(*base, k=3)}
    assert len(keys | {CorrelatedNeurons.key(*base)}) == 7
