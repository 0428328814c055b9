"""Pairs are the best of all pairs, whatever few candidates the search begins with; what is not proven has a bound."""

from dataclasses import replace

import numpy as np
import pytest

from core.matching import proof
from core.matching.comparison import Weights, compare, compare_weights
from core.matching.file import MatchFileError, from_json, match_file, to_json
from core.matching.numbers import doubts, null_numbers, numbers_and_doubts
from core.matching.pairs import SIMILARITIES, match
from core.maths.assignment import UNIT, whole
from tests.doubles.planted import planted_dictionary

SIZES = [(60, 60), (90, 40), (40, 90)]


def clustered(n_a: int, n_b: int, *, d: int = 12, clusters: int = 4, seed: int = 0) -> tuple[Weights, Weights]:
    """Features of A and B around a few shared directions, so that lists of nearest hold the same few features."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, d))

    def drawn(n: int) -> np.ndarray:
        return (centres[rng.integers(clusters, size=n)] + 0.7 * rng.normal(size=(n, d))).astype(np.float32)

    return Weights(drawn(n_a), drawn(n_a)), Weights(drawn(n_b), drawn(n_b))


def similarities(a: Weights, b: Weights, similarity: str) -> np.ndarray:
    """All pairs in float64, negative ones as 0."""
    sides = ("decoder", "encoder") if similarity == "both" else (similarity,)
    cosines = []
    for side in sides:
        one, other = (weights.side(side).astype(float) for weights in (a, b))
        lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
        dots = one @ other.T
        cosines.append(np.maximum(0, np.divide(dots, lengths, out=np.zeros(dots.shape), where=lengths > 0)))
    return cosines[0] if len(sides) == 1 else np.sqrt(cosines[0] * cosines[1])


def pairs_of(matching) -> list[tuple[int, int]]:
    return list(zip(matching.a.tolist(), matching.b.tolist(), strict=True))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_one_candidate_of_each_feature_is_enough_for_the_total_of_a_dense_solver(similarity, sizes):
    from scipy.optimize import linear_sum_assignment

    for seed in range(3):
        a, b = clustered(*sizes, seed=seed)
        dense = similarities(a, b, similarity)
        rows, columns = linear_sum_assignment(dense, maximize=True)
        found = match(compare_weights(a, b, k=1), similarity)
        assert found.gap == 0
        assert found.score.sum(dtype=float) == pytest.approx(dense[rows, columns].sum(), abs=1e-5)
        assert pairs_of(found) == [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if dense[i, j]]


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_greedy_and_mutual_pairs_are_those_of_all_pairs(similarity):
    for seed in range(3):
        a, b = clustered(50, 70, seed=seed)
        comparison, dense = compare_weights(a, b, k=1), similarities(a, b, similarity)
        free, expected = np.ones(dense.shape, bool), []
        while (dense * free).max() > 0:
            i, j = divmod(int((dense * free).argmax()), 70)
            expected.append((i, j))
            free[i], free[:, j] = False, False
        assert pairs_of(match(comparison, similarity, "greedy")) == sorted(expected)
        mutual = [
            (i, int(j)) for i, j in enumerate(dense.argmax(axis=1)) if dense[:, j].argmax() == i and dense[i, j] > 0
        ]
        assert pairs_of(match(comparison, similarity, "mutual")) == mutual


@pytest.mark.parametrize("method", proof.METHODS)
def test_equal_features_are_paired_with_one_another_each_with_one_after_few_rounds(method, monkeypatch):
    a, b = clustered(300, 300)
    for weights in (a, b):
        weights.decoder[:200] = 1
    rounds, solve = [], proof.METHODS[method]
    monkeypatch.setitem(proof.METHODS, method, lambda edges: rounds.append(len(edges.a)) or solve(edges))
    found = match(compare_weights(a, b, k=3), "decoder", method)
    equal = [(i, j) for i, j in pairs_of(found) if i < 200 and j < 200]
    assert len(equal) == (1 if method == "mutual" else 200)
    assert found.gap == 0
    assert len(rounds) < 10


def test_zero_features_and_those_left_out_are_in_no_pair():
    a, b = clustered(40, 40)
    a.decoder[3], a.encoder[3] = np.nan, np.nan
    b.decoder[5] = 0
    found = match(compare_weights(a, b, k=1))
    assert (3 in found.a, 5 in found.b, found.left_out_a.tolist()) == (False, False, [3])
    assert found.gap == 0


def test_what_is_not_proven_in_time_is_no_further_from_the_best_than_its_gap(monkeypatch):
    monkeypatch.setattr(proof, "CERTAIN", 0)
    gaps = []
    for rounds in (1, 2, 3, 30):
        monkeypatch.setattr(proof, "ROUNDS", rounds)
        for similarity in SIMILARITIES:
            a, b = clustered(60, 80)
            comparison = compare_weights(a, b, k=1)
            best = match(compare_weights(a, b, k=60), similarity).score.sum(dtype=float)
            found = match(comparison, similarity)
            short = best - found.score.sum(dtype=float)
            assert -1e-6 <= short <= found.gap + 1e-6
            assert found.gap <= 60, "a bound that says nothing: 60 pairs of at most 1"
            gaps.append(found.gap)
            if found.gap:
                assert f"at most {found.gap:.2g} larger" in found.proof
    assert gaps[:3] > [0.5] * 3
    assert gaps[-3:] == [0, 0, 0]


def test_rounds_end_at_their_number_unless_all_pairs_are_few(monkeypatch):
    a, b = clustered(60, 60)
    comparison, rounds = compare_weights(a, b, k=1), []

    def gap(*, certain: int, most: int, method: str = "one-to-one") -> float:
        rounds.clear()
        monkeypatch.setattr(proof, "CERTAIN", certain)
        monkeypatch.setattr(proof, "ROUNDS", most)
        solve = proof.METHODS[method]
        with monkeypatch.context() as patch:
            patch.setitem(proof.METHODS, method, lambda edges: rounds.append(0) or solve(edges))
            return match(comparison, "decoder" if method == "one-to-one" else "both", method).gap

    for most in (1, 2):
        assert gap(certain=60 * 60 - 1, most=most) > 0
        assert len(rounds) == most
    assert gap(certain=60 * 60, most=1) == 0
    assert len(rounds) > 2
    for method in ("greedy", "mutual"):
        assert gap(certain=0, most=1, method=method) == 0, "these end by themselves"
        assert len(rounds) > 1


@pytest.mark.parametrize("d", [8, 200])
@pytest.mark.parametrize("sides", [("decoder",), ("decoder", "encoder")])
def test_no_pair_worth_more_than_its_price_is_lost_in_float32(sides, d):
    """Each pair alone, at a price of one unit less than it is worth, and at no price."""
    a, b = clustered(20, 20, d=d, clusters=3)
    every, free = proof._EveryPair(compare_weights(a, b, k=1), sides), np.zeros(20, np.int64)
    for row, column in np.ndindex(20, 20):
        i, j = np.array([row]), np.array([column])
        worth = whole(every._similarities(i, j))
        for price in (worth - 1, 0 * worth) if worth > 0 else ():
            u = np.full(20, price)
            assert [part.tolist() for part in every._suspects(i, j, (u, free, np.add))] == [[row], [column]]
            assert [part.tolist() for part in every._suspects(i, j, (free, u, np.maximum))] == [[row], [column]]


def test_more_pairs_than_blocks_and_workers_give_the_same_bits(monkeypatch):
    a, b = clustered(120, 130)
    comparison = compare_weights(a, b, k=2)
    whole_bits = [match(comparison, similarity) for similarity in SIMILARITIES]
    monkeypatch.setattr(proof, "_ROWS", 7)
    for expected, similarity in zip(whole_bits, SIMILARITIES, strict=True):
        found = match(comparison, similarity)
        assert found.score.tobytes() == expected.score.tobytes()
        assert pairs_of(found) == pairs_of(expected)


def test_scores_are_whole_units_and_no_more_than_half_a_unit_off():
    a, b = clustered(60, 60, d=40)
    found = match(compare_weights(a, b, k=60))
    assert (whole(found.score) * UNIT == found.score).all()
    dense = similarities(a, b, "decoder")
    np.testing.assert_allclose(found.score, dense[found.a, found.b], atol=1e-7)


def test_every_number_that_rests_on_unproven_pairs_says_so_and_the_total_within_what(monkeypatch):
    a, b = clustered(60, 60)
    proven, nothing = numbers_and_doubts(compare_weights(a, b, k=1))
    assert nothing == {}
    monkeypatch.setattr(proof, "CERTAIN", 0)
    monkeypatch.setattr(proof, "ROUNDS", 1)
    comparison = compare_weights(a, b, k=1)
    found, said = numbers_and_doubts(comparison)
    assert set(said) == {"one_to_one_ratio", "pw_mcc", "agreeing", "shared", "mean_alignment"}
    gap = match(comparison).gap
    assert said["pw_mcc"] == f"not proven: at most {gap / 60:.2g} larger"
    assert found["pw_mcc"] < proven["pw_mcc"] <= found["pw_mcc"] + gap / 60
    assert found["agreeing"] != proven["agreeing"]
    assert set(said.values()) == {said["pw_mcc"], "not proven"}
    assert match(comparison).said_proof == {"proof": match(comparison).proof, "gap": gap}
    assert set(null_numbers(comparison, "decoder", k=1)["shuffled_not_proven"]) == set(said)


def test_a_number_is_in_doubt_only_if_its_own_pairs_are():
    a, b = clustered(60, 60)
    sure = match(compare_weights(a, b))
    unsure, unknown = replace(sure, gap=0.6), replace(sure, gap=np.nan)
    assert set(doubts(sure, sure, unsure, 60)) == {"one_to_one_ratio", "pw_mcc"}
    assert doubts(sure, sure, unsure, 60)["pw_mcc"] == "not proven: at most 0.01 larger"
    assert set(doubts(sure, unsure, sure, 60)) == {"agreeing", "shared", "mean_alignment"}
    assert set(doubts(unknown, sure, sure, 60).values()) == {"not proven"}
    assert doubts(sure, sure, unknown, 60)["pw_mcc"] == "not proven"


def test_a_file_says_which_of_its_numbers_are_not_proven():
    a, b = planted_dictionary(d_sae=9), planted_dictionary(d_sae=7, seed=1)
    pairs = match(compare(a, b))
    said = {"agreeing": "not proven"}
    for not_proven in (said, {}):
        data = to_json(match_file(a, b, pairs, settings={}, stats={}, null={}, not_proven=not_proven))
        assert from_json(data).not_proven == not_proven
        assert (b"not_proven" in data) == bool(not_proven)
    with pytest.raises(MatchFileError, match="not_proven is no object"):
        from_json(
            to_json(match_file(a, b, pairs, settings={}, stats={}, null={}, not_proven=said)).replace(
                b'{"agreeing": "not proven"}', b"1"
            )
        )
