"""Many dictionaries: ratios of all pairs, pairs that differ in one label, and the overlap of three."""

import numpy as np
import pytest

from core.catalogue import STATISTICS
from core.errors import CancelledError
from core.geometry.neighbors import Between, nearest_between
from core.matching.matrix import (
    FACTORS,
    factor_pairs,
    factor_table,
    match_matrix,
    matrix_table,
    nearest_pair,
    turned,
    without_implied_k,
)
from core.matching.overlap import ALL, ALL_OPEN, REGIONS, overlap_table, partners
from core.work.artifacts import ArtifactStore
from demo.settings import DICTIONARIES_DIR
from tests.doubles.planted import planted_dictionary
from tests.doubles.watched import Watched


def rows(dictionary, side):
    found = (dictionary.W_dec if side == "decoder" else dictionary.W_enc.T).astype(float)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def three_dictionaries():
    """The second holds half of the first, the third is another."""
    a = planted_dictionary(d_sae=10, seed=1)
    W_dec = planted_dictionary(d_sae=14, seed=2).W_dec.copy()
    W_dec[:5] = a.W_dec[:5]
    return [a, planted_dictionary(d_sae=14, seed=2, tensors={"W_dec": W_dec}), planted_dictionary(d_sae=12, seed=3)]


@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_every_cell_is_a_double_loops_with_the_control_on_the_diagonal(side):
    found = three_dictionaries()
    matrix = match_matrix(found, side)
    table = matrix_table(matrix, "abc", threshold=0.7)
    for i, a in enumerate(found):
        for j, b in enumerate(found):
            cos = rows(a, side) @ rows(b, side).T
            if i == j:
                np.fill_diagonal(cos, -1)
            cell = table.iloc[3 * i + j]
            assert (cell["matched_from"], cell["matched_to"]) == ("abc"[i], "abc"[j])
            assert cell["matching_ratio"] == pytest.approx((cos.max(axis=1) > 0.7).mean())
            assert cell["mmcs"] == pytest.approx(cos.max(axis=1).mean(), abs=1e-6)
    if side == "decoder":
        assert table.loc[1, "matching_ratio"] >= 0.5
    assert set(table.columns) <= set(STATISTICS)


def test_chance_beside_a_ratio_is_that_of_as_many_random_directions():
    wide = [planted_dictionary(d_sae=n, seed=n) for n in (400, 300)]
    matrix = match_matrix(wide)
    table = matrix_table(matrix, "ab", threshold=0.8)
    np.testing.assert_allclose(table["matching_ratio"], table["random_ratio"], atol=0.08)


def test_pairs_without_a_common_space_have_no_cell_and_are_named():
    found = [planted_dictionary(), planted_dictionary(hook_name="blocks.0.attn.hook_z", title="elsewhere")]
    matrix = match_matrix([*found, planted_dictionary(d_sae=1)])
    assert np.isnan(matrix.mmcs).tolist() == [[False, True, False], [True, False, True], [False, True, True]]
    assert len(matrix.refused) == 2
    assert "elsewhere" in matrix.refused[0]


def test_a_pair_is_kept_once_in_whatever_order_it_is_asked_for(tmp_path):
    a, b, _ = three_dictionaries()
    store = ArtifactStore(tmp_path)
    one, other = nearest_pair(a, b, "decoder", store=store), nearest_pair(b, a, "decoder", store=store)
    assert len(list(tmp_path.iterdir())) == 1
    for name in vars(one):
        np.testing.assert_array_equal(getattr(one, name), getattr(turned(other), name))
    np.testing.assert_array_equal(one.a_in_b_idx, nearest_between(a.W_dec, b.W_dec, k=1).a_in_b_idx)
    first = match_matrix([a, b], store=store)
    np.testing.assert_array_equal(first.ratio, match_matrix([a, b]).ratio)


def test_a_matrix_can_be_stopped():

    with pytest.raises(CancelledError):
        match_matrix(three_dictionaries(), progress=Watched(stop_at_report=1))


def test_pairs_that_differ_in_one_label_are_found_and_no_others():
    base = {"seed": 0, "type": "standard", "width": 8, "layer": 1}
    labels = [base, base | {"seed": 1}, base | {"type": "topk", "k": 4}, base | {"width": 16}, {}, base]
    labels.append(base | {"width": 16, "note": "x"})
    labels.append({name: value for name, value in base.items() if name != "seed"})
    assert factor_pairs(labels) == [
        ("seed", 0, 1),
        ("width", 0, 3),
        ("width", 0, 6),
        ("seed", 1, 5),
        ("width", 3, 5),
        ("width", 5, 6),
    ]


def test_a_k_that_only_another_type_brings_is_no_second_difference():
    base = {"type": "standard", "width": 8}
    topk = base | {"type": "topk", "k": 4}
    assert factor_pairs(without_implied_k([base, topk])) == [("type", 0, 1)]
    assert factor_pairs(without_implied_k([base, topk, topk | {"k": 8}])) == [("k", 1, 2)]


def test_bars_hold_each_pair_both_ways_in_the_order_of_the_factors():
    found = three_dictionaries()
    labels = [{"seed": 0, "width": 10}, {"seed": 0, "width": 14}, {"seed": 1, "width": 10}]
    matrix = match_matrix(found)
    table = factor_table(matrix, "abc", labels, threshold=0.7)
    assert table["match_factor"].tolist() == ["seed", "seed", "width", "width"]
    assert table["factor_change"].tolist() == ["0 → 1", "1 → 0", "10 → 14", "14 → 10"]
    assert table["matched_from"].tolist() == ["a", "c", "a", "b"]
    assert table["matching_ratio"].tolist() == [matrix.ratio[i, j, 70] for i, j in ((0, 2), (2, 0), (0, 1), (1, 0))]
    assert set(table.columns) <= set(STATISTICS)
    assert FACTORS[0] == "seed"
    assert factor_table(matrix, "abc", [{}, {}, {}], threshold=0.7).empty


def test_three_planted_dictionaries_overlap_as_planted():
    eye = np.eye(12, dtype=np.float32)
    a, b, c = eye[[0, 1, 2, 3, 4]], eye[[0, 1, 5, 6]], eye[[1, 2, 0, 6, 7, 8]]
    betweens = [nearest_between(one, other, k=1) for one, other in ((a, b), (a, c), (b, c))]
    table = overlap_table(*betweens, ["x", "y", "z"], threshold=0.7)
    counts = {
        (title, region): count
        for title, region, count in table[["dictionary", "overlap_region", "overlap_features"]].to_numpy()
        if count
    }
    assert counts == {
        ("x", "A alone"): 2,
        ("x", "A and C"): 1,
        ("x", ALL): 2,
        ("y", "B alone"): 1,
        ("y", "B and C"): 1,
        ("y", ALL): 2,
        ("z", "A and C"): 1,
        ("z", "B and C"): 1,
        ("z", ALL): 2,
        ("z", "C alone"): 2,
    }
    assert table.groupby("dictionary")["overlap_share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert set(table["overlap_region"]) <= set(REGIONS)
    assert set(table.columns) <= set(STATISTICS)


def between(a_in_b, b_in_a):
    cos = [np.full((len(idx), 1), 0.9, np.float32) for idx in (a_in_b, b_in_a)]
    idx = [np.array(idx, np.int32)[:, None] for idx in (a_in_b, b_in_a)]
    return Between(cos[0], idx[0], cos[1], idx[1])


def test_partners_are_mutual_and_over_the_threshold():
    found = between([0, 0, -1], [0, 1])
    assert partners(found, threshold=0.7).tolist() == [0, -1, -1]
    assert partners(found, threshold=0.95).tolist() == [-1, -1, -1]


def test_partners_in_both_that_are_not_each_others_leave_the_overlap_open():
    table = overlap_table(between([0], [0]), between([0], [0]), between([1], [0, 0]), "xyz", threshold=0.7)
    own = table[(table["dictionary"] == "x") & (table["overlap_features"] > 0)]
    assert own["overlap_region"].tolist() == [ALL_OPEN]


@pytest.mark.skipif(not (DICTIONARIES_DIR / "index.json").exists(), reason="the demo is not trained")
def test_on_the_demo_another_seed_changes_less_than_other_data():
    from core.dictionaries.sources import open_dictionary
    from core.workspace import Workspace

    names = ["layer2-standard-2048", "layer2-standard-2048-seed1", "layer2-standard-2048-prose"]
    found = [open_dictionary(f"demo/{name}", Workspace()) for name in names]
    table = factor_table(match_matrix(found), names, [item.origin.labels for item in found], threshold=0.7)
    mean = table.groupby("match_factor")["matching_ratio"].mean()
    assert mean["seed"] > mean["data"] > 10 * table["random_ratio"].max()
