"""Clusters of features: planted ones come back, numbered so that the list reads well."""

import numpy as np
import pytest

from core.catalogue import STATISTICS
from core.errors import BadSettingError
from core.feature_map.clusters import Clusters, cluster_table, find_clusters, medoids, members_of
from core.geometry.neighbors import nearest_features
from core.maths.unit_rows import unit_rows
from core.work.artifacts import ArtifactStore
from tests.doubles.planted_directions import planted_clusters

pytestmark = pytest.mark.usefixtures("umap_here")
_MADE = {}


@pytest.fixture
def planted(umap_here):
    """160 directions in 8 clusters, one of them NaN, and what is found; made once."""
    if not _MADE:
        _MADE["planted"] = _planted()
    return _MADE["planted"]


def _planted():
    rows, label = planted_clusters(n_clusters=8, size=20, d=24)
    rows[7] = np.nan
    neighbors = nearest_features(rows, k=30)
    return rows, label, neighbors, find_clusters(rows, neighbors)


def test_planted_clusters_come_back(planted):
    from sklearn.metrics import adjusted_rand_score

    _, label, _, found = planted
    assert found.count == 8
    assert adjusted_rand_score(label, found.label) > 0.9


def test_a_feature_that_is_not_finite_is_in_no_cluster(planted):
    assert planted[3].label[7] == -1


def test_clusters_are_bitwise_the_same_each_time(planted):
    rows, _, neighbors, found = planted
    again = find_clusters(rows, neighbors)
    assert again.label.tobytes() == found.label.tobytes()
    assert again.medoid.tobytes() == found.medoid.tobytes()


def test_a_medoid_is_the_member_with_the_largest_mean_cosine_by_a_double_loop(planted):
    rows, _, _, found = planted
    unit = unit_rows(rows).astype(np.float64)
    for cluster in range(found.count):
        members = np.flatnonzero(found.label == cluster)
        means = [np.mean([unit[i] @ unit[j] for j in members]) for i in members]
        assert found.medoid[cluster] == members[int(np.argmax(means))]


def test_similar_clusters_follow_each_other_in_the_list():
    # Eight clusters in four pairs: the two of a pair share most of their centre.
    rng = np.random.default_rng(0)
    pairs, own = np.eye(16)[:4], np.eye(16)[4:12]
    label = np.arange(160) % 8
    rows = pairs[label % 4] + 0.6 * own[label] + 0.02 * rng.normal(size=(160, 16))
    found = find_clusters(rows, nearest_features(rows, k=30))
    assert found.count == 8
    order = label[found.medoid] % 4
    assert (order[::2] == order[1::2]).all()


def test_members_are_listed_by_cluster_and_the_rest_left_out():
    label = np.array([1, -1, 0, 1, 0, -1])
    assert [found.tolist() for found in members_of(label)] == [[2, 4], [0, 3]]
    assert members_of(np.array([-1, -1])) == []
    assert medoids(np.array([-1, -1]), np.eye(2)).tolist() == []


def test_the_table_has_a_row_per_cluster_and_only_declared_columns(planted):
    found = planted[3]
    table = cluster_table(found)
    assert set(table.columns) <= set(STATISTICS)
    for row in table.itertuples():
        members = np.flatnonzero(found.label == row.cluster)
        assert row.cluster_size == len(members)
        assert row.features_in_cluster == " ".join(map(str, members))


def test_a_cluster_of_one_is_refused(planted):
    with pytest.raises(BadSettingError, match="Clusters of 1 cannot be found: expected at least 2"):
        find_clusters(planted[0], planted[2], min_cluster_size=1)


def test_clusters_are_stored_under_their_settings(planted, tmp_path):
    key, store = Clusters.key("a", "decoder"), ArtifactStore(tmp_path)
    store.save(planted[3], key)
    np.testing.assert_array_equal(store.load(Clusters, key).label, planted[3].label)
    others = [Clusters.key("a", "encoder"), Clusters.key("a", "decoder", seed=1)]
    others.append(Clusters.key("a", "decoder", min_cluster_size=5))
    assert len({key, *others}) == 4
