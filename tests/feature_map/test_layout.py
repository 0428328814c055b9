"""Feature maps: the same each time, true to their definitions, and honest about what they keep."""

import math
import re

import numpy as np
import pytest

from core.errors import BadSettingError, CancelledError, DoesNotFitError, UnknownNameError
from core.feature_map import umap_layout as feature_map_umap_layout
from core.feature_map.layout import Layout, LayoutSettings, layout, pca_layout, preservation
from core.feature_map.start import map_start
from core.feature_map.tsne_layout import distances
from core.feature_map.umap_layout import jittered, umap_layout, with_self
from core.geometry.neighbors import Neighbors, nearest_features
from core.maths.principal_axes import principal_axes
from core.maths.unit_rows import unit_rows
from core.work.artifacts import ArtifactStore
from tests.doubles.planted_directions import planted_clusters
from tests.doubles.watched import Watched

UMAP = {"n_neighbors": 8, "min_dist": 0.05, "seed": 3}


@pytest.fixture(scope="module")
def planted():
    """60 directions in 6 clusters, their neighbours, and a UMAP of them."""
    rows, label = planted_clusters(n_clusters=6, size=10, d=12)
    neighbors = nearest_features(rows, k=20)
    return rows, label, neighbors, layout(rows, neighbors, LayoutSettings(n_neighbors=8))


def test_a_umap_is_bitwise_the_same_for_the_same_seed_and_another_for_another(planted):
    rows, _, neighbors, first = planted
    again = layout(rows, neighbors, LayoutSettings(n_neighbors=8))
    assert again.x.tobytes() == first.x.tobytes()
    assert again.y.tobytes() == first.y.tobytes()
    other = layout(rows, neighbors, LayoutSettings(n_neighbors=8, seed=7))
    assert not np.array_equal(other.x, first.x)


def test_a_umap_puts_each_planted_cluster_together(planted):
    _, label, _, found = planted
    points = np.stack([found.x, found.y], axis=1)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(len(points)) * 1e9
    assert (label[distance.argmin(axis=1)] == label).all()
    assert found.mean_preservation > 0.6


def test_a_umap_is_umap_learns_own_from_the_exact_neighbours_and_searches_for_none(planted, umap_here, monkeypatch):
    """The same rows given to umap-learn directly, which looks for no neighbours of its own: its search is broken."""
    import umap

    def searched(*args, **kwargs):
        raise AssertionError("pynndescent was asked")

    monkeypatch.setattr("umap.umap_.NNDescent.__init__", searched)
    rows, _, neighbors, _ = planted
    found = layout(rows, neighbors, LayoutSettings(n_neighbors=8))
    knn = with_self(neighbors.idx[:, :7], neighbors.cos[:, :7])
    peer = umap.UMAP(
        metric="cosine",
        n_neighbors=8,
        min_dist=0.05,
        init=jittered(map_start(rows, 2), 42),
        random_state=42,
        n_jobs=1,
        precomputed_knn=knn,
        force_approximation_algorithm=True,
    ).fit_transform(unit_rows(rows).astype(np.float32))
    np.testing.assert_array_equal(peer[:, 0], found.x)
    np.testing.assert_array_equal(peer[:, 1], found.y)


def test_each_point_is_its_own_nearest_for_umap_learn():
    idx, distances = with_self(np.array([[1], [0]], np.int32), np.array([[0.75], [1.0000001]], np.float32))
    assert idx.tolist() == [[0, 1], [1, 0]]
    assert distances.tolist() == [[0, 0.25], [0, 0]]


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_a_start_is_the_principal_components_and_no_rounding_of_theirs_moves_it(scale):
    rows = planted_clusters(n_clusters=6, size=10, d=12)[0]
    rows = (np.eye(12)[0] + scale * unit_rows(rows, np.float64)).astype(np.float32)  # near each other, for 1e-4
    start, exact = map_start(rows, 4), principal_axes(rows, 4)
    assert np.abs(start - exact).max() <= np.abs(exact).max() / 2**12
    assert len(np.unique(start, axis=0)) == 60
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    again = principal_axes(rows.astype(np.float64) @ turned, 4)  # the same, rounded otherwise; signs may turn
    np.testing.assert_allclose(np.abs(again), np.abs(exact), atol=1e-6 * np.abs(exact).max())


def test_a_umap_is_compiled_for_no_processor_in_particular(planted, monkeypatch):
    rows, _, neighbors, first = planted
    monkeypatch.setenv("NUMBA_CPU_NAME", "nehalem")  # which has no fused multiply-add
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+sse4.2")
    again = layout(rows, neighbors, LayoutSettings(n_neighbors=8))
    assert again.x.tobytes() == first.x.tobytes()


def test_a_start_with_points_that_coincide_is_jittered_and_stays_where_it_was():
    start = jittered(np.zeros((5, 2), np.float32), seed=0)
    assert len(np.unique(start, axis=0)) == 5
    line = np.array([[1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(jittered(line, seed=0), line, atol=1e-3)


def test_a_umap_counts_its_epochs_and_ends_its_process_when_it_is_cancelled(planted, capfd):
    rows, _, neighbors, _ = planted
    progress = Watched(stop_at_report=3)
    with pytest.raises(CancelledError):
        umap_layout(neighbors, rows[:, :2], **UMAP, progress=progress)
    assert capfd.readouterr() == ("", "")


def test_the_epochs_that_umap_learn_prints_are_counted(planted, capfd):
    rows, _, neighbors, _ = planted
    idx, cos = neighbors.idx[:, :7], neighbors.cos[:, :7]
    feature_map_umap_layout.fit({"idx": idx, "cos": cos, "start": rows[:, :2], **UMAP})
    assert re.findall(r"step (\d+) of (\d+)", capfd.readouterr().out)[-1] == ("500", "500")


def test_pca_equals_numpys_singular_vectors_with_the_sign_that_makes_the_largest_loading_positive():
    rows = np.random.default_rng(1).normal(size=(40, 7)) * [5, 3, 1, 1, 1, 1, 1]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    loadings = np.linalg.svd(centred)[2][:2]
    for row in loadings:
        row *= np.sign(row[np.abs(row).argmax()])
    np.testing.assert_allclose(pca_layout(rows), centred @ loadings.T, atol=1e-5)


def test_pca_of_one_dimension_and_of_equal_rows_is_flat_and_finite():
    line = pca_layout(np.array([[1.0], [-2.0], [3.0]]))
    assert line[:, 1].tolist() == [0, 0, 0]
    assert line[0, 0] == line[2, 0] > 0 > line[1, 0]
    np.testing.assert_allclose(pca_layout(np.ones((5, 3))), 0, atol=1e-6)


def test_preservation_equals_a_double_loop(planted):
    rows, _, neighbors, _ = planted
    x, y = np.random.default_rng(2).normal(size=(2, len(rows)))
    found = preservation(neighbors, x, y, k=5)
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i]
        near = sorted(others, key=lambda j: math.dist((x[i], y[i]), (x[j], y[j])))[:5]
        assert found[i] == pytest.approx(len(set(near) & set(neighbors.idx[i, :5].tolist())) / 5)


def test_preservation_takes_exactly_k_other_points_where_all_coincide():
    # Each feature has 4 others; over the four ways of naming 3 of them near, 3 of 4 points must be kept on average.
    kept = []
    for skipped in range(4):
        others = [[j for j in range(5) if j != i] for i in range(5)]
        idx = np.array([row[:skipped] + row[skipped + 1 :] for row in others], np.int32)
        neighbors = Neighbors(np.ones((5, 3), np.float32), idx, np.zeros(0, np.int32))
        kept.append(preservation(neighbors, np.zeros(5), np.zeros(5), k=3))
    np.testing.assert_allclose(np.mean(kept, axis=0), 0.75, atol=1e-6)


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_features_that_are_not_finite_are_left_off_the_map(method, planted, umap_here):
    rows = planted[0].copy()
    rows[4, 1], rows[9, 0] = np.nan, np.inf
    found = layout(rows, nearest_features(rows, k=20), LayoutSettings(method, n_neighbors=8))
    for values in (found.x, found.y, found.preservation):
        assert np.flatnonzero(~np.isfinite(values)).tolist() == [4, 9]
    assert 0 < found.mean_preservation <= 1


def test_equal_directions_and_zero_rows_still_make_a_finite_map(umap_here):
    rows = np.repeat(np.eye(3), 6, axis=0)
    rows[0] = 0
    near = nearest_features(rows, k=17, copies=False)
    found = layout(rows, near, LayoutSettings("pca"))
    assert np.isnan([found.x[0], found.y[0], found.preservation[0]]).all()
    assert np.isfinite([found.x[1:], found.y[1:]]).all()
    assert len(np.unique(np.stack([found.x, found.y])[:, 1:], axis=1).T) == 3


def test_copies_stand_where_the_first_stands_and_change_no_map(planted, umap_here):
    rows, _, near, _ = planted
    alone = layout(rows, near, LayoutSettings(n_neighbors=8))
    more = np.concatenate([rows, rows[[7] * 30], np.zeros((3, 12), np.float32)])
    found = layout(more, nearest_features(more, k=20, copies=False), LayoutSettings(n_neighbors=8))
    for name in ("x", "y", "preservation"):
        one, other = getattr(found, name), getattr(alone, name)
        assert np.array_equal(one[:60], other)
        assert np.array_equal(one[60:90], other[[7] * 30])
        assert np.isnan(one[90:]).all()


def test_too_few_features_for_the_settings_is_said_with_what_would_do():
    rows = np.random.default_rng(0).normal(size=(12, 4))
    neighbors = nearest_features(rows, k=11)
    with pytest.raises(DoesNotFitError, match=r"n_neighbors 15 needs 14 other features; 11 .* at most 12, or the PCA"):
        layout(rows, neighbors, LayoutSettings())
    with pytest.raises(DoesNotFitError, match="Perplexity 30 is too large for 12 features"):
        layout(rows, neighbors, LayoutSettings("tsne"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_neighbors": 1}, "n_neighbors 1 cannot be used: expected 2 to 101"),
        ({"min_dist": float("nan")}, "min_dist nan"),
        ({"perplexity": 50.0}, "perplexity 50.0 cannot be used: expected 1 to 33"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**32}, "seed 4294967296 cannot be used: expected 0 to 4,294,967,295"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, message):
    with pytest.raises(BadSettingError, match=message):
        LayoutSettings(**settings)


def test_unknown_methods_and_sides_are_named():
    with pytest.raises(UnknownNameError, match="no map called 'pacmap'"):
        LayoutSettings(method="pacmap")
    with pytest.raises(UnknownNameError, match="no side of a dictionary called 'left'"):
        LayoutSettings(side="left")


def test_only_the_settings_a_method_uses_name_its_result():
    key = Layout.key("a", settings=LayoutSettings("pca"))
    assert key == Layout.key("a", settings=LayoutSettings("pca", n_neighbors=30, seed=1))
    assert key != Layout.key("a", settings=LayoutSettings("pca", side="encoder"))
    assert Layout.key("a", settings=LayoutSettings()) != Layout.key("a", settings=LayoutSettings(min_dist=0.1))
    assert Layout.key("a", "b", settings=LayoutSettings()) != Layout.key("b", "a", settings=LayoutSettings())


def test_a_layout_is_stored_and_found_again(planted, tmp_path):
    key, store = Layout.key("a", settings=LayoutSettings()), ArtifactStore(tmp_path)
    store.save(planted[3], key)
    found = store.load(Layout, key)
    np.testing.assert_array_equal(found.preservation, planted[3].preservation)
    assert dict(found.settings) == LayoutSettings(n_neighbors=8).used()


def test_tsne_puts_near_features_together_and_leaves_others_off(planted):
    rows, label = planted[0].copy(), planted[1]
    rows[4] = np.nan
    found = layout(rows, nearest_features(rows, k=20), LayoutSettings("tsne", perplexity=6.0))
    assert np.flatnonzero(np.isnan(found.x)).tolist() == [4]
    inside = [np.nanstd(found.x[label == c]) + np.nanstd(found.y[label == c]) for c in range(6)]
    assert max(inside) < np.nanstd(found.x) + np.nanstd(found.y)
    assert found.mean_preservation > 0.6


def test_tsne_ends_its_process_when_it_is_cancelled(planted):
    rows, _, neighbors, _ = planted
    with pytest.raises(CancelledError):
        layout(rows, neighbors, LayoutSettings("tsne", perplexity=6.0), progress=Watched(stop_at_report=3))


def test_tsne_reads_the_distances_of_directions_at_length_1(planted):
    rows, _, neighbors, _ = planted
    unit = unit_rows(rows)
    found = distances(neighbors.idx[:, :4], neighbors.cos[:, :4])
    for i, j in ((0, neighbors.idx[0, 0]), (17, neighbors.idx[17, 3])):
        assert found[i, j] == pytest.approx(np.linalg.norm(unit[i] - unit[j]), abs=1e-4)
    assert found.indices.reshape(-1, 5)[:, 0].tolist() == list(range(len(rows)))


def test_a_map_needs_no_more_than_the_neighbours_given(umap_here):
    idx = np.array([[1], [0], [3], [2]], np.int32)
    pairs = Neighbors(np.full((4, 1), 0.9, np.float32), idx, np.zeros(0, np.int32))
    points = umap_layout(pairs, np.eye(4, 2, dtype=np.float32), n_neighbors=2, min_dist=0.05, seed=0)
    assert np.isfinite(points).all()


def test_on_a_map_of_few_features_all_others_are_compared():
    rows = np.array([[1, 0, 0], [1, 0.5, 0], [1, 0, 0.9], [0, 1, 1]], np.float32)
    near = nearest_features(rows, k=3)
    x, y = np.array([0, 9, 1, 5], np.float32), np.zeros(4, np.float32)  # each one's nearest is another on the map
    assert preservation(near, x, y).tolist() == [1, 1, 1, 1]
    assert preservation(near, x, y, k=1).tolist() != [1, 1, 1, 1]
