"""Transitions between features against plain loops, and a planted loop that is found with nothing else."""

import dataclasses
from decimal import Decimal, localcontext
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activations.token_pass import activation_pass, open_store
from core.automata.stretches import read_stretches
from core.automata.transitions import LEVELS, Transitions, TransitionSettings, shuffled, transitions
from core.errors import CorpusError
from core.maths.significance import benjamini_hochberg, log10_poisson_tails
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, assert_same, dense, planted
from tests.doubles.planted import planted_model
from tests.doubles.transitions_by_hand import counted, mean_of_all_orders, poisson_tail, q_values, stretches_of

ALL = TransitionSettings(least_tokens=1, least_together=1, n_shuffles=1)
LOOP = (3, 7)


def random_fires(n: int, d_sae: int, *, share: float = 0.4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, d_sae)) < share


def with_loop(seed: int, *, n: int = 60, length: int = 50, d_sae: int = 40) -> tuple[np.ndarray, list[int]]:
    """Return features that fire at random, of which two take turns in runs of ten tokens, at random places."""
    rng = np.random.default_rng(seed)
    fires = rng.random((n * length, d_sae)) < rng.uniform(0.005, 0.2, d_sae)
    fires[:, LOOP] = False
    for start in range(0, n * length, length):
        run = start + int(rng.integers(0, length - 10)) + np.arange(10)
        fires[run[::2], LOOP[0]] = fires[run[1::2], LOOP[1]] = True
    return fires, [length] * n


def pairs(found: Transitions, level: float = LEVELS[0]) -> set[tuple[int, int]]:
    kept = found.log10_q <= np.log10(level)
    return set(zip(found.source[kept].tolist(), found.target[kept].tolist(), strict=True))


def test_counts_and_their_means_over_all_orders_are_those_of_plain_loops():
    lengths = [5, 1, 4, 6, 2, 3]
    fires = random_fires(sum(lengths), 6)
    count, mean = counted(fires, lengths), mean_of_all_orders(fires, lengths)
    found = transitions(stretches_of(fires, lengths), ALL)
    assert found.self_count.tolist() == count.diagonal().tolist()
    np.testing.assert_allclose(found.self_expected, mean.diagonal(), atol=1e-12)
    kept = found.source, found.target
    np.testing.assert_array_equal(found.count, count[kept])
    np.testing.assert_allclose(found.expected, mean[kept], atol=1e-12)
    assert found.n_pairs == sum(lengths) - len(lengths)
    together = fires.T.astype(int) @ fires
    np.testing.assert_array_equal(found.together, together[kept])
    shares = fires.mean(axis=0)
    np.testing.assert_allclose(found.together_lift, together[kept] / sum(lengths) / shares[kept[0]] / shares[kept[1]])


def test_a_step_that_happens_less_than_five_times_is_not_tested():
    fires = np.zeros((4000, 4), bool)
    for feature, times in ((0, 5), (2, 4)):
        at = 100 + 300 * np.arange(10) + 50 * feature
        fires[at, feature] = True
        fires[np.where(np.arange(10) < times, at + 1, at + 20), feature + 1] = True
    found = transitions(stretches_of(fires, [4000]), TransitionSettings(n_shuffles=0))
    assert found.self_count.tolist() == [0, 0, 0, 0]
    assert pairs(found) == {(0, 1)}


def test_q_is_that_of_all_pairs_of_tested_features():
    fires, lengths = with_loop(1, n=8, d_sae=10)
    fires[:, 5] = False
    count = counted(fires, lengths)
    stretches = stretches_of(fires, lengths)
    found = transitions(stretches, TransitionSettings(least_tokens=4, least_together=3, n_shuffles=0))
    firsts, seconds = fires[stretches.first].sum(axis=0), fires[stretches.first + 1].sum(axis=0)
    np.testing.assert_array_equal(found.source_count, firsts)
    np.testing.assert_array_equal(found.target_count, seconds)
    tested = np.flatnonzero(np.minimum(firsts, seconds) >= 4)
    assert 5 not in tested
    assert found.n_tests == len(tested) * (len(tested) - 1)
    mean = (fires.reshape(8, 50, 10).sum(axis=1, dtype=float).T @ fires.reshape(8, 50, 10).sum(axis=1)) / 50
    mean -= (fires.T.astype(float) @ fires) / 50
    every = [(i, j) for i in tested for j in tested if i != j]
    p = np.array([poisson_tail(count[pair], mean[pair]) if count[pair] >= 3 else 1.0 for pair in every])
    q = dict(zip(every, q_values(p), strict=True))
    assert pairs(found) == {pair for pair in every if q[pair] <= LEVELS[0]} != set()
    for source, target, log10_q in zip(found.source, found.target, found.log10_q, strict=True):
        assert 10**log10_q == pytest.approx(q[source, target], rel=1e-6, abs=1e-12)
    of_itself = np.array([poisson_tail(count[i, i], mean[i, i]) for i in tested])
    np.testing.assert_allclose(10 ** found.self_log10_q[tested], np.minimum(q_values(of_itself), 1), rtol=1e-6)
    assert np.isnan(np.delete(found.self_log10_q, tested)).all()


def test_a_planted_loop_of_two_is_found_and_nothing_else_at_the_stated_rate():
    wrong = 0
    for seed in range(40):
        fires, lengths = with_loop(seed)
        found = pairs(transitions(stretches_of(fires, lengths), TransitionSettings(n_shuffles=0)))
        assert {LOOP, LOOP[::-1]} <= found
        wrong += len(found) > 2
    assert wrong <= 4, "at q <= 0.05 with two true transitions, few of 40 texts may show a third"


def test_shuffled_text_has_no_transitions_though_features_share_stretches():
    rng = np.random.default_rng(0)
    # Two kinds of stretch with features of their own: together far more often than by chance, in no order.
    kind = np.repeat(rng.integers(0, 2, 80), 40)
    share = np.where(np.arange(20) < 10, [[0.3], [0.01]], [[0.01], [0.3]])[kind]
    fires = rng.random((3200, 20)) < share
    found = transitions(stretches_of(fires, [40] * 80), TransitionSettings(n_shuffles=10))
    assert len(found.source) == 0
    assert found.shuffled_found.shape == (10, 3)
    assert found.shuffled_found.sum() == 0
    firsts, seconds = np.repeat(np.arange(10), 10), np.tile(np.arange(10), 10)
    assert found.lift_of(counted(fires, [40] * 80)[firsts, seconds], firsts, seconds).mean() > 1.8


def test_shuffled_texts_are_tested_as_the_text_itself_is():
    fires, lengths = with_loop(3)
    stretches = stretches_of(fires, lengths)
    found = transitions(stretches, TransitionSettings(n_shuffles=2, seed=5))
    order = shuffled(stretches, seed=5, number=1)
    again = transitions(stretches_of(fires[order], lengths), TransitionSettings(n_shuffles=0))
    assert found.shuffled_found[1, 0] == len(pairs(again))
    assert len(pairs(found)) >= 2


def test_a_shuffled_text_keeps_the_tokens_of_each_stretch():
    stretches = stretches_of(random_fires(12, 3), [5, 3, 4])
    order = shuffled(stretches, seed=0)
    assert order.tolist() != list(range(12))
    assert [sorted(part) for part in np.split(order, [5, 8])] == [list(range(5)), [5, 6, 7], [8, 9, 10, 11]]
    assert order.tolist() == shuffled(stretches, seed=0).tolist() != shuffled(stretches, seed=0, number=1).tolist()


@pytest.mark.parametrize(("block", "workers"), [(1, 1), (7, 3), (40, 2)])
def test_neither_blocks_nor_threads_change_a_bit(block, workers):
    fires, lengths = with_loop(2)
    stretches = stretches_of(fires, lengths)
    assert_same(transitions(stretches, block=block, workers=workers), transitions(stretches))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 2**31), st.floats(0, 1))
def test_every_text_has_sane_numbers(lengths, seed, share):
    fires = random_fires(sum(lengths), 5, share=share, seed=seed)
    found = transitions(stretches_of(fires, lengths), ALL)
    count = counted(fires, lengths)
    assert found.self_count.tolist() == count.diagonal().tolist()
    assert (found.source != found.target).all()
    assert (found.count <= np.minimum(found.source_count[found.source], found.target_count[found.target])).all()
    assert (found.count > found.expected).all()
    assert (found.log10_q <= np.log10(LEVELS[0])).all()
    assert np.isfinite(found.lift).all()


def test_a_text_read_backwards_has_the_transitions_backwards():
    fires, lengths = with_loop(4)
    there = transitions(stretches_of(fires, lengths), TransitionSettings(n_shuffles=0))
    back = transitions(stretches_of(fires[::-1], lengths[::-1]), TransitionSettings(n_shuffles=0))
    assert pairs(back) == {(target, source) for source, target in pairs(there)}
    assert there.self_count.tolist() == back.self_count.tolist()


def test_lift_is_the_share_after_a_feature_over_the_share_anywhere():
    fires = np.zeros((12, 2), bool)
    fires[[0, 4, 8], 0] = fires[[1, 5, 10], 1] = True
    found = transitions(stretches_of(fires, [12]), ALL)
    # After 3 tokens with feature 0, feature 1 fires twice; it fires on 3 of the 11 tokens that follow another.
    assert found.lift_of(np.array([2]), np.array([0]), np.array([1])) == pytest.approx((2 / 3) / (3 / 11))
    silent = transitions(stretches_of(np.zeros((5, 2), bool), [5]), ALL)
    assert np.isnan(silent.lift_of(np.array([0]), np.array([0]), np.array([1]))).all()


@pytest.fixture
def store(tmp_path):
    """The stored activations of a planted dictionary, in blocks of four rows."""
    dictionary, model, artifacts = planted("standard"), planted_model(tmp_path), ArtifactStore(tmp_path / "cache")
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=4)
    return open_store(dictionary, model, ROWS, artifacts, block_rows=4), dense(dictionary, model) != 0


def test_no_transition_crosses_the_end_of_a_row_or_a_token_that_is_apart(store):
    store, fires = store
    apart = int(ROWS[2, 3]), int(ROWS[5, 6])
    kept = ~np.isin(ROWS, apart)
    kept[:, 0] = False
    count = np.zeros((12, 12), np.int64)
    for row in range(len(ROWS)):
        for position in range(ROWS.shape[1] - 1):
            if kept[row, position] and kept[row, position + 1]:
                count += np.outer(fires[row, position], fires[row, position + 1])
    stretches = read_stretches(store, 12, apart=apart)
    found = transitions(stretches, ALL)
    assert found.self_count.tolist() == count.diagonal().tolist()
    np.testing.assert_array_equal(found.count, count[found.source, found.target])
    assert found.n_pairs == (kept[:, :-1] & kept[:, 1:]).sum() < 11 * 5
    assert (stretches.place == np.flatnonzero(kept)).all()
    at, acts = stretches.tokens_of(4)
    assert (stretches.place[at] == np.flatnonzero(fires[..., 4] & kept)).all()
    assert (acts > 0).all()


def test_a_store_without_two_successive_tokens_says_so(store):
    store, _ = store
    with pytest.raises(CorpusError, match=r"11 rows of 7 tokens hold no two successive tokens.*choose longer rows"):
        read_stretches(store, 12, apart=np.unique(ROWS[:, 2::2]).tolist())


def test_a_result_survives_the_disk(tmp_path):
    fires, lengths = with_loop(0)
    found, artifacts = transitions(stretches_of(fires, lengths)), ArtifactStore(tmp_path)
    how = {"left_out": (1,), "apart": (0,)}
    key = Transitions.key("d", "m", "r", TransitionSettings(), **how)
    artifacts.save(found, key)
    assert_same(artifacts.load(Transitions, key), found)
    other = dataclasses.replace(TransitionSettings(), least_tokens=11)
    assert len({key, Transitions.key("d", "m", "r", other, **how)}) == 2


@pytest.mark.parametrize(("count", "mean"), [(0, 2.0), (1, 1e-3), (5, 5.0), (9, 2.5), (60, 4.0)])
def test_poisson_tails_are_one_minus_what_lies_below(count, mean):
    tail = 10 ** log10_poisson_tails(np.array([count]), np.array([mean]))[0]
    assert tail == pytest.approx(poisson_tail(count, mean), rel=1e-6, abs=1e-14)


def exact_log10_tail(count: int, mean: int) -> Decimal:
    with localcontext(prec=40):
        term = total = Decimal(1)
        for k in range(count + 1, 4 * count):
            term = term * mean / k
            total += term
        return (total * Decimal(mean) ** count / factorial(count)).log10() - mean / Decimal(10).ln()


def test_poisson_tails_never_underflow():
    counts, means = [1000, 20000, 3000], [10, 15000, 1500]
    exact = [float(exact_log10_tail(count, mean)) for count, mean in zip(counts, means, strict=True)]
    np.testing.assert_allclose(log10_poisson_tails(np.array(counts), np.array(means, float)), exact, rtol=1e-10)
    assert log10_poisson_tails(np.array([7]), np.array([0.0])) == -np.inf


def test_q_of_the_small_p_alone_is_that_of_the_whole_family():
    p = np.sort(np.random.default_rng(0).random(500)) ** 3
    whole = benjamini_hochberg(np.log10(p)[:, None])[:, 0]
    few = np.log10(p[p <= 0.05])
    part = benjamini_hochberg(few[:, None], n_tests=500)[:, 0]
    called = part <= np.log10(0.05)
    assert called.sum() > 0
    np.testing.assert_allclose(part[called], whole[: len(part)][called], rtol=1e-12)
    assert (whole[len(part) :] > np.log10(0.05)).all()
