"""The life of features over layers: planted births, passings and deaths are found, chance beside, and followed."""

import numpy as np
import pytest

from core.errors import DoesNotFitError, OutOfRangeError
from core.matching.activations import ActivationMatch
from core.stability.life import FATES, life, life_graph, step_by_activation
from core.work.artifacts import ArtifactStore
from tests.stability.test_returning import dictionary, noisy

D = 200


def series():
    """Three layers of a few features and 40 strangers.

    Feature 0 lives throughout, 1 is born in layer 1, 2 dies there, and 3 lives there alone. In layer 2, features 0 and
    4 both come from feature 0.
    """
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((D, D)))[0]
    always, second, early, alone, first_own, last_own = axes[:6]
    zero = np.stack([always, first_own, early])
    one = np.stack([always, second, early, alone])
    two = np.stack([always, second, last_own, axes[7], always + 0.3 * axes[8]])
    return [with_strangers(noisy(rows, 0.1, seed), seed) for seed, rows in enumerate((zero, one, two))]


def with_strangers(rows, seed):
    return dictionary(np.concatenate([rows, np.random.default_rng(50 + seed).standard_normal((40, D))]))


def test_planted_births_passings_and_deaths_are_called_so():
    found = life(series())
    fates = [[FATES[i] for i in found.fate(layer)[:-40]] for layer in range(3)]
    assert fates[0] == ["passes through", "dies here", "passes through"]
    assert fates[1] == ["passes through", "born here", "dies here", "here alone"]
    assert fates[2] == ["passes through", "passes through", "born here", "born here", "passes through"]
    table = found.feature_table(1)
    assert table["life_source"][:4].tolist() == [0, -1, 2, -1]
    assert table["life_successor"][:4].tolist() == [0, 1, -1, -1]
    assert (table["source_cosine"][[0, 2]] > 0.9).all()
    assert (table[["source_chance", "successor_chance"]] < 0.02).all(axis=None)
    counts = found.table(["0", "1", "2"]).set_index(["life_layer", "life_fate"])["fate_features"]
    assert counts["1"].tolist() == [1, 1, 1, 41]


def test_in_random_layers_features_have_sources_and_successors_as_often_as_chance_says():
    rng = np.random.default_rng(1)
    layers = [dictionary(rng.standard_normal((60, 24))) for _ in range(30)]
    table = life(layers, threshold=0.0).step_table([str(i) for i in range(30)])
    for found, chance in (("succeeded_share", "random_successors"), ("sourced_share", "random_sources")):
        assert table[chance].mean() == pytest.approx(0.01, abs=0.004)
        assert abs(table[found].mean() - table[chance].mean()) < 4 * np.sqrt(0.01 / (60 * 29))


def test_a_feature_is_followed_to_both_ends():
    graph = life_graph(life(series()), 1, 0)
    nodes = list(zip(graph.nodes["level"], graph.nodes["feature"], strict=True))
    assert nodes[0] == (1, 0)
    assert set(nodes) == {(1, 0), (0, 0), (2, 0), (2, 4)}
    edges = {(nodes[a], nodes[b]) for a, b in zip(graph.edges["start"], graph.edges["end"], strict=True)}
    assert edges == {((0, 0), (1, 0)), ((1, 0), (2, 0)), ((1, 0), (2, 4))}
    assert (graph.edges["life_similarity"] > 0.8).all()
    assert graph.nodes["height"].between(0, 1).all()
    assert graph.left_off == 0
    back = life_graph(life(series()), 2, 4)
    assert back.nodes[["level", "feature"]].to_numpy().tolist() == [[2, 4], [1, 0], [0, 0]]
    assert back.edges[["start", "end"]].to_numpy().tolist() == [[1, 0], [2, 1]]


def test_a_feature_without_source_and_successor_is_alone_and_one_that_is_not_there_is_refused():
    found = life(series())
    graph = life_graph(found, 1, 3)
    assert graph.nodes[["level", "feature"]].to_numpy().tolist() == [[1, 3]]
    assert graph.edges.empty
    for layer, feature in ((0, 43), (2, -1)):
        with pytest.raises(OutOfRangeError):
            life_graph(found, layer, feature)


@pytest.mark.parametrize("layer", [0, 2])
def test_at_the_ends_of_a_series_a_feature_is_followed_one_way(layer):
    graph = life_graph(life(series()), layer, 0)
    assert sorted(graph.nodes["level"]) in ([0, 1, 2, 2], [0, 1, 2])


def test_a_picture_leaves_off_the_least_similar_and_says_how_many():
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((D, D)))[0]
    children = axes[:1] + np.linspace(0.1, 0.5, 9)[:, None] * axes[1:10]
    graph = life_graph(life([with_strangers(axes[:1], 0), with_strangers(children, 1)]), 0, 0, most=4)
    assert graph.nodes["feature"][graph.nodes["level"] == 1].tolist() == [0, 1, 2, 3]
    assert graph.left_off == 5


def test_the_feature_with_the_longest_line_is_the_one_that_lives_throughout():
    found = life(series())
    assert [found.longest(layer) for layer in range(3)] == [0, 0, 0]


def test_activations_make_a_step_whose_chance_is_a_rotated_basis():
    corr, idx = np.array([[0.9], [0.4], [np.nan]], np.float32), np.array([[1], [0], [-1]], np.int32)
    back, back_idx = np.array([[0.4], [0.9]], np.float32), np.array([[1], [0]], np.int32)
    match = ActivationMatch(corr, idx, back, back_idx, np.full(3, 50), np.full(2, 50), 100, 10)
    rotated, rotated_back = np.array([0.3, 0.5, np.nan], np.float32), np.array([0.2, 0.2], np.float32)
    step = step_by_activation(match, rotated, rotated_back, threshold=0.3)
    assert step.successors.partner.tolist() == [1, -1, -1]  # 0.4 is what one in two reaches by mixtures
    assert step.successors.threshold == pytest.approx(0.5, abs=0.01)
    assert step.sources.partner.tolist() == [1, 0]
    assert step.sources.threshold == pytest.approx(0.3)
    assert step.successors.kept.tolist() == [True, True, False]


def test_a_single_layer_and_layers_of_different_spaces_are_refused():
    with pytest.raises(DoesNotFitError, match="needs a series of layers"):
        life(series()[:1])
    with pytest.raises(DoesNotFitError, match="needs a series of layers, and here is no dictionary"):
        life([])
    with pytest.raises(DoesNotFitError, match="their directions cannot be compared"):
        life([*series(), dictionary(np.eye(3))])


def test_each_pair_of_layers_is_matched_once_and_kept(tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)
    once = life(series(), store=store)
    monkeypatch.setattr("core.matching.matrix.nearest_between", lambda *_, **__: pytest.fail("matched twice"))
    again = life(series(), threshold=0.8, store=store)
    assert again.fate(1).tolist() == once.fate(1).tolist()
