"""What is found on a map, and the neighbours listed beside it."""

import numpy as np
import pytest

from core.errors import BadSettingError
from core.feature_map.tables import search, true_neighbors
from core.geometry.neighbors import nearest_features

FEATURES = np.array([0, 1, 2, 3, 20, 21, 3])  # two dictionaries: the last row is feature 3 of the second
CLUSTERS = np.array([0, 0, 1, -1, 5, 5, 1])
TOKENS = [" the", "The", "cat", "7", "cluster 5", "", "\n"]


def found(text: str) -> list[int]:
    return np.flatnonzero(search(text, FEATURES, cluster=CLUSTERS, tokens=TOKENS)).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("3", [3, 6]),
        ("0, 2", [0, 2]),
        (" 1 20 ", [1, 4]),
        ("20-21", [4, 5]),
        ("0-1,21", [0, 1, 5]),
        ("2 - 3", [2, 3, 6]),
        ("0; 2\u20133; 20", [0, 2, 3, 4, 6]),  # an en dash
        ("[20, 21]", [4, 5]),
        ("()", []),
        ("99999999999999999999999", []),
        ("9" * 5000, []),  # more digits than Python turns into a number
        ("0-" + "9" * 5000, [0, 1, 2, 3, 4, 5, 6]),
        ("0" * 5000 + "2", [2]),
        ("cluster " + "9" * 5000, []),
        ("cluster 5", [4, 5]),
        ("CLUSTER  1", [2, 6]),
        ("cluster 77", []),
        ("the", [0, 1]),
        ("'7'", [3]),
        ('"cluster 5"', [4]),
        ("no such text", []),
        ("<b>", []),
    ],
)
def test_numbers_clusters_and_tokens_are_found(text, rows):
    assert found(text) == rows


def test_what_is_not_there_yet_is_named_with_how_to_get_it():
    with pytest.raises(BadSettingError, match="Compute them on the tab Clusters"):
        search("cluster 5", FEATURES)
    with pytest.raises(BadSettingError, match=r"'cat' cannot be found.*colour by kurtosis"):
        search("cat", FEATURES)


def test_neighbours_are_by_cosine_and_say_how_near_they_are_on_the_map():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 4)).astype(np.float32)
    rows[4] = 3 * rows[1]  # the same direction, elsewhere on the map
    rows[6] = 0
    x, y = rng.normal(size=(2, 9)).astype(np.float32)
    table = true_neighbors(rows, x, y, 1, k=6)
    cosines = {}
    for other in set(range(9)) - {1, 6}:  # a zero row has no direction
        lengths = float(np.linalg.norm(rows[1].astype(float)) * np.linalg.norm(rows[other].astype(float)))
        cosines[other] = float(rows[1].astype(float) @ rows[other].astype(float)) / lengths
    distances = {other: np.hypot(float(x[1]) - float(x[other]), float(y[1]) - float(y[other])) for other in cosines}
    assert table["row"].tolist() == sorted(cosines, key=lambda other: -cosines[other])[:6]
    assert table["neighbor_rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["neighbor_cosine"].tolist() == pytest.approx([cosines[other] for other in table["row"]], abs=1e-6)
    by_distance = sorted(distances, key=distances.get)
    assert table["map_rank"].tolist() == [by_distance.index(other) + 1 for other in table["row"]]


def test_rows_that_are_not_finite_are_nobodys_neighbours_and_have_none():
    rows = np.eye(4, dtype=np.float32)
    rows[2, 0] = np.nan
    x = np.array([0, 1, np.nan, 3], np.float32)
    table = true_neighbors(rows, x, x, 0)
    assert table["row"].tolist() == [1, 3]
    assert true_neighbors(rows, x, x, 2).empty
    x[1] = np.nan
    assert true_neighbors(rows, x, x, 0)["map_rank"].isna().tolist() == [True, False]


def test_equal_cosines_are_in_order_of_row():
    rows = np.tile(np.array([[1, 0]], np.float32), (5, 1))
    place = np.zeros(5, np.float32)
    assert true_neighbors(rows, place, place, 2, k=3)["row"].tolist() == [0, 1, 3]


def test_neighbours_beside_the_map_are_those_of_the_search_whatever_all_rows_have_in_common():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(300, 48)) + 3000 * np.eye(48)[0]).astype(np.float32)
    rows[rng.permutation(300)[:60]] = rows[7]
    near, place = nearest_features(rows, k=70), np.zeros(300, np.float32)
    for row in (0, 7, 150):
        table = true_neighbors(rows, place, place, row, k=70)
        assert table["row"].tolist() == near.idx[row].tolist()
        assert table["neighbor_cosine"].tolist() == near.cos[row].tolist()
