"""Matching by activations against dense float64 doubles."""

import numpy as np
import pytest

from core.activations.pair_kernels import correlate
from core.activations.sparse import SparseActivations, check_shared_rows, read_activations
from core.activations.store import on_device
from core.activations.token_pass import activation_pass, open_store
from core.catalogue import STATISTICS
from core.devices.device import CPU, TORCH_CPU
from core.errors import BadSettingError, DoesNotFitError, OutOfRangeError
from core.matching import activations
from core.matching.activation_tables import WAYS, best_table, excess_table, matches_of, medians, with_decoder_cosines
from core.matching.activations import (
    ActivationMatch,
    MaskedEdges,
    masked_cosine_edges,
    masked_cosines,
    match_activations,
)
from core.matching.baselines import RotatedMatch, UnitMatch, match_rotated, match_units, mixtures
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, assert_same, dense, planted
from tests.doubles.planted import planted_dictionary, planted_model

HOOK = "blocks.0.hook_resid_pre"
RARE, CONSTANT, DEAD = 4, 5, 6


def sparse(f: np.ndarray) -> SparseActivations:
    """Take activations (token, feature) apart."""
    tokens, features = np.nonzero(f)
    ends = np.bincount(tokens, minlength=len(f)).cumsum()
    return SparseActivations(ends, features.astype(np.int32), f[tokens, features].astype(np.float32), f.shape[1])


def drawn(d_sae: int, seed: int, n_tokens: int = 60) -> np.ndarray:
    """Draw sparse activations, some negative; three features are rare, constant and dead."""
    rng = np.random.default_rng(seed)
    f = rng.normal(1, 1, (n_tokens, d_sae)) * (rng.random((n_tokens, d_sae)) < 0.4)
    f[:, RARE] = 0
    f[[3, 9], RARE] = 2
    f[:, CONSTANT], f[:, DEAD] = 1.7, 0
    return f.astype(np.float32)


def slow_correlations(x: np.ndarray, y: np.ndarray, least: int) -> np.ndarray:
    """All correlations in float64, NaN for what is left out."""
    found = np.full((x.shape[1], y.shape[1]), np.nan)
    for i, f in enumerate(x.T.astype(np.float64)):
        for j, g in enumerate(y.T.astype(np.float64)):
            if min(np.count_nonzero(f), np.count_nonzero(g)) >= least and f.std() > 1e-9 and g.std() > 1e-9:
                found[i, j] = np.corrcoef(f, g)[0, 1]
    return found


def small_blocks(monkeypatch, device, rows: int, products: int) -> None:
    """Let a device work on so many features of A, and make so many products, at a time."""
    if device.runs_kernels:
        monkeypatch.setattr("core.matching.on_device.rows_that_fit", lambda *args, **how: rows)
        monkeypatch.setattr("core.matching.on_device._PRODUCTS", products)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("least", [1, 2, 3])
def test_the_best_of_each_feature_are_those_of_a_dense_double(monkeypatch, workers, least, device):
    monkeypatch.setattr(activations, "_BLOCK", 2)
    small_blocks(monkeypatch, device, 2, 300)
    x, y = drawn(9, 1), drawn(70, 2)
    match = match_activations(sparse(x), sparse(y), k=4, least=least, workers=workers, device=device)
    slow = slow_correlations(x, y, least)
    for corr, idx, expected in (
        (match.a_in_b_corr, match.a_in_b_idx, slow),
        (match.b_in_a_corr, match.b_in_a_idx, slow.T),
    ):
        for row, numbers, true in zip(corr, idx, expected, strict=True):
            order = np.argsort(-true, kind="stable")[: np.isfinite(true).sum()][:4]
            assert numbers.tolist() == [*order, *[-1] * (4 - len(order))]
            np.testing.assert_allclose(row[: len(order)], true[order], atol=1e-6)
            assert np.isnan(row[len(order) :]).all()
    assert match.a_count.tolist() == np.count_nonzero(x, axis=0).tolist()
    assert (match.a_in_b_idx[RARE, 0] < 0) == (least == 3)
    assert (match.a_in_b_idx[[CONSTANT, DEAD], 0] < 0).all()


def test_a_permuted_and_rescaled_copy_gives_the_permutation_back(device):
    x, rng = drawn(30, 3), np.random.default_rng(0)
    order = rng.permutation(30)
    copy = sparse(x[:, order] * rng.uniform(0.1, 9, 30).astype(np.float32))
    match = match_activations(sparse(x), copy, least=3, device=device)
    left = [i for i in range(30) if i not in (RARE, CONSTANT, DEAD)]
    assert order[match.a_in_b_idx[left, 0]].tolist() == left
    np.testing.assert_allclose(match.a_in_b_corr[left, 0], 1, atol=1e-6)


@pytest.mark.parametrize("workers", [1, 4])
def test_of_equal_matches_the_lower_number_comes_first_on_both_sides(monkeypatch, workers, device):
    monkeypatch.setattr(activations, "_BLOCK", 1)
    small_blocks(monkeypatch, device, 7, 1000)
    x = drawn(8, 4)[:, [0] * 20]
    match = match_activations(sparse(x), sparse(x), k=3, least=1, workers=workers, device=device)
    assert match.a_in_b_idx.tolist() == match.b_in_a_idx.tolist() == [[0, 1, 2]] * 20


def test_a_worker_that_gets_features_out_of_order_still_prefers_the_lower_number():
    side = sparse(drawn(8, 4)[:, [0, 0]])
    inverse, scratch = side.inverse(1), np.full((3, 2), -np.inf)
    rows, columns = np.full((2, 1), 2.0), np.full((2, 1), -np.inf)  # no correlation gets into the rows
    row_ids, column_ids = np.full((2, 2, 1), -1, np.int32)
    for i in (1, 0):
        inputs = side.by_feature, side.moments[0], inverse, side.by_token, side.moments[0], inverse
        correlate(i, i + 1, *inputs, scratch, rows, row_ids, columns, column_ids)
    assert column_ids.tolist() == [[0], [0]]


def test_the_answer_does_not_depend_on_the_number_of_workers(monkeypatch):
    monkeypatch.setattr(activations, "_BLOCK", 1)
    a, b = sparse(drawn(20, 5)), sparse(drawn(25, 6))
    runs = [match_activations(a, b, k=5, least=1, workers=n) for n in (1, 2, 5)]
    assert_same(runs[0], runs[1])
    assert_same(runs[0], runs[2])
    turned = [match_rotated(a, b, least=1, workers=n) for n in (1, 3)]
    assert_same(*turned)


def test_correlations_far_from_zero_mean_keep_their_digits(device):
    rng = np.random.default_rng(7)
    x = (1000 + rng.normal(size=(400, 3))).astype(np.float32)
    match = match_activations(sparse(x), sparse(x), k=3, least=1, device=device)
    expected = -np.sort(-np.corrcoef(x.T.astype(np.float64)), axis=1)
    np.testing.assert_allclose(match.a_in_b_corr, expected, atol=1e-6)


@pytest.mark.parametrize(("rows", "products"), [(1, 50), (4, 10**6), (150, 1000)])
def test_a_device_finds_the_numbers_of_the_loops_whatever_its_blocks(monkeypatch, rows, products, device):
    rng = np.random.default_rng(11)
    sides = []
    for d_sae in (150, 130):
        f = rng.normal(size=(3000, d_sae)).astype(np.float32)
        keep = f > 1.9
        keep[:, 3], keep[:, 5] = False, rng.random(3000) < 0.002
        keep[:, 1], f[:, 1] = keep[:, 0], f[:, 0]  # two alike: ties
        sides.append(sparse(np.where(keep, f, 0)))
    expected = match_activations(*sides, k=10, least=10)
    small_blocks(monkeypatch, device, rows, products)
    assert_same(match_activations(*sides, k=10, least=10, device=device), expected)


def test_a_side_without_activations_and_one_shorter_than_k_match_nothing(device):
    nothing, two = np.zeros((60, 3), np.float32), drawn(8, 1)[:, :2]
    match = match_activations(sparse(nothing), sparse(two), k=4, least=1, device=device)
    assert match.a_in_b_idx.tolist() == [[-1] * 4] * 3
    assert match.b_in_a_idx.tolist() == [[-1] * 4] * 2
    match = match_activations(sparse(two), sparse(two), k=4, least=1, device=device)
    assert match.a_in_b_idx[:, [0, 2, 3]].tolist() == [[0, -1, -1], [1, -1, -1]]
    assert np.isnan(match.a_in_b_corr[:, 2:]).all()


def slow_masked(f: np.ndarray, g: np.ndarray) -> float:
    if not ((f != 0) & (g != 0)).any():
        return 0.0
    return max(f[on] @ g[on] / np.sqrt((f[on] @ f[on]) * (g[on] @ g[on])) for on in (f != 0, g != 0))


def test_masked_cosines_are_those_of_a_double_loop():
    x, y = drawn(9, 8).astype(np.float64), drawn(12, 9).astype(np.float64)
    a, b = sparse(x), sparse(y)
    expected = np.array([[slow_masked(a_i, b_j) for b_j in y.T] for a_i in x.T])
    for i in range(9):
        np.testing.assert_allclose(masked_cosines(a, b, i), expected[i], atol=1e-6)
    edges = masked_cosine_edges(a, b, edge=0.3, least=3, workers=2)
    keep = [[i for i in range(n) if i not in (RARE, CONSTANT, DEAD)] for n in (9, 12)]
    pairs = [(i, j) for i in keep[0] for j in keep[1] if expected[i, j] > 0.3]
    assert list(zip(edges.a.tolist(), edges.b.tolist(), strict=True)) == pairs
    assert len(pairs) > 3
    with pytest.raises(OutOfRangeError, match="Feature 9 does not exist"):
        masked_cosines(a, b, 9)


def test_the_parts_of_a_split_feature_are_joined_to_it_and_to_nothing_else():
    rng = np.random.default_rng(10)
    x, y = np.zeros((40, 2)), np.zeros((40, 4))
    x[:20, 0], x[20:, 1] = rng.uniform(1, 2, 20), rng.uniform(1, 2, 20)
    y[:8, 0], y[8:20, 1], y[20:, 2] = x[:8, 0], x[8:20, 0], x[20:, 1]
    y[::13, 3] = 0.01  # fires here and there
    edges = masked_cosine_edges(sparse(x), sparse(y), least=5)
    assert list(zip(edges.a.tolist(), edges.b.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 2)]
    np.testing.assert_allclose(edges.score, 1, atol=1e-6)


def test_a_rotated_basis_is_that_of_dense_mixtures():
    x, y = drawn(9, 11), drawn(41, 12)
    found = match_rotated(sparse(x), sparse(y), least=3, seed=5)
    assert found.n_mixtures == 38
    weights = np.concatenate([mixtures(41, start, 5) for start in (0, 32)], axis=1)[:, :38]
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), 1)
    slow = slow_correlations(x, y.astype(np.float64) @ weights, 3)
    kept = [i for i in range(9) if i not in (RARE, CONSTANT, DEAD)]
    np.testing.assert_allclose(found.a_best[kept], slow[kept].max(axis=1), atol=1e-6)
    assert np.isnan(found.a_best[[RARE, CONSTANT, DEAD]]).all()


@pytest.mark.parametrize("with_first", [True, False])
def test_units_of_two_models_are_correlated_as_in_a_double(tmp_path, monkeypatch, with_first):
    monkeypatch.setattr("core.models.batches.TOKENS_PER_RUN", 21)
    W_E = np.random.default_rng(3).normal(size=(257, 8))
    W_E[:, 2] = 4.0  # with positions of 0 there, a unit that never varies
    tensors = {"embed.W_E": W_E, "pos_embed.W_pos": np.zeros((12, 8))}
    models = [planted_model(tmp_path / "a", tensors=tensors), planted_model(tmp_path / "b", seed=9)]
    found = match_units(*((model, HOOK) for model in models), ROWS, with_first=with_first)
    first = 0 if with_first else 1
    x, y = (model.activations(ROWS, HOOK)[:, first:].reshape(-1, 8).astype(np.float64) for model in models)
    slow = slow_correlations(x, y, 0)
    others = [i for i in range(8) if i != 2]
    np.testing.assert_allclose(found.a_best[others], slow[others].max(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.b_best, slow[others].max(axis=0), atol=1e-6)
    assert np.isnan(found.a_best[2])
    assert found.n_tokens == len(x)


def test_units_are_correlated_on_the_tokens_that_count_alone(tmp_path):
    sides = [(planted_model(tmp_path / "a"), HOOK), (planted_model(tmp_path / "b", seed=9), HOOK)]
    left_out = (int(ROWS[0, 1]), *ROWS[1].tolist())  # of row 1 nothing is left
    found = match_units(*sides, ROWS, left_out=left_out)
    kept = ~np.isin(ROWS, left_out)
    x, y = (model.activations(ROWS, HOOK)[kept].astype(np.float64) for model, _ in sides)
    np.testing.assert_allclose(found.a_best, slow_correlations(x, y, 0).max(axis=1), atol=1e-6)
    assert found.n_tokens == kept.sum() < ROWS.size


def test_units_of_one_hook_of_one_model_are_not_set_against_themselves(tmp_path):
    model = planted_model(tmp_path)
    with pytest.raises(DoesNotFitError, match="each of its units would match itself"):
        match_units((model, HOOK), (model, HOOK), ROWS)


@pytest.mark.parametrize("with_first", [True, False])
def test_a_store_is_read_as_what_the_dictionary_gives(tmp_path, with_first):
    artifacts, model, dictionary = ArtifactStore(tmp_path / "cache"), planted_model(tmp_path), planted("abstopk")
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=3)
    found = read_activations(store, 12, with_first=with_first)
    expected = dense(dictionary, model)[:, 0 if with_first else 1 :].reshape(-1, 12)
    again = np.zeros_like(expected)
    again[np.repeat(np.arange(found.n_tokens), np.diff(found.ends, prepend=0)), found.features] = found.acts
    np.testing.assert_allclose(again, expected, atol=1e-5)
    feature_ends, tokens, values = found.by_feature
    for i, part in enumerate(np.split(np.arange(len(values)), feature_ends[:-1])):
        assert tokens[part].tolist() == np.flatnonzero(again[:, i]).tolist()
        assert values[part].tolist() == again[tokens[part], i].tolist()


def test_stores_of_other_rows_or_of_one_token_are_refused(tmp_path):
    model, dictionary = planted_model(tmp_path), planted("standard")
    a, b = (open_store(dictionary, model, rows, None) for rows in (ROWS, ROWS[:, ::-1]))
    with pytest.raises(DoesNotFitError, match="not on the same tokens"):
        check_shared_rows(a, b)
    single = open_store(dictionary, model, ROWS[:1, :2], None)
    check_shared_rows(single, single)
    with pytest.raises(DoesNotFitError, match="fewer than 2 tokens to correlate after position 0"):
        check_shared_rows(single, single, with_first=False)
    with pytest.raises(BadSettingError, match="0 matches"):
        match_activations(sparse(drawn(8, 1)), sparse(drawn(8, 2)), k=0)


def test_results_are_found_again_and_named_by_all_that_changes_them(tmp_path):
    artifacts, a, b = ArtifactStore(tmp_path), sparse(drawn(9, 1)), sparse(drawn(12, 2))
    results = [match_activations(a, b, least=1), masked_cosine_edges(a, b), match_rotated(a, b, least=1)]
    names = {"with_first": True, "left_out": (), "least": 1}
    keys = [cls.key("a", "b", "rows", **names) for cls in (ActivationMatch, MaskedEdges, RotatedMatch)]
    for result, key in zip(results, keys, strict=True):
        artifacts.save(result, key)
        assert_same(artifacts.load(type(result), key), result)
    others = [ActivationMatch.key("a", "b", "rows", **(names | other)) for other in ({"with_first": False}, {"k": 3})]
    counting = (ActivationMatch, MaskedEdges, RotatedMatch)
    others += [cls.key("a", "b", "rows", **(names | {"left_out": (0,)})) for cls in counting]
    others += [
        ActivationMatch.key("b", "a", "rows", **names),
        UnitMatch.key("a", "b", "rows", with_first=True, left_out=()),
    ]
    others += [UnitMatch.key("a", "b", "rows", with_first=True, left_out=(0,))]
    on_torch = "a", on_device("b", TORCH_CPU), "rows"
    others += [cls.key(*on_torch, **names) for cls in counting]
    assert len({*keys, *others}) == 14
    assert on_device("b", CPU) == "b"
    stored = [cls.key("a", "b", "r", with_first=True, left_out=()) for cls in (ActivationMatch, MaskedEdges)]
    assert stored == ["activation-match-v2-bd6b3afad4b354bb", "masked-edges-v2-49dd153bf3efe041"]


def test_tables_list_the_best_first_and_all_columns_are_declared(tmp_path):
    match = match_activations(sparse(drawn(9, 1)), sparse(drawn(12, 2)), k=3, least=3)
    dictionaries = planted_dictionary(d_sae=9), planted_dictionary(d_sae=12, seed=1)
    for way, (own, other) in zip(WAYS, (("feature_a", "feature_b"), ("feature_b", "feature_a")), strict=True):
        table = best_table(match, way)
        assert table["activation_correlation"].is_monotonic_decreasing
        first = matches_of(match, int(table[own][0]), way)
        assert first[other].tolist()[0] == table[other][0]
        assert first["match_rank"].tolist() == [1, 2, 3]
        cosines = with_decoder_cosines(table, *dictionaries)
        a, b = (d.W_dec[table[name]] for d, name in zip(dictionaries, ("feature_a", "feature_b"), strict=True))
        expected = [u @ v / np.linalg.norm(u) / np.linalg.norm(v) for u, v in zip(a, b, strict=True)]
        np.testing.assert_allclose(cosines["decoder_cosine"], expected, atol=1e-6)
    rotated = np.linspace(0, 1, 9)
    table = excess_table(match, rotated)
    difference = table["activation_correlation"] - rotated[table["feature_a"]]
    np.testing.assert_allclose(table["excess_correlation"], difference)
    names = [*table.columns, *first.columns, *cosines.columns]
    assert [name for name in names if name not in STATISTICS] == []
    assert matches_of(match, DEAD).empty
    assert medians({"x": np.array([np.nan, 1, 3, 2]), "none": np.array([np.nan])})["x"] == 2


def test_feature_0_is_a_match_like_any_other():
    x = drawn(9, 1)
    match = match_activations(sparse(x[:, ::-1]), sparse(x), k=9, least=1)
    assert (match.a_in_b_idx[8, 0], match.b_in_a_idx[8, 0]) == (0, 0)
    np.testing.assert_allclose((match.a_in_b_corr[8, 0], match.b_in_a_corr[8, 0]), 1, atol=1e-6)
    assert set(matches_of(match, 8)["feature_b"]) == {*range(9)} - {CONSTANT, DEAD}


def test_decoder_cosines_of_other_spaces_are_refused():
    match = match_activations(sparse(drawn(9, 1)), sparse(drawn(9, 2)), least=3)
    other = planted_dictionary(d_sae=9, hook_name="blocks.0.mlp.hook_post")
    with pytest.raises(DoesNotFitError, match="cannot be compared"):
        with_decoder_cosines(best_table(match), planted_dictionary(d_sae=9), other)


def test_a_match_with_feature_0_is_listed_like_any_other():
    corr, none = np.array([[0.9, -np.inf]], np.float32), np.array([[0, -1]], np.int32)
    count = np.array([5])
    match = ActivationMatch(corr, none, corr, none, count, count, n_tokens=9, least=1)
    for way in WAYS:
        assert best_table(match, way)[["feature_a", "feature_b"]].to_numpy().tolist() == [[0, 0]]
        assert matches_of(match, 0, way)["feature_b"].tolist() == [0]


def test_what_several_workers_found_is_merged_best_first_and_ties_by_number():
    parts = [activations._Best(2, 2), activations._Best(2, 2)]
    parts[0].corr[:], parts[0].idx[:] = [[0.9, 0.2], [0.5, 0.4]], [[7, 8], [4, 3]]
    parts[1].corr[:], parts[1].idx[:] = [[0.9, 0.3], [-np.inf, -np.inf]], [[2, 1], [-1, -1]]
    best = activations._merged(parts, 2)
    assert best.corr.tolist() == [[0.9, 0.9], [0.5, 0.4]]
    assert best.idx.tolist() == [[2, 7], [4, 3]]


def test_a_correlation_is_at_most_one_and_feature_0_is_a_match_like_any_other():
    best = activations._Best.of(np.array([[1 + 1e-9, -np.inf]]), np.array([[0, -1]], np.int32))
    corr, idx = best.finish()
    assert corr.tolist()[0][0] == 1
    assert np.isnan(corr[0, 1])
    assert idx.tolist() == [[0, -1]]
    assert activations._Best.of(np.array([[1.1]]), np.array([[0]], np.int32)).finish()[0] == 1


def test_an_edge_is_over_the_limit_and_between_features_that_are_active_often_enough():
    f = np.zeros((6, 3), np.float32)
    f[:4, 0], f[:2, 1], f[:4, 2] = 2, 2, 2
    g = sparse(f)
    found = masked_cosine_edges(g, g, edge=0.9, least=3)
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [(0, 0), (0, 2), (2, 0), (2, 2)]
    assert found.score.tolist() == [1, 1, 1, 1]
    assert masked_cosine_edges(g, g, edge=1.0, least=3).a.tolist() == []


def test_no_match_for_each_feature_is_refused():
    g = sparse(drawn(9, 1))
    assert match_activations(g, g, k=1).a_in_b_corr.shape == (9, 1)
    with pytest.raises(BadSettingError, match="0 matches for each feature"):
        match_activations(g, g, k=0)
