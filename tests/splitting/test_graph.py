"""Splitting: planted trees come back, counts and labels are those planted, siblings differ where they were made to."""

from itertools import pairwise

import numpy as np
import pytest

from core.catalogue import STATISTICS
from core.dictionaries.sources import Entry
from core.errors import DoesNotFitError, OutOfRangeError
from core.geometry.neighbors import nearest_between
from core.maths.assignment import Edges
from core.splitting.graph import (
    SplitGraph,
    check_series,
    cosine_links,
    edge_links,
    parent_links,
    placed,
    split_graph,
    wider_entries,
)
from core.splitting.siblings import Siblings, correlation_table, difference_cells, distinctive_table
from core.splitting.tables import became_table, children_table, edge_table, node_table, width_table
from tests.doubles.planted import planted_dictionary

D = 64
# Of four coarse features: 0 splits in two and one part in two again, 1 is kept, 2 vanishes, 3 splits in three.
MIDDLE = [0, 0, 1, 3, 3, 3]
WIDE = [0, 1, 1, 2, 3, 4, 5, 5]
TREE = {(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 1), (1, 1, 2)}


def planted_widths(noise=0.35, seed=0):
    """Directions of four coarse features, of six parts of them, and of eight parts of those with one new feature."""
    rng = np.random.default_rng(seed)

    def away(rows):
        step = rng.normal(size=rows.shape)
        return (rows + noise * step / np.linalg.norm(step, axis=1, keepdims=True)).astype(np.float32)

    coarse = np.eye(D, dtype=np.float32)[:4]
    middle = away(coarse[MIDDLE])
    new = np.eye(D, dtype=np.float32)[[40]]
    return coarse, middle, np.concatenate([away(middle[WIDE]), new])


def edges_of(graph: SplitGraph):
    return {
        (int(graph.level[start]), int(graph.feature[start]), int(graph.feature[end]))
        for start, end in zip(graph.start, graph.end, strict=True)
    }


def tree_steps(threshold=0.7):
    rows = planted_widths()
    return [parent_links(nearest_between(narrow, wide, k=1), threshold=threshold) for narrow, wide in pairwise(rows)]


def test_a_planted_tree_comes_back_from_each_of_its_roots():
    steps = tree_steps()
    assert edges_of(split_graph(0, steps)) == TREE
    assert edges_of(split_graph(1, steps)) == {(0, 1, 2), (1, 2, 3)}
    assert edges_of(split_graph(2, steps)) == set()
    assert edges_of(split_graph(3, steps)) == {
        (0, 3, 3),
        (0, 3, 4),
        (0, 3, 5),
        (1, 3, 4),
        (1, 4, 5),
        (1, 5, 6),
        (1, 5, 7),
    }


def test_links_by_all_cosines_are_those_of_a_double_loop_and_may_give_several_parents():
    rng = np.random.default_rng(1)
    narrow, wide = rng.normal(size=(5, 3)), rng.normal(size=(9, 3))
    narrow[3], wide[4], wide[5] = 0, np.nan, np.inf
    found = cosine_links(narrow, wide, threshold=0.3)(np.arange(5))
    expected = {}
    for i, u in enumerate(narrow):
        for j, v in enumerate(wide):
            cos = u @ v / (np.linalg.norm(u) * np.linalg.norm(v)) if i != 3 and j not in (4, 5) else 0
            if cos > 0.3:
                expected[i, j] = cos
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == list(expected)
    np.testing.assert_allclose(found.score, list(expected.values()), rtol=1e-6)
    graph = split_graph(0, [cosine_links(narrow, wide, threshold=0.3), cosine_links(wide, narrow, threshold=0.3)])
    assert max(np.bincount(graph.end)) > 1


def test_edges_from_elsewhere_make_a_graph_too():
    masked = Edges(np.array([1, 0, 0]), np.array([2, 2, 0]), np.array([0.5, 0.6, 0.3]), 2, 3)
    graph = split_graph(0, [edge_links(masked, threshold=0.4)])
    assert edges_of(graph) == {(0, 0, 2)}
    np.testing.assert_allclose(graph.score, [0.6], rtol=1e-6)


def test_of_too_many_children_the_most_similar_are_kept_and_the_others_counted():
    n = 10
    edges = Edges(np.zeros(n, int), np.arange(n), np.linspace(0.9, 0.5, n)[::-1].copy(), 1, n)
    graph = split_graph(0, [edge_links(edges, threshold=0.0)], most=3)
    assert graph.features(1).tolist() == [7, 8, 9]
    assert graph.left_off == (0, 7)


def test_a_level_is_drawn_in_the_order_of_its_parents():
    edges = Edges(np.array([0, 0]), np.array([0, 1]), np.array([0.9, 0.8]), 1, 2)
    crossed = Edges(np.array([0, 0, 1]), np.array([2, 1, 0]), np.array([0.9, 0.9, 0.9]), 2, 3)
    graph = split_graph(0, [edge_links(edges, threshold=0.0), edge_links(crossed, threshold=0.0)])
    height = placed(graph)
    assert height[graph.level == 0].tolist() == [0.5]
    assert height[graph.level == 1].tolist() == [0.25, 0.75]
    np.testing.assert_allclose(height[graph.level == 2], [5 / 6, 1 / 6, 3 / 6])


@pytest.mark.parametrize("feature", [-1, 4])
def test_a_feature_that_the_coarse_dictionary_does_not_have_is_refused(feature):
    coarse, middle, _ = planted_widths()
    for links in (tree_steps()[0], cosine_links(coarse, middle, threshold=0.7)):
        with pytest.raises(OutOfRangeError, match=f"Feature {feature} does not exist: expected .* 0 to 3"):
            split_graph(feature, [links])


def test_children_and_labels_are_counted_as_planted():
    coarse, middle, wide = planted_widths()
    betweens = {6: nearest_between(coarse, middle, k=1), 9: nearest_between(coarse, wide, k=1)}
    children = children_table(betweens, threshold=0.7)
    counts = {d_sae: group["n_children"].tolist() for d_sae, group in children.groupby("d_sae")}
    assert counts == {6: [2, 1, 0, 3], 9: [3, 1, 0, 4]}
    widths = width_table(betweens, D, threshold=0.7).set_index("d_sae")
    assert widths["mean_children"].tolist() == [1.5, 2]
    assert widths["most_children"].tolist() == [3, 4]
    assert widths.loc[6, ["childless_share", "single_child_share", "split_share"]].tolist() == [0.25, 0.25, 0.5]
    became = became_table(betweens, threshold=0.7)
    middle_labels = dict(became.loc[became["d_sae"] == 6, ["match_label", "labelled_features"]].to_numpy())
    assert middle_labels == {"novel": 0, "reconstruction": 1, "split": 5, "merged": 0}
    assert became.loc[(became["d_sae"] == 9) & (became["match_label"] == "novel"), "labelled_features"].tolist() == [1]
    assert became.groupby("d_sae")["labelled_share"].sum().tolist() == pytest.approx([1, 1])


def test_random_directions_have_as_many_children_as_the_closed_form_says():
    rng = np.random.default_rng(0)
    narrow, wide = (rng.normal(size=(n, 8)).astype(np.float32) for n in (40, 4000))
    table = width_table({4000: nearest_between(narrow, wide, k=1)}, 8, threshold=0.7)
    assert table["mean_children"][0] == pytest.approx(table["random_children"][0], rel=0.1)


def test_features_left_out_have_no_row_and_no_children():
    coarse, middle, _ = planted_widths()
    coarse[1], middle[0] = np.nan, np.inf
    table = children_table({6: nearest_between(coarse, middle, k=1)}, threshold=0.7)
    assert table["feature"].tolist() == [0, 2, 3]
    assert table["n_children"].tolist() == [1, 0, 3]


def test_every_column_of_the_tables_is_declared_but_those_for_drawing():
    coarse, middle, wide = planted_widths()
    betweens = {6: nearest_between(coarse, middle, k=1)}
    graph = split_graph(0, tree_steps())
    widths = [len(coarse), len(middle), len(wide)]
    siblings = Siblings(np.array([2, 5]), np.eye(2, 3, dtype=np.float32), np.arange(3))
    tables = [
        edge_table(graph, widths),
        node_table(graph, widths).drop(columns=["level", "height"]),
        children_table(betweens, threshold=0.7),
        width_table(betweens, D, threshold=0.7),
        became_table(betweens, threshold=0.7),
        distinctive_table(siblings, "abc"),
        difference_cells(siblings, "abc"),
        correlation_table(siblings),
    ]
    assert {name for table in tables for name in table.columns} <= set(STATISTICS)
    assert edge_table(graph, widths)["split_step"].unique().tolist() == ["4 → 6", "6 → 9"]


def test_siblings_are_told_apart_by_what_each_promotes_above_the_others():
    weights = np.array([[5, 0, 1, 9], [0, 4, 1, 9], [1, 1, 6, 9]], np.float32)  # all promote the last most
    siblings = Siblings(np.array([7, 3, 9]), weights, np.array([10, 11, 12, 13]))
    texts = [str(i) for i in range(10)] + ["a", "b", "c", "d"]
    for i in range(3):
        others = weights[[j for j in range(3) if j != i]].mean(axis=0)
        np.testing.assert_allclose(siblings.difference[i], weights[i] - others)
    table = distinctive_table(siblings, texts, k=1)
    assert table[["sibling", "token", "token_text"]].to_numpy().tolist() == [[7, 10, "a"], [3, 11, "b"], [9, 12, "c"]]
    ranked = distinctive_table(siblings, texts, k=2)
    assert ranked["sibling_rank"].tolist() == [1, 2] * 3
    cells = difference_cells(siblings, texts, k=1)
    assert cells["token"].tolist() == [10, 11, 12] * 3
    assert cells.loc[(cells["sibling"] == 9) & (cells["token"] == 12), "sibling_difference"].tolist() == [5]
    np.testing.assert_allclose(siblings.correlation, np.corrcoef(weights.astype(float)), atol=1e-12)


def test_a_sibling_that_promotes_nothing_has_no_correlation():
    siblings = Siblings(np.array([0, 1]), np.array([[1, 2], [3, 3]], np.float32), np.arange(2))
    assert siblings.correlation[0, 0] == pytest.approx(1)
    assert np.isnan(siblings.correlation[[0, 1, 1], [1, 0, 1]]).all()


def entry(name, d_sae, **changes):
    fields = {"hook_name": "h", "kind": "standard", "labels": {"width": d_sae or 0, "seed": 0}} | changes
    return Entry(id=f"demo/{name}", title=name, d_sae=d_sae, **fields)


def test_a_series_holds_what_differs_in_width_alone_and_the_picked_one():
    listed = [
        entry("wide", 32),
        entry("own", 8),
        entry("twin", 8),
        entry("middle", 16),
        entry("seed", 64, labels={"width": 64, "seed": 1}),
        entry("hook", 64, hook_name="other"),
        entry("kind", 64, kind="topk"),
        entry("unknown", None),
    ]
    assert [found.id for found in wider_entries(listed, "demo/own")] == ["demo/own", "demo/middle", "demo/wide"]
    assert wider_entries(listed, "demo/twin")[0].id == "demo/twin"
    assert wider_entries(listed, "demo/unknown") == []
    assert wider_entries(listed, "folder/x") == []


def test_a_series_that_does_not_widen_or_changes_its_place_is_refused():
    narrow, wide = planted_dictionary(d_sae=6, title="six"), planted_dictionary(d_sae=9, title="nine")
    check_series([narrow, wide])
    with pytest.raises(DoesNotFitError, match="six has 6 features, nine 9, so no feature can split"):
        check_series([wide, narrow])
    other = planted_dictionary(d_sae=9, hook_name="blocks.0.attn.hook_z")
    with pytest.raises(DoesNotFitError, match="cannot be compared"):
        check_series([narrow, other])
