"""What algebra promises of every room's numbers: order of features and tokens, units, signs, and how work is cut.

Inputs are drawn by a seed that hypothesis chooses. Factors are powers of 2, so that equal means equal to the bit; where
an order of summation may differ, the test says how near.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activations.encoding import Encoder
from core.activations.sparse import SparseActivations
from core.activations.statistics import Tally
from core.automata.transitions import TransitionSettings, transitions
from core.geometry.neighbors import nearest_between, nearest_features
from core.interventions.first_order import entry_effects
from core.interventions.impact import log_softmax
from core.logit_weights.statistics import logit_statistics
from core.logit_weights.unembedding import Unembedding
from core.matching.labels import relate
from core.maths.assignment import Edges, one_to_one
from core.maths.correlation import pearson
from core.maths.significance import benjamini_hochberg, wilson
from core.positions.scores import mutual_information, peak, peak_width, position_score
from core.positions.statistics import PositionStatistics, variance_split
from core.proxies.values import largest_sum
from core.splitting.graph import cosine_links, split_graph
from core.stability.chance import return_chance, second_moments
from core.text.difference import rank_test
from tests.doubles.activation_rows import assert_same
from tests.doubles.planted import planted_dictionary
from tests.doubles.token_set_scores import V, random_sets, scores_of, tied_values, token_sets
from tests.doubles.transitions_by_hand import stretches_of

seeds = st.integers(0, 2**16)
factors = st.integers(-6, 6).map(lambda power: 2.0**power)


def tries(n: int):
    return settings(max_examples=n, deadline=None, derandomize=True)


def rows_of(seed: int, n: int = 13, d: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def order_of(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed + 1).permutation(n)


@tries(15)
@given(seeds, factors)
def test_neighbours_follow_their_features_and_do_not_depend_on_lengths(seed, factor):
    rows, order = rows_of(seed), order_of(seed, 13)
    plain, moved = nearest_features(rows, k=6), nearest_features(factor * rows[order], k=6)
    assert np.array_equal(moved.cos, plain.cos[order])
    assert np.array_equal(order[moved.idx], plain.idx[order])


@tries(10)
@given(seeds)
def test_turning_every_direction_round_changes_no_neighbour(seed):
    rows = rows_of(seed)
    assert_same(nearest_features(-rows, k=4), nearest_features(rows, k=4))


@tries(15)
@given(seeds, st.integers(1, 30), st.integers(1, 3))
def test_neighbours_do_not_depend_on_how_the_work_is_cut(seed, block, workers):
    rows = np.concatenate([rows_of(seed, 20), rows_of(seed, 4)])  # with copies, which tie
    assert_same(nearest_features(rows, k=9, block=block, workers=workers), nearest_features(rows, k=9))


@tries(15)
@given(seeds)
def test_the_neighbours_of_two_dictionaries_change_sides_with_them(seed):
    a, b = rows_of(seed, 11), rows_of(seed + 7, 8)
    there, back = nearest_between(a, b, k=3), nearest_between(b, a, k=3)
    assert np.array_equal(there.a_in_b_idx, back.b_in_a_idx)
    assert np.array_equal(there.b_in_a_cos, back.a_in_b_cos)


@tries(25)
@given(seeds, st.integers(3, 9), st.integers(3, 9))
def test_one_to_one_pairs_follow_both_dictionaries_order(seed, n_a, n_b):
    rng = np.random.default_rng(seed)
    # Distinct powers of 2 below 2^24: no two sets of pairs have the same sum.
    score = rng.permutation(2.0 ** -np.arange(n_a * n_b) if n_a * n_b <= 20 else rng.random(n_a * n_b))
    a, b = (part.ravel() for part in np.mgrid[:n_a, :n_b])
    to_a, to_b = rng.permutation(n_a), rng.permutation(n_b)

    def pairs(a, b) -> set[tuple[int, int]]:
        edges = Edges(a, b, score.astype(np.float32), n_a, n_b)
        chosen = one_to_one(edges)
        return set(zip(a[chosen].tolist(), b[chosen].tolist(), strict=True))

    plain = pairs(a, b)
    assert pairs(to_a[a], to_b[b]) == {(int(to_a[i]), int(to_b[j])) for i, j in plain}


@tries(25)
@given(seeds)
def test_labels_follow_their_features_and_the_parents_numbers(seed):
    narrow, wide = rows_of(seed, 6, 3), rows_of(seed + 3, 15, 3)
    to_wide, to_narrow = order_of(seed, 15), order_of(seed + 5, 6)

    def labelled(narrow, wide):
        found = nearest_between(narrow, wide, k=1)
        columns = found.b_in_a_cos, found.b_in_a_idx, found.a_in_b_cos, found.a_in_b_idx
        return relate(*(column[:, 0] for column in columns), threshold=0.8)

    plain, moved = labelled(narrow, wide), labelled(narrow[to_narrow], wide[to_wide])
    for name in ("label", "siblings", "merged_from"):
        assert np.array_equal(getattr(moved, name), getattr(plain, name)[to_wide]), name
    has = moved.parent >= 0
    assert np.array_equal(to_narrow[moved.parent[has]], plain.parent[to_wide][has])
    assert np.array_equal(has, plain.parent[to_wide] >= 0)


@tries(20)
@given(seeds, factors)
def test_descendants_do_not_depend_on_lengths_or_on_the_order_of_the_wider_dictionary(seed, factor):
    narrow, wide, order = rows_of(seed, 4, 3), rows_of(seed + 1, 12, 3), order_of(seed, 12)
    plain = split_graph(2, [cosine_links(narrow, wide, threshold=0.5)])
    moved = split_graph(2, [cosine_links(factor * narrow, factor * wide[order], threshold=0.5)])
    assert set(order[moved.features(1)]) == set(plain.features(1))
    assert sorted(moved.score) == pytest.approx(sorted(plain.score), abs=1e-6)


def whole_rows(seed: int, n: int, d: int) -> np.ndarray:
    """Small whole numbers: products and sums of them are exact in any order."""
    return np.random.default_rng(seed).integers(-8, 9, (n, d)).astype(np.float32)


@tries(15)
@given(seeds, factors)
def test_logit_moments_follow_the_features_and_do_not_depend_on_the_order_of_tokens(seed, factor):
    rows, W_U = whole_rows(seed, 9, 4), whole_rows(seed + 1, 64, 4)
    tokens, features = order_of(seed, 64), order_of(seed + 2, 9)
    plain = logit_statistics(rows, Unembedding(W_U, np.arange(64)), center="none", k=5)
    moved = logit_statistics(factor * rows[features], Unembedding(W_U[tokens], np.arange(64)), center="none", k=5)
    for name in ("mean", "std", "minimum", "maximum", "top_values", "bottom_values"):
        np.testing.assert_allclose(getattr(moved, name), factor * getattr(plain, name)[features], rtol=1e-6, atol=1e-6)
    for name in ("skewness", "kurtosis"):
        np.testing.assert_allclose(getattr(moved, name), getattr(plain, name)[features], rtol=1e-5, atol=1e-5)


@tries(15)
@given(seeds)
def test_a_feature_turned_round_turns_the_sign_of_its_logit_weights(seed):
    rows, unembedding = whole_rows(seed, 7, 4), Unembedding(whole_rows(seed + 1, 50, 4), np.arange(50))
    plain, turned = (logit_statistics(sign * rows, unembedding, center="mean", k=6) for sign in (1, -1))
    np.testing.assert_allclose(turned.skewness, -plain.skewness, atol=1e-6)
    np.testing.assert_allclose(turned.kurtosis, plain.kurtosis, rtol=1e-6)
    np.testing.assert_allclose(turned.mean, -plain.mean, atol=1e-6)
    assert np.array_equal(turned.top_tokens, plain.bottom_tokens)
    np.testing.assert_allclose(turned.maximum, -plain.minimum, atol=1e-6)


@tries(15)
@given(seeds)
def test_enrichment_does_not_depend_on_the_order_of_tokens(seed):
    rng = np.random.default_rng(seed)
    values, sets, order = tied_values(rng), random_sets(rng), order_of(seed, V)
    place = np.argsort(order)  # where each token stands afterwards
    moved_sets = token_sets(**{one.name: place[one.tokens] for one in sets.sets})
    plain, moved = scores_of(values, sets), scores_of(values[:, order], moved_sets)
    for name in ("es_high", "es_low", "auc", "log10_p", "log10_q"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(plain, name), err_msg=name)


@tries(15)
@given(seeds, factors)
def test_enrichment_is_one_of_ranks_and_turns_with_the_feature(seed, factor):
    rng = np.random.default_rng(seed)
    values, sets = tied_values(rng), random_sets(rng)
    plain, scaled, turned = (scores_of(sign * values, sets) for sign in (1.0, factor, -1.0))
    for name in ("es_high", "es_low", "auc", "log10_p"):
        np.testing.assert_array_equal(getattr(scaled, name), getattr(plain, name), err_msg=name)
    np.testing.assert_allclose(turned.auc, 1 - plain.auc, atol=1e-6)
    np.testing.assert_allclose(turned.es_high, -plain.es_low, atol=1e-6)


@tries(10)
@given(seeds, st.integers(1, 9), st.integers(1, 3))
def test_enrichment_does_not_depend_on_how_the_work_is_cut(seed, block, workers):
    rng = np.random.default_rng(seed)
    values, sets = tied_values(rng), random_sets(rng)
    assert_same(scores_of(values, sets, block=block, workers=workers), scores_of(values, sets))


def position_stats(mean: np.ndarray, rate: np.ndarray) -> PositionStatistics:
    n, n_pos = mean.shape
    split = variance_split(mean, mean**2 + 1.0, None)
    blank = np.zeros((n, n_pos))
    fields = {field.name: np.zeros(n) for field in dataclasses.fields(PositionStatistics)}
    fields |= {"method": "grid", "context_size": n_pos, "n_samples": 4, "mean": mean, "rate": rate, "std": blank}
    fields |= {"pre_mean": blank, "pre_std": blank}
    fields |= {name: np.zeros(n, np.int64) for name in ("token_best", "only_beyond")}
    return PositionStatistics(**(fields | split))


@tries(20)
@given(seeds, factors)
def test_position_scores_scale_with_activations_and_shares_do_not(seed, factor):
    rng = np.random.default_rng(seed)
    mean, rate, order = rng.random((6, 9)), rng.random((6, 9)), order_of(seed, 6)
    plain, moved = position_stats(mean, rate), position_stats(factor * mean[order], rate[order])
    assert np.array_equal(position_score(moved), factor * position_score(plain)[order])
    assert np.array_equal(peak(moved), peak(plain)[order])
    np.testing.assert_allclose(peak_width(moved), peak_width(plain)[order], rtol=1e-12)
    assert np.array_equal(mutual_information(moved), mutual_information(plain)[order])


@tries(20)
@given(seeds)
def test_positions_read_backwards_have_their_peaks_at_the_mirrored_places(seed):
    rng = np.random.default_rng(seed)
    mean, rate = rng.random((5, 8)), rng.random((5, 8))
    plain, mirrored = position_stats(mean, rate), position_stats(mean[:, ::-1].copy(), rate[:, ::-1].copy())
    assert np.array_equal(peak(mirrored), 7 - peak(plain))
    np.testing.assert_allclose(peak_width(mirrored), peak_width(plain), rtol=1e-12)
    np.testing.assert_allclose(mutual_information(mirrored), mutual_information(plain), rtol=1e-12)


@tries(20)
@given(seeds, factors)
def test_shares_of_variance_have_no_unit(seed, factor):
    rng = np.random.default_rng(seed)
    f = rng.random((5, 7, 6))  # feature, token, position
    mean, square, token_square = f.mean(axis=1), (f**2).mean(axis=1), (f.mean(axis=2) ** 2).mean(axis=1)
    plain = variance_split(mean, square, token_square)
    scaled = variance_split(factor * mean, factor**2 * square, factor**2 * token_square)
    for name in ("share_position", "share_token", "share_interaction"):
        np.testing.assert_allclose(scaled[name], plain[name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scaled["variance"], factor**2 * plain["variance"], rtol=1e-12)
    total = plain["share_position"] + plain["share_token"] + plain["share_interaction"]
    np.testing.assert_allclose(total, 1, rtol=1e-9)


def block_of(dictionary, x: np.ndarray, n_pos: int = 4):
    return Encoder(dictionary).encoded(np.arange(len(x)).reshape(-1, n_pos), [x])


def tally_of(dictionary, blocks) -> Tally:
    tally = Tally(4, dictionary.d_sae, dictionary.d_in)
    for block in blocks:
        tally.add(block)
    return tally


@tries(20)
@given(seeds, st.lists(st.integers(1, 8), max_size=3, unique=True))
def test_statistics_depend_neither_on_the_order_of_blocks_nor_on_which_parts_of_a_pass_are_merged(seed, cuts):
    dictionary, x = planted_dictionary("jumprelu", seed=3), rows_of(seed, 36, 8)
    blocks = [block_of(dictionary, part) for part in np.split(x, [4 * cut for cut in sorted(cuts)])]
    together = tally_of(dictionary, blocks).finish()
    assert_same(tally_of(dictionary, blocks[::-1]).finish(), together)
    merged = tally_of(dictionary, blocks[:1])
    for block in blocks[1:]:
        merged.merge(tally_of(dictionary, [block]))
    assert_same(merged.finish(), together)
    # A product's last bits depend on its number of rows, so another cut of the same tokens gives other last bits.
    whole = tally_of(dictionary, [block_of(dictionary, x)]).finish()
    assert np.array_equal(whole.count, together.count)
    np.testing.assert_allclose(together.total, whole.total, rtol=1e-6)
    np.testing.assert_allclose(together.measures, whole.measures, rtol=1e-5, atol=1e-6)


@tries(15)
@given(seeds)
def test_statistics_follow_the_features_of_a_dictionary(seed):
    plain, order, x = planted_dictionary("jumprelu", seed=3), order_of(seed, 12), rows_of(seed, 24, 8)
    weights = {"W_enc": plain.W_enc[:, order], "W_dec": plain.W_dec[order], "b_enc": plain.b_enc[order]}
    weights |= {"threshold": plain.threshold[order], "b_dec": plain.b_dec}
    moved = planted_dictionary("jumprelu", tensors=weights)
    one, other = (
        tally_of(dictionary, [block_of(dictionary, x)]).finish().feature_table() for dictionary in (plain, moved)
    )
    np.testing.assert_array_equal(other["active_tokens"], one["active_tokens"].to_numpy()[order])
    for name in ("mean_active", "std_active", "largest_activation"):
        np.testing.assert_allclose(other[name], one[name].to_numpy()[order], rtol=1e-5, atol=1e-6)


def sparse_of(dense: np.ndarray) -> SparseActivations:
    token, feature = np.nonzero(dense)
    ends = np.cumsum((dense != 0).sum(axis=1)).astype(np.int64)
    return SparseActivations(ends, feature.astype(np.int32), dense[token, feature].astype(np.float32), dense.shape[1])


@tries(20)
@given(seeds, factors)
def test_two_texts_change_sides_in_the_rank_test_and_units_do_not_count(seed, factor):
    rng = np.random.default_rng(seed)
    a, b = (np.round(rng.random((n, 5)) * 4) for n in (9, 12))
    features = np.arange(5)
    auc, z = rank_test(sparse_of(a), sparse_of(b), features)
    back, back_z = rank_test(sparse_of(b), sparse_of(a), features)
    np.testing.assert_allclose(back, 1 - auc, atol=1e-12)
    np.testing.assert_allclose(np.abs(back_z), np.abs(z), atol=1e-9)
    moved = rank_test(sparse_of(factor * a[rng.permutation(9)]), sparse_of(factor * b), features)
    np.testing.assert_array_equal(moved[0], auc)
    np.testing.assert_array_equal(moved[1], z)


@tries(25)
@given(seeds, factors, st.integers(1, 3))
def test_the_best_string_scales_with_its_terms_and_rows_do_not_touch(seed, factor, least):
    ratio = np.random.default_rng(seed).normal(size=(5, 8))
    ratio[ratio > 1.5] = -np.inf
    order = order_of(seed, 5)
    np.testing.assert_array_equal(largest_sum(factor * ratio[order], least), factor * largest_sum(ratio, least)[order])


@tries(15)
@given(seeds)
def test_transitions_follow_the_features_and_not_the_order_of_stretches(seed):
    rng = np.random.default_rng(seed)
    lengths = [6, 3, 9, 5]
    fires, order = rng.random((sum(lengths), 7)) < 0.4, order_of(seed, 7)
    chosen = TransitionSettings(least_tokens=1, least_together=1, n_shuffles=0)
    parts = np.split(fires, np.cumsum(lengths)[:-1])
    moved_fires = np.concatenate(parts[::-1])[:, order]
    plain = transitions(stretches_of(fires, lengths), chosen)
    moved = transitions(stretches_of(moved_fires, lengths[::-1]), chosen)

    def edges(found, names) -> dict[tuple[int, int], tuple[int, float]]:
        columns = names[found.source], names[found.target], found.count, np.round(found.expected, 9)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return {(i, j): (count, expected) for i, j, count, expected in rows}

    assert edges(moved, order) == edges(plain, np.arange(7))
    np.testing.assert_array_equal(moved.self_count, plain.self_count[order])
    assert (moved.n_pairs, moved.n_tests) == (plain.n_pairs, plain.n_tests)


@tries(10)
@given(seeds, factors)
def test_what_returns_by_chance_depends_on_directions_alone(seed, factor):
    rows, others, order = rows_of(seed, 12, 4), rows_of(seed + 9, 20, 4), order_of(seed, 12)
    moments = second_moments(others)
    moved = second_moments(factor * others[::-1].copy())
    np.testing.assert_allclose(moved.values, moments.values, atol=1e-12)
    plain = return_chance(rows, moments, 0.7)
    np.testing.assert_allclose(return_chance(factor * rows[order], moved, 0.7), plain[order], atol=1e-9)
    np.testing.assert_allclose(return_chance(-rows, moments, 0.7), plain, atol=1e-9)
    assert ((plain >= 0) & (plain <= 1)).all()


@tries(20)
@given(seeds, factors)
def test_first_order_effects_are_linear_in_activations_and_in_gradients(seed, factor):
    rng = np.random.default_rng(seed)
    sparse = sparse_of(np.where(rng.random((6, 9)) < 0.4, rng.random((6, 9)), 0))
    gradient, rows = rows_of(seed, 6, 4), rows_of(seed + 1, 9, 4)
    plain = entry_effects(sparse.ends, sparse.features, sparse.acts, gradient, rows)
    doubled = entry_effects(sparse.ends, sparse.features, np.float32(factor) * sparse.acts, gradient, rows)
    np.testing.assert_array_equal(doubled, factor * plain)
    turned = entry_effects(sparse.ends, sparse.features, sparse.acts, -gradient, rows)
    np.testing.assert_array_equal(turned, -plain)


@tries(20)
@given(seeds, st.floats(-50, 50))
def test_log_probabilities_do_not_depend_on_a_shift_of_all_logits(seed, shift):
    logits = 5 * np.random.default_rng(seed).normal(size=40)
    order = order_of(seed, 40)
    plain = log_softmax(logits)
    np.testing.assert_allclose(log_softmax(logits[order] + shift), plain[order], atol=1e-9)
    assert np.exp(plain).sum() == pytest.approx(1)


@tries(25)
@given(seeds, factors, st.floats(-9, 9))
def test_a_correlation_has_no_unit_no_zero_and_a_sign(seed, factor, shift):
    x, y = np.random.default_rng(seed).normal(size=(2, 15))
    plain = pearson(x, y)
    assert pearson(factor * x + shift, y) == pytest.approx(plain, abs=1e-9)
    assert pearson(-x, y) == pytest.approx(-plain, abs=1e-12)
    assert pearson(y, x) == pytest.approx(plain, abs=1e-12)


@tries(25)
@given(seeds)
def test_q_values_follow_their_tests_and_never_lie_below_p(seed):
    p = np.log10(np.random.default_rng(seed).random((4, 6)))
    order = order_of(seed, 4)
    plain = benjamini_hochberg(p)
    np.testing.assert_array_equal(benjamini_hochberg(p[order]), plain[order])
    assert (plain >= p - 1e-12).all()
    ranks = np.argsort(p.ravel())
    assert (np.diff(plain.ravel()[ranks]) >= 0).all()


@tries(25)
@given(st.integers(0, 40), st.integers(1, 40))
def test_an_interval_of_a_share_mirrors_that_of_its_complement(count, of):
    count = min(count, of)
    (low,), (high,) = wilson(np.array([count]), np.array([of]))
    (mirrored_low,), (mirrored_high,) = wilson(np.array([of - count]), np.array([of]))
    assert (low, high) == (pytest.approx(1 - mirrored_high, abs=1e-12), pytest.approx(1 - mirrored_low, abs=1e-12))
    assert 0 <= low <= count / of <= high <= 1
