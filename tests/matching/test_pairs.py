"""Matching two dictionaries by weights: known permutations, dense doubles, planted splits, and what does not fit."""

import dataclasses

import numpy as np
import pytest

from core.errors import BadSettingError, CancelledError, DoesNotFitError, OutOfRangeError
from core.matching.comparison import (
    SameDictionaryError,
    Weights,
    compare,
    compare_weights,
    differences,
    nearest_neurons,
)
from core.matching.labels import LABELS, Relation, relate
from core.matching.numbers import pair_numbers
from core.matching.pairs import SIMILARITIES, Matching, candidates, match, nearest, shared
from core.matching.proof import METHODS
from core.notebook import load_dictionary
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary

PERFECT = ("mmcs_ab", "mmcs_ba", "ratio_ab", "ratio_ba", "one_to_one_ratio", "pw_mcc", "agreeing", "shared")


def permuted_copy(dictionary, *, seed=1):
    """The same features in another order and each at another length, and the order."""
    rng = np.random.default_rng(seed)
    order, length = rng.permutation(dictionary.d_sae), rng.uniform(0.1, 9, dictionary.d_sae).astype(np.float32)
    tensors = {
        "W_dec": dictionary.W_dec[order] * length[:, None],
        "W_enc": dictionary.W_enc[:, order] / length,
        "b_enc": dictionary.b_enc[order],
    }
    copy = planted_dictionary(d_sae=dictionary.d_sae, tensors=tensors, fold_decoder_norms=False, title="copy")
    return copy, order


def related(d_sae_a=30, d_sae_b=40, *, noise=0.6, **changes):
    """Two dictionaries, the features of A in B with noise."""
    a = planted_dictionary(d_sae=d_sae_a, seed=1)
    b = planted_dictionary(d_sae=d_sae_b, seed=2)
    rng, n = np.random.default_rng(3), min(d_sae_a, d_sae_b) // 2
    W_dec, W_enc = b.W_dec.copy(), b.W_enc.copy()
    W_dec[:n] = a.W_dec[:n] + noise * rng.normal(size=(n, 8)) / np.sqrt(8)
    W_enc[:, :n] = a.W_enc[:, :n] + noise * rng.normal(size=(8, n)) / np.sqrt(8)
    return a, planted_dictionary(d_sae=d_sae_b, seed=2, tensors={"W_dec": W_dec, "W_enc": W_enc}, **changes)


def dense_cosines(a, b, side):
    one, other = ((d.W_dec if side == "decoder" else d.W_enc.T).astype(float) for d in (a, b))
    lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
    return np.divide(one @ other.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)


def dense_similarity(a, b, similarity):
    if similarity != "both":
        return dense_cosines(a, b, similarity)
    return np.sqrt(np.prod([np.maximum(0, dense_cosines(a, b, side)) for side in ("decoder", "encoder")], axis=0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_permuted_and_rescaled_copy_matches_in_full_and_gives_the_permutation_back(similarity, method):
    a = planted_dictionary(d_sae=30)
    b, order = permuted_copy(a)
    found = match(compare(a, b), similarity, method)
    assert order[found.b].tolist() == found.a.tolist() == list(range(30))
    np.testing.assert_allclose(found.score, 1, atol=1e-6)
    numbers = pair_numbers(compare(a, b), similarity)
    assert [numbers[name] for name in PERFECT] == pytest.approx([1] * len(PERFECT))
    assert numbers["mean_alignment"] == pytest.approx(1)


@pytest.mark.parametrize("sizes", [(30, 40), (40, 30), (35, 35)])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_with_all_pairs_as_candidates_the_total_is_a_dense_solvers(similarity, sizes):
    from scipy.optimize import linear_sum_assignment

    a, b = related(*sizes)
    found = match(compare(a, b, k=max(sizes)), similarity)
    dense = np.maximum(0, dense_similarity(a, b, similarity))
    np.testing.assert_allclose(found.score, dense[found.a, found.b], atol=1e-6)
    assert found.score.sum() == pytest.approx(dense[linear_sum_assignment(dense, maximize=True)].sum(), abs=1e-5)
    for side in ("decoder", "encoder"):
        np.testing.assert_allclose(getattr(found, side), dense_cosines(a, b, side)[found.a, found.b], atol=1e-6)
    assert pair_numbers(compare(a, b, k=40), similarity)["pw_mcc"] == pytest.approx(found.score.sum() / min(sizes))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_one_to_one_is_never_below_greedy_and_mutual_pairs_are_pairs_of_first_choices(similarity):
    a, b = related(noise=2.0)
    found = {method: match(compare(a, b, k=4), similarity, method) for method in METHODS}
    assert found["one-to-one"].score.sum() >= found["greedy"].score.sum() >= found["mutual"].score.sum()
    dense = dense_similarity(a, b, similarity)
    assert dense[found["mutual"].a].argmax(axis=1).tolist() == found["mutual"].b.tolist()
    assert dense[:, found["mutual"].b].argmax(axis=0).tolist() == found["mutual"].a.tolist()


def test_candidates_are_the_pairs_in_any_list_and_for_both_sides_in_any_of_four():
    a, b = related()
    comparison = compare(a, b, k=3)

    def listed(side):
        dense = dense_cosines(a, b, side)
        there = {(i, j) for i in range(30) for j in np.argsort(-dense[i])[:3].tolist()}
        return there | {(i, j) for j in range(40) for i in np.argsort(-dense[:, j])[:3].tolist()}

    expected = {
        "decoder": listed("decoder"),
        "encoder": listed("encoder"),
        "both": listed("decoder") | listed("encoder"),
    }
    for similarity, pairs in expected.items():
        edges, dense = candidates(comparison, similarity), dense_similarity(a, b, similarity)
        assert list(zip(edges.a, edges.b, strict=True)) == sorted(pair for pair in pairs if dense[pair] > 0)
        np.testing.assert_allclose(edges.score, dense[edges.a, edges.b], atol=1e-6)


def test_what_is_left_out_brings_no_other_pair_among_the_candidates():
    a, b = (Weights.of(dictionary) for dictionary in related())
    damaged = Weights(a.decoder.copy(), a.encoder.copy())
    damaged.decoder[5:9], damaged.encoder[5:9] = np.nan, np.nan
    comparison = compare_weights(damaged, b, k=2)
    listed = set()
    for found in (comparison.decoder, comparison.encoder):
        listed |= {(i, j) for i, row in enumerate(found.a_in_b_idx.tolist()) for j in row}
        listed |= {(i, j) for j, row in enumerate(found.b_in_a_idx.tolist()) for i in row}
    edges = candidates(comparison, "both")
    assert set(zip(edges.a.tolist(), edges.b.tolist(), strict=True)) <= listed


def test_the_best_similarities_are_the_largest_of_all_pairs():
    a, b = related()
    for similarity in SIMILARITIES:
        dense = dense_similarity(a, b, similarity)
        for k in (1, 40):
            found = nearest(compare(a, b, k=k), similarity)
            for axis, best, place in ((1, found.a, found.of_a), (0, found.b, found.of_b)):
                np.testing.assert_allclose(best, dense.max(axis=axis), atol=1e-6)
                assert np.where(best > 0, place, 0).tolist() == np.where(best > 0, dense.argmax(axis=axis), 0).tolist()


def test_shared_pairs_are_those_both_matchings_make_with_both_cosines_over_the_threshold():
    a, b = related(noise=1.2)
    comparison = compare(a, b)
    by = {side: match(comparison, side) for side in ("decoder", "encoder")}
    pairs = {side: set(zip(found.a.tolist(), found.b.tolist(), strict=True)) for side, found in by.items()}
    cosines = {side: dense_cosines(a, b, side) for side in by}
    at = by["decoder"]
    for threshold in (0.6, 0.7, 0.9, 0.8):
        both_over = set(zip(*np.where(np.minimum(*cosines.values()) > threshold), strict=True))
        expected = both_over & pairs["decoder"] & pairs["encoder"]
        found = shared(by["decoder"], by["encoder"], threshold=threshold)
        assert set(zip(at.a[found].tolist(), at.b[found].tolist(), strict=True)) == expected
    assert 0 < len(expected) < len(pairs["decoder"] & pairs["encoder"])
    numbers = pair_numbers(comparison, threshold=0.8)
    assert numbers["shared"] == pytest.approx(len(expected) / 30)
    agreeing = pairs["decoder"] & pairs["encoder"]
    assert numbers["mean_alignment"] == pytest.approx(
        np.mean([(cosines["decoder"][pair] + cosines["encoder"][pair]) / 2 for pair in agreeing]), abs=1e-6
    )


@pytest.mark.filterwarnings("ignore:overflow")
def test_features_without_a_direction_on_one_side_are_left_out():
    a, b = related()
    W_dec, W_enc = b.W_dec.copy(), b.W_enc.copy()
    W_dec[[3, 7]], W_enc[:, [5, 7]] = 0, 0
    b = planted_dictionary(d_sae=40, tensors={"W_dec": W_dec, "W_enc": W_enc})
    comparison = compare(a, b, k=40)
    for similarity in SIMILARITIES:
        found = match(comparison, similarity)
        assert found.left_out_b.tolist() == [3, 5, 7]
        assert not {3, 5, 7} & set(found.b.tolist())
        everyone = np.concatenate([found.b, found.unmatched_b, found.left_out_b])
        assert sorted(everyone.tolist()) == list(range(40))
        near = nearest(comparison, similarity)
        assert np.flatnonzero(np.isnan(near.b)).tolist() == [3, 5, 7]
        assert near.of_b[[3, 5, 7]].tolist() == [-1, -1, -1]
    assert all(value is not None and np.isfinite(value) for value in pair_numbers(comparison).values())


@pytest.mark.parametrize("swapped", [False, True])
def test_one_feature_against_many_matches_the_most_similar(swapped):
    one, many = planted_dictionary(d_sae=1, seed=4), planted_dictionary(d_sae=3000, seed=5)
    a, b = (many, one) if swapped else (one, many)
    best = dense_cosines(one, many, "decoder").argmax()
    found = match(compare(a, b))
    assert (found.b, found.a)[swapped].tolist() == [best]
    assert len(found.unmatched_a) + len(found.unmatched_b) == 2999


def test_a_planted_tree_of_splits_and_a_merge_is_found():
    # Features 0, 1, 2 of A become 0; 1, 2, 3; and, with 3 of A, the one feature 4 of B. Feature 5 of B is new.
    eye = np.eye(8, dtype=np.float32)
    W_dec = np.array([eye[0], *(eye[1] + 0.4 * eye[i] for i in (4, 5, 6)), eye[2] + eye[3], eye[7]])
    a = planted_dictionary(d_sae=4, tensors={"W_dec": eye[:4]})
    b = planted_dictionary(d_sae=6, tensors={"W_dec": W_dec})
    found = compare(a, b).decoder
    ways = (found.b_in_a_cos, found.b_in_a_idx, found.a_in_b_cos, found.a_in_b_idx)
    relation = relate(*(values[:, 0] for values in ways))
    assert [LABELS[i] for i in relation.label] == ["reconstruction", "split", "split", "split", "merged", "novel"]
    assert [relation.children(i).tolist() for i in range(4)] == [[0], [1, 2, 3], [4], []]
    assert relation.siblings.tolist() == [0, 2, 2, 2, 0, 0]
    assert relation.counts == {"novel": 1, "reconstruction": 1, "split": 3, "merged": 1}
    back = relate(*(values[:, 0] for values in ways[2:] + ways[:2]))
    assert [LABELS[i] for i in back.label] == ["reconstruction", "merged", "split", "split"]
    for parent in (-1, 4):
        with pytest.raises(OutOfRangeError, match=f"Feature {parent} does not exist"):
            relation.children(parent)


def test_features_left_out_have_no_label():
    nan, none = np.array([np.nan, 0.9]), np.array([-1, 0])
    relation = relate(nan, none, np.array([0.9]), np.array([1]))
    assert isinstance(relation, Relation)
    assert relation.label.tolist() == [-1, LABELS.index("reconstruction")]
    assert sum(relation.counts.values()) == 1


@pytest.mark.filterwarnings("ignore:overflow")
def test_input_dimensions_are_compared_over_the_features_both_have():
    a = planted_dictionary(d_sae=12, seed=1)
    W_dec = a.W_dec[:, [3, 0, 1, 2, 4, 5, 6, 7]].copy()
    W_enc = a.W_enc.copy()
    W_dec[5], W_enc[:, 5] = 0, 1000  # left out: it points nowhere
    b = planted_dictionary(d_sae=12, seed=1, tensors={"W_dec": W_dec, "W_enc": W_enc})
    found = nearest_neurons(a, b, "decoder")
    assert found.a_in_b_idx[:, 0].tolist() == [1, 2, 3, 0, 4, 5, 6, 7]
    assert found.a_in_b_cos.shape == (8, 4)
    np.testing.assert_allclose(found.a_in_b_cos[:, 0], 1, atol=1e-6)
    with pytest.raises(DoesNotFitError, match=r"has 12 features, .* 13: dimensions have no cosine"):
        nearest_neurons(a, planted_dictionary(d_sae=13), "decoder")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_in": 6}, "decoder directions of width 8, .* width 6"),
        ({"metadata": {"model_name": "other"}}, "belongs to planted, .* belongs to other"),
        ({"hook_name": "blocks.0.attn.hook_z"}, r"writes to the residual stream, .*hook_z"),
    ],
)
def test_dictionaries_of_different_spaces_are_not_compared(changes, message):
    with pytest.raises(DoesNotFitError, match=message):
        compare(planted_dictionary(), planted_dictionary(seed=1, **changes))


def test_one_dictionary_given_twice_is_told_from_two_and_pointed_to_the_control():
    with pytest.raises(SameDictionaryError, match=r"are one dictionary, .* look at the control"):
        compare(planted_dictionary(), planted_dictionary(title="again"))


@pytest.mark.filterwarnings("ignore:overflow")
def test_settings_that_make_no_sense_and_dictionaries_without_a_sound_feature_are_explained():
    a, b = related()
    with pytest.raises(BadSettingError, match="0 candidates for each feature"):
        compare(a, b, k=0)
    damaged = planted_dictionary(tensors={"W_dec": np.zeros((12, 8))})
    with pytest.raises(DoesNotFitError, match="Every feature of one of the dictionaries has a decoder row or an"):
        compare(a, damaged)


def test_differences_in_what_the_dictionaries_saw_are_named():
    a, b = related()
    assert differences(a, b) == ()
    other = planted_dictionary(seed=3, normalize_activations="layer_norm", apply_b_dec_to_input=False, title="other")
    found = differences(a, other)
    assert [text.partition(":")[0] for text in found] == ["input normalisation", "b_dec subtracted from the input"]
    assert "planted standard none, other layer_norm" in found[0]
    assert "planted standard yes, other no" in found[1]


def test_centring_is_named_as_a_difference():
    a, b = related()
    b.config = dataclasses.replace(b.config, center_writing_weights=True)
    assert differences(a, b)[0].startswith("the model's writing weights centred: planted standard no")


def test_a_matching_is_stored_and_found_again(tmp_path):
    a, b = related()
    found = match(compare(a, b), "both")
    key = Matching.key(a.sha256, b.sha256, "both", "one-to-one", 20)
    ArtifactStore(tmp_path).save(found, key)
    again = ArtifactStore(tmp_path).load(Matching, key)
    for field in dataclasses.fields(Matching):
        assert np.array_equal(getattr(again, field.name), getattr(found, field.name))
    others = [("decoder", "one-to-one", 20), ("both", "greedy", 20), ("both", "one-to-one", 50)]
    assert key not in {Matching.key(a.sha256, b.sha256, *settings) for settings in others}


def test_the_same_dictionaries_give_the_same_bits_whatever_the_workers():
    a, b = related(300, 250)
    one, other = (match(compare(a, b, workers=workers), "both") for workers in (1, 3))
    assert one.score.tobytes() == other.score.tobytes()
    assert (one.a.tobytes(), one.b.tobytes()) == (other.a.tobytes(), other.b.tobytes())


def test_a_comparison_that_is_not_wanted_any_more_stops():
    class Stop:
        def __init__(self, at):
            self.at = at

        def note(self, text):
            self.text = text

        def update(self, done, total):
            assert 0 < done <= total
            if self.text == self.at:
                raise CancelledError("stopped")

    a, b = related()
    with pytest.raises(CancelledError):
        compare(a, b, progress=Stop("nearest by encoder"))
    with pytest.raises(CancelledError):
        match(compare(a, b), "both", progress=Stop("matching by both, one-to-one"))


def test_the_demos_second_data_set_shares_what_a_dense_solver_finds_over_all_pairs():
    from scipy.optimize import linear_sum_assignment

    a, b = (load_dictionary(f"demo/layer2-standard-2048{end}") for end in ("", "-prose"))
    partner = {}
    for side in ("decoder", "encoder"):
        dense = np.maximum(0, dense_cosines(a, b, side))
        partner[side] = linear_sum_assignment(dense, maximize=True)[1]
        scores = dense[np.arange(2048), partner[side]]
        numbers = pair_numbers(compare(a, b), side)
        assert numbers["pw_mcc"] == pytest.approx(scores.mean(), abs=1e-7)
        assert numbers["one_to_one_ratio"] == np.mean(scores > 0.7)
        assert numbers["agreeing"] == pytest.approx(0.585, abs=5e-4)
    assert np.mean(partner["decoder"] == partner["encoder"]) == numbers["agreeing"]


def test_two_seeds_of_the_demo_share_far_more_than_chance_and_more_than_two_data_sets():
    from core.matching.null import shuffled

    base, seed, data = (load_dictionary(f"demo/layer2-standard-2048{end}") for end in ("", "-seed1", "-prose"))
    by_seed, by_data = (compare(base, other, k=5) for other in (seed, data))
    chance = compare_weights(by_seed.a, shuffled(by_seed.b), k=5)
    ratio = [pair_numbers(comparison)["shared"] for comparison in (by_seed, by_data, chance)]
    assert ratio[0] > ratio[1] > 10 * ratio[2]
    assert ratio[0] > 0.5


@pytest.mark.parametrize("side", ["W_dec", "W_enc"])
def test_a_cosine_of_exactly_the_threshold_is_not_over_it(side):
    one, other = np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]])
    a = planted_dictionary(d_in=2, d_sae=1, tensors={"W_dec": one, "W_enc": one.T}, fold_decoder_norms=False)
    rows = {"W_dec": one, "W_enc": one} | {side: other}
    rows["W_enc"] = rows["W_enc"].T
    comparison = compare(a, planted_dictionary(d_in=2, d_sae=1, tensors=rows, fold_decoder_norms=False), k=1)
    similarity = "decoder" if side == "W_dec" else "encoder"
    assert match(comparison, similarity).score.tolist() == [np.float32(0.6)]
    both = match(comparison), match(comparison, "encoder")
    cos, nearest_one = np.array([0.6], np.float32), np.zeros(1, np.int32)
    for threshold, over in ((0.6, False), (0.599, True)):
        assert shared(*both, threshold=threshold).tolist() == [over]
        assert pair_numbers(comparison, similarity, threshold=threshold)["one_to_one_ratio"] == over
        relation = relate(cos, nearest_one, cos, nearest_one, threshold=threshold)
        assert (relation.parent[0] >= 0, relation.merged_from[0]) == (over, over)
