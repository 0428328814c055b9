"""Tables of enrichment: the surest first, the running sum with its extremes, only declared columns."""

import numpy as np
import pytest

from core.catalogue import STATISTICS
from core.enrichment.tables import (
    best_features,
    best_set_of_each,
    best_sets,
    display_score,
    drawn_features,
    feature_scores,
    members_by_rank,
    random_reach,
    running_sum,
    set_against_set,
    spaced_out,
)
from core.errors import DoesNotFitError, OutOfRangeError, UnknownNameError
from tests.doubles.token_set_scores import V, random_sets, scores_of, tied_values


@pytest.mark.parametrize("row", [0, -1])  # with ties and without
def test_the_running_sum_has_the_extremes_of_the_scores(row):
    rng = np.random.default_rng(12)
    values, sets = tied_values(rng), random_sets(rng)
    found = scores_of(values, sets)
    for s, item in enumerate(sets.sets):
        curve = running_sum(values[row], np.isin(np.arange(V), item.tokens), most=None)
        assert curve["running_sum"].max() == pytest.approx(found.es_high[row, s], abs=1e-6)
        assert curve["running_sum"].min() == pytest.approx(found.es_low[row, s], abs=1e-6)
        assert len(curve) == 1 + len(set(values[row]))
        assert curve.iloc[[0, -1]]["running_sum"].tolist() == pytest.approx([0, 0])
        assert curve["tokens_passed"].iloc[-1] == V


def test_a_thinned_running_sum_keeps_its_ends_and_extremes():
    rng = np.random.default_rng(13)
    values, members = rng.normal(size=5000), np.arange(5000) < 10
    whole, thin = (running_sum(values, members, most=most) for most in (None, 50))
    assert len(thin) <= 50
    for pick in ("min", "max"):
        assert getattr(thin["running_sum"], pick)() == getattr(whole["running_sum"], pick)()
    assert thin["tokens_passed"].iloc[[0, -1]].tolist() == [0, 5000]
    with pytest.raises(DoesNotFitError, match="got 0 of 5000 inside"):
        running_sum(values, np.zeros(5000, bool))


def test_a_long_chart_draws_all_large_scores_and_a_seeded_sample_of_the_others():
    scores = np.random.default_rng(16).normal(size=1000)
    scores[::10] = np.nan
    drawn, least = drawn_features(scores, most=100)
    assert len(drawn) == 100
    assert (np.diff(drawn) > 0).all()
    assert set(np.flatnonzero(np.abs(scores) >= least)) <= set(drawn.tolist())
    assert (np.abs(scores[drawn]) >= least).sum() == 50
    assert np.array_equal(drawn, drawn_features(scores, most=100)[0])
    everything, none = drawn_features(scores, most=900)
    assert (len(everything), none) == (900, None)


def test_members_are_counted_along_the_ranking():
    values = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    table = members_by_rank(values, np.array([True, False, True, False, False]), bins=2)
    assert table.to_numpy().tolist() == [[0, 2, 2], [2, 5, 0]]
    assert len(members_by_rank(values, values > 2)) == 5


def test_random_directions_say_what_a_set_gives_without_meaning():
    rng = np.random.default_rng(17)
    sets = random_sets(rng)
    found, random = scores_of(tied_values(rng), sets), scores_of(rng.normal(size=(200, V)), sets)
    table = best_sets(found, 0, random=random).set_index("token_set")
    for s, name in enumerate(sets.names):
        size, reach = np.abs(random.es[:, s]), table.loc[name, "es_random"]
        assert (size > reach).sum() <= 2
        assert (size >= reach - 0.05).sum() > 2
        assert random_reach(random, name) == pytest.approx(table.loc[name, "es_random"])
    expected = display_score(np.array([random_reach(random, "of 30")]))[0]
    assert random_reach(random, "of 30", "display_score") == pytest.approx(expected, rel=0.05)


def test_labels_leave_room_between_each_other():
    positions = np.array([50.0, 52.0, 10.0, 0.0, 49.0, 90.0])[:, None]
    assert spaced_out(positions, gaps=(5.0,), most=9) == [0, 2, 3, 5]
    assert spaced_out(positions, gaps=(5.0,), most=2) == [0, 2]
    flat = np.array([[0.0, 0.0], [0.5, 2.0], [0.5, 0.5], [3.0, 0.0]])
    assert spaced_out(flat, gaps=(1.0, 1.0), most=9) == [0, 1, 3]


def test_the_display_score_keeps_the_sign_and_is_cut_where_a_set_is_separated():
    assert display_score(np.array([0.5, -0.5, 0.0, 1.0, -1.0])) == pytest.approx([np.log(2), -np.log(2), 0, 16, -16])


def test_the_best_set_of_each_feature_heads_its_own_list_and_a_blank_feature_has_none():
    rng = np.random.default_rng(14)
    values = np.concatenate([tied_values(rng), rng.normal(size=(6, V)), np.ones((1, V))]).astype(np.float32)
    found = scores_of(values, random_sets(rng))
    table = best_set_of_each(found)
    for feature in range(len(values) - 1):
        first = best_sets(found, feature).iloc[0]
        for name in ("token_set", "enrichment_score", "log10_q"):
            assert table.loc[feature, name] == first[name], (feature, name)
    assert table.iloc[-1][["token_set", "enrichment_score", "log10_q"]].isna().all()


def test_tables_put_the_surest_first_and_name_only_declared_columns():
    rng = np.random.default_rng(14)
    values, sets = tied_values(rng), random_sets(rng)
    values[2, sets.sets[3].tokens] += 20
    values[4, sets.sets[3].tokens] -= 20
    found = scores_of(values, sets)
    assert best_sets(found, 2)["token_set"].iloc[0] == "of 30"
    assert set(best_features(found, "of 30")["feature"].head(2)) == {2, 4}
    assert best_features(found, "of 30", side="promoted")["feature"].iloc[0] == 2
    assert best_features(found, "of 30", side="suppressed")["feature"].iloc[0] == 4
    assert feature_scores(found, "of 30")["auc_z"].to_numpy() == pytest.approx(found.auc_z[:, 3], rel=1e-5)
    pair = set_against_set(found, "of 30", "of 5")
    assert pair["score_difference"].abs().is_monotonic_decreasing
    assert pair.set_index("feature").loc[2, "score_x"] == pytest.approx(16)
    tables = best_sets(found, 2), feature_scores(found, "of 30"), pair, running_sum(values[0], values[0] > 0)
    assert {name for table in tables for name in table.columns} <= set(STATISTICS)
    with pytest.raises(UnknownNameError, match="Did you mean of 1 or of 30"):
        best_features(found, "of 31")
    with pytest.raises(OutOfRangeError, match="Feature 7 does not exist"):
        best_sets(found, 7)
