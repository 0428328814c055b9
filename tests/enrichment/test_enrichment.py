"""Enrichment of token sets: scores against a double written from the definition, and what is refused."""

import numpy as np
import pytest

from core.enrichment.enrichment import Enrichment, enrichment
from core.enrichment.inputs import usable_sets
from core.enrichment.tables import best_features, best_sets
from core.errors import CancelledError, DoesNotFitError
from core.logit_weights.unembedding import LogitSettings, Unembedding
from core.work.artifacts import ArtifactStore
from tests.doubles.token_set_scores import SIZES, V, random_sets, scores_of, slow_scores, tied_values, token_sets
from tests.doubles.watched import Watched


def test_scores_equal_the_definition_ties_included(device):
    rng = np.random.default_rng(0)
    values, sets = tied_values(rng), random_sets(rng)
    found = scores_of(values, sets, device=device)
    for i, row in enumerate(values):
        for s, item in enumerate(sets.sets):
            high, low, auc = slow_scores(row, set(item.tokens.tolist()))
            got = found.es_high[i, s], found.es_low[i, s], found.auc[i, s]
            assert got == pytest.approx((high, low, auc), abs=1e-6)
            assert found.es[i, s] == pytest.approx(high if high >= -low - 1e-9 else low, abs=1e-6)


def test_auc_and_its_p_equal_scipys(device):
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(1)
    values, sets = rng.normal(size=(3, V)), random_sets(rng)
    found = scores_of(values, sets, device=device)
    for s, item in enumerate(sets.sets):
        inside = np.isin(np.arange(V), item.tokens)
        for i, row in enumerate(values):
            how = {"method": "asymptotic", "use_continuity": False}
            expected = mannwhitneyu(row[inside], row[~inside], **how)
            assert found.auc[i, s] == pytest.approx(expected.statistic / (len(item) * (V - len(item))), abs=1e-6)
            assert 10 ** found.auc_log10_p[i, s] == pytest.approx(expected.pvalue, rel=1e-4)


@pytest.mark.parametrize(("block", "workers"), [(1, 1), (3, 2), (64, 1), (None, 3)])
def test_no_bit_depends_on_how_the_work_is_cut(block, workers):
    rng = np.random.default_rng(2)
    values, sets = tied_values(rng), random_sets(rng)
    expected, found = scores_of(values, sets), scores_of(values, sets, block=block, workers=workers)
    for name in ("es_high", "es_low", "auc", "log10_p", "log10_q"):
        assert np.array_equal(getattr(found, name), getattr(expected, name), equal_nan=True)


def test_a_planted_set_is_promoted_and_its_twin_suppressed_beyond_doubt(device):
    rng = np.random.default_rng(3)
    direction, n_tokens = rng.normal(size=16), 2000
    rows = rng.normal(size=(n_tokens, 16))
    rows[100:200] += 8 * direction
    sets = token_sets(planted=range(100, 200), few=range(110, 120), other=range(500, 600))
    both = np.stack([direction, -direction]).astype(np.float32)
    found = enrichment(both, Unembedding(rows.astype(np.float32), np.arange(n_tokens)), sets, draws=1000, device=device)
    assert (found.es[0, :2] > 0.94).all()
    assert (found.es[1, :2] < -0.94).all()
    assert (found.log10_p[:, 0] < -70).all()
    # Ten tokens: further out than any draw, where the asymptotic value takes over.
    assert (found.log10_p[:, 1] < -7).all()
    assert (found.log10_q[:, :2] < -6).all()
    assert (found.log10_p[:, 2] > -2).all()
    assert (found.auc[0, :2] > 0.97).all()


def test_features_without_a_ranking_are_blank(device):
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(V, 16)) + 3
    rows -= rows.mean(axis=1, keepdims=True)  # as TransformerLens centres W_U: all ones write nothing
    directions = rng.normal(size=(5, 16))
    directions[1], directions[2], directions[3, 0] = 0, 1, np.nan
    sets = random_sets(rng)
    unembedding = Unembedding(rows.astype(np.float32), np.arange(V))
    found = enrichment(directions.astype(np.float32), unembedding, sets, draws=100, device=device)
    for array in (found.es, found.auc, found.log10_p, found.log10_q, found.auc_z):
        assert np.isnan(array[1:4]).all()
        assert not np.isnan(array[[0, 4]]).any()
    assert found.n_tests == 2 * len(SIZES)
    assert len(best_features(found, "of 5")) == 2
    assert best_sets(found, 1).empty


def test_any_finite_values_are_ranked():
    from core.enrichment.kernels import sort_descending

    rng = np.random.default_rng(7)
    extremes = [0.0, -0.0, 1e38, -1e38, 1e-42, -1e-42, 1.0, np.nextafter(np.float32(1), np.float32(2)), -1.0, 0.0]
    values = np.concatenate([extremes, rng.normal(size=300), rng.normal(size=300) * 1e-6]).astype(np.float32)
    n = len(values)
    keys, spare, counts = np.empty(n, np.int64), np.empty(n, np.int64), np.empty((3, 2048), np.int64)
    assert sort_descending(values.view(np.int32), keys, spare, counts)
    order = keys & 0x7FFFFFFF
    assert order.tolist() == np.argsort(-values, kind="stable").tolist()
    assert ((np.diff(keys >> 31) == 0) == (np.diff(values[order]) == 0)).all()
    for bad in (np.inf, -np.inf, np.nan, -np.nan):
        values[5] = bad
        assert not sort_descending(values.view(np.int32), keys, spare, counts)


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (token_sets(good=[1], nothing=[]), r"'nothing' holds 0 of 60 tokens.*leave it out"),
        (token_sets(everything=range(V)), r"'everything' holds 60 of 60 tokens; expected at least one token in"),
        (token_sets(foreign=[3, V]), r"'foreign' holds token 60, the vocabulary ends at 59"),
        (token_sets(), r"no token sets, expected at least one"),
    ],
)
def test_sets_that_cannot_be_compared_are_named(sets, says):
    with pytest.raises(DoesNotFitError, match=says):
        scores_of(np.ones((2, V)), sets)


def test_a_direction_of_another_width_is_refused():
    unembedding = Unembedding(np.ones((V, 4), np.float32), np.arange(V))
    with pytest.raises(DoesNotFitError, match="rows of width 3, the unembedding reads 4"):
        enrichment(np.ones((2, 3), np.float32), unembedding, token_sets(a=[1]))


def test_tokens_without_logit_weights_count_neither_inside_nor_outside(device):
    rng = np.random.default_rng(8)
    values, tokens = rng.normal(size=(3, 40)), np.arange(0, 80, 2)
    sets = token_sets(some=[0, 1, 2, 3, 40], odd=[1, 3, 79], even=range(0, 80, 2))
    usable = usable_sets(sets, tokens)
    assert usable.names == ("some",)
    assert dict(usable.left_out) == {"odd": "0 of the 40 tokens with a logit weight",
                                     "even": "40 of the 40 tokens with a logit weight"}  # fmt: skip
    unembedding = Unembedding(np.eye(40, dtype=np.float32), tokens)
    found = enrichment(values.astype(np.float32), unembedding, usable, draws=100, device=device)
    expected = scores_of(values, token_sets(some=[0, 1, 20]), device=device)
    assert found.sizes.tolist() == [3]
    assert found.n_tokens == 40
    assert np.array_equal(found.es, expected.es)
    assert np.array_equal(found.auc, expected.auc)
    as_they_are = enrichment(
        values.astype(np.float32), unembedding, token_sets(some=[0, 1, 2, 3, 40]), draws=100, device=device
    )
    assert np.array_equal(as_they_are.es, expected.es)


def test_half_precision_unembeddings_serve_as_well(device):
    rng = np.random.default_rng(9)
    rows, directions = rng.integers(-4, 5, size=(V, 6)), rng.integers(-4, 5, size=(5, 6)).astype(np.float32)
    sets, tokens = random_sets(rng), np.arange(V)
    whole, half = (
        enrichment(directions, Unembedding(rows.astype(kind), tokens), sets, draws=100, device=device)
        for kind in (np.float32, np.float16)
    )
    assert np.array_equal(whole.es, half.es)


def test_results_are_stored_and_named_by_all_that_changes_them(tmp_path):
    found = scores_of(tied_values(np.random.default_rng(10)), random_sets(np.random.default_rng(10)), seed=3)
    store, key = ArtifactStore(tmp_path), Enrichment.key("d", "m", LogitSettings(), "s", seed=3, draws=500)
    store.save(found, key)
    again = store.load(Enrichment, key)
    assert again.set_names == found.set_names
    assert np.array_equal(again.log10_q, found.log10_q)
    others = [
        Enrichment.key("e", "m", LogitSettings(), "s", seed=3, draws=500),
        Enrichment.key("d", "m", LogitSettings(unit_columns=True), "s", seed=3, draws=500),
        Enrichment.key("d", "m", LogitSettings(), "t", seed=3, draws=500),
        Enrichment.key("d", "m", LogitSettings(), "s", seed=4, draws=500),
        Enrichment.key("d", "m", LogitSettings(), "s", seed=3, draws=501),
    ]
    assert len({key, *others}) == 6


def test_progress_counts_features_and_stops_the_work():
    values, sets = tied_values(np.random.default_rng(11)), token_sets(a=[1, 2])
    watched = Watched()
    scores_of(values, sets, block=3, workers=1, progress=watched)
    assert watched.told == [(3, 7), (6, 7), (7, 7)]
    with pytest.raises(CancelledError):
        scores_of(values, sets, block=3, workers=1, progress=Watched(stop_at=6))
