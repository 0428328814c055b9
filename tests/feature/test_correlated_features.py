"""Correlations of one feature with all others, against numpy's on dense activations."""

import numpy as np
import pytest

from core.activations.store import FeatureActivations, feature_activations
from core.activations.token_pass import activation_pass, open_store
from core.errors import CancelledError, MissingActivationsError
from core.feature.correlated_features import correlated_features, correlations
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, dense, planted
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.watched import Watched


@pytest.fixture
def artifacts(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache")


def passed(dictionary, model, artifacts, **options):
    statistics = activation_pass(dictionary, model, ROWS, artifacts, block_rows=4, **options)
    return open_store(dictionary, model, ROWS, artifacts, block_rows=4, **options), statistics


@pytest.mark.parametrize("architecture", ["standard", "topk", "abstopk"])
def test_one_feature_against_all_is_numpys_correlation_of_dense_activations(tmp_path, artifacts, architecture):
    dictionary, model = planted(architecture), planted_model(tmp_path)
    store, statistics = passed(dictionary, model, artifacts)
    acts = dense(dictionary, model).reshape(-1, 12).astype(np.float64)
    with np.errstate(invalid="ignore"):
        expected = np.corrcoef(acts.T)
    for feature in range(12):
        mine = feature_activations(store, feature, d_sae=12)
        found = correlated_features(mine, store, statistics, itself=feature)
        others = np.arange(12) != feature
        np.testing.assert_allclose(found.correlation[others], expected[feature][others], rtol=1e-5, atol=1e-7)
        assert np.isnan(found.correlation[feature])
        both = (acts[:, [feature]] != 0) & (acts != 0)
        assert found.together.tolist() == both.sum(axis=0).tolist()
        assert (found.own_count, found.n_tokens) == ((acts[:, feature] != 0).sum(), 77)


def test_the_table_lists_the_largest_and_the_lowest_with_how_often_they_fire_together(tmp_path, artifacts):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    store, statistics = passed(dictionary, model, artifacts)
    acts = dense(dictionary, model).reshape(-1, 12).astype(np.float64)
    found = correlated_features(feature_activations(store, 4, d_sae=12), store, statistics, itself=4)
    corr = np.corrcoef(acts.T)[4]
    order = [j for j in np.argsort(-corr) if j != 4]
    table = found.table(top=5, least=0)
    assert table["correlated_feature"].tolist() == order[:5]
    lowest = found.table(lowest=True, least=0)
    assert lowest["correlated_feature"].tolist() == [j for j in order[::-1] if corr[j] < 0]
    on, best = acts[:, 4] != 0, table.iloc[0]
    other = acts[:, order[0]] != 0
    assert best["together_tokens"] == (on & other).sum()
    assert best["together_share"] == pytest.approx((on & other).sum() / on.sum())
    assert best["together_lift"] == pytest.approx((on & other).mean() / (on.mean() * other.mean()))
    assert best["density"] == pytest.approx(other.mean())


def test_features_that_fire_too_seldom_are_not_listed_and_dead_ones_have_no_correlation(tmp_path, artifacts):
    b_enc = np.zeros(12)
    b_enc[[2, 5]] = -1e6, 1e6
    dictionary, model = planted_dictionary(tensors={"b_enc": b_enc}), planted_model(tmp_path)
    store, statistics = passed(dictionary, model, artifacts)
    found = correlated_features(feature_activations(store, 0, d_sae=12), store, statistics, itself=0)
    assert np.isnan(found.correlation[2])
    least = int(np.sort(found.count)[5])
    assert found.table(least=least)["correlated_feature"].isin(np.flatnonzero(found.count >= least)).all()
    silent = correlated_features(feature_activations(store, 2, d_sae=12), store, statistics, itself=2)
    assert np.isnan(silent.correlation).all()
    assert silent.table().empty
    assert silent.together.sum() == 0


@pytest.mark.parametrize("value", [0.1, 0.3, 1e3 + 0.1, 0.0])
def test_what_rounding_leaves_of_a_constant_correlates_with_nothing(value):
    constant, other = np.full(1001, value), np.random.default_rng(0).normal(size=1001)
    sums = [(x.sum(), x @ x) for x in (constant, other)]
    assert np.isnan(correlations(np.array([constant @ other]), *sums, 1001))
    assert correlations(np.array([other @ other]), sums[1], sums[1], 1001) == pytest.approx(1)


def test_what_is_left_out_does_not_count(tmp_path, artifacts):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    left_out = tuple(int(token) for token in np.unique(ROWS)[:20])
    store, statistics = passed(dictionary, model, artifacts, left_out=left_out)
    kept = ~np.isin(ROWS, left_out).ravel()
    acts = dense(dictionary, model).reshape(-1, 12).astype(np.float64)[kept]
    found = correlated_features(feature_activations(store, 3, d_sae=12), store, statistics)
    np.testing.assert_allclose(found.correlation, np.corrcoef(acts.T)[3], rtol=1e-5, atol=1e-7)
    assert found.n_tokens == kept.sum()


def test_a_direction_of_another_dictionary_is_correlated_on_the_same_tokens(tmp_path, artifacts):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    store, statistics = passed(dictionary, model, artifacts)
    other = dense(planted_dictionary(seed=3), model)[..., 7]
    row, position = np.nonzero(other)
    found = correlated_features(FeatureActivations(row, position, other[row, position]), store, statistics)
    acts = dense(dictionary, model).reshape(-1, 12)
    expected = [np.corrcoef(other.ravel(), acts[:, j])[0, 1] for j in range(12)]
    np.testing.assert_allclose(found.correlation, expected, rtol=1e-5, atol=1e-7)


def test_lost_blocks_and_cancelling_are_noticed(tmp_path, artifacts):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    store, statistics = passed(dictionary, model, artifacts)
    mine = feature_activations(store, 1, d_sae=12)

    watched = Watched(stop_at_report=1)
    with pytest.raises(CancelledError):
        correlated_features(mine, store, statistics, progress=watched)
    assert [total for _, total in watched.told] == [len(store)]
    (tmp_path / "cache" / f"{store.keys[1]}.safetensors").unlink()
    with pytest.raises(MissingActivationsError, match="Part 2 of 3"):
        correlated_features(mine, store, statistics)
