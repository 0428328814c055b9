"""Edges, loops, paths and surroundings of an automaton whose transitions are planted; logit edges by plain loops."""

from itertools import pairwise

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from core.automata import graph, walks
from core.automata.logit_edges import chance_logit_edges, logit_edges, promotion, token_means
from core.automata.tables import (
    EdgeRule,
    edge_table,
    feature_table,
    is_edge,
    loop_table,
    loops_of_two,
    strongest,
    suggested,
)
from core.automata.transitions import Transitions, TransitionSettings, transitions
from core.catalogue import ALIASES, STATISTICS
from core.errors import OutOfRangeError
from tests.automata.test_transitions import LOOP, with_loop
from tests.doubles.transitions_by_hand import stretches_of

RULE = EdgeRule(q=0.001, least_count=10)
CYCLE, TWINS, RUN, LENGTH = (2, 5, 9), (12, 13), 15, 40
"""Features that take turns by three; two that fire on the same tokens, in runs; one that fires in runs alone."""


def planted(seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Return features that fire at random, and those above."""
    rng = np.random.default_rng(seed)
    fires = rng.random((60 * LENGTH, 20)) < rng.uniform(0.01, 0.1, 20)
    fires[:, [*CYCLE, *TWINS, RUN]] = False
    for start in range(0, len(fires), LENGTH):
        for features, length in ((CYCLE, 12), (TWINS, 5), ((RUN,), 5)):
            at = start + int(rng.integers(0, LENGTH - length)) + np.arange(length)
            if features == CYCLE:
                fires[at, np.resize(CYCLE, length)] = True
            else:
                fires[np.ix_(at, features)] = True
    return fires, [LENGTH] * 60


@pytest.fixture(scope="module")
def text():
    stretches = stretches_of(*planted())
    return stretches, transitions(stretches, TransitionSettings(n_shuffles=0))


def test_a_planted_loop_of_two_is_the_only_loop():
    fires, lengths = with_loop(0)
    found = transitions(stretches_of(fires, lengths))
    table = loop_table(found, is_edge(found, RULE))
    assert table[["feature", "next_feature"]].to_numpy().tolist() == [list(LOOP)]
    assert table["loop_lift"][0] > 3 * table["shuffled_loop_lift"][0]
    assert suggested(found, RULE) == LOOP
    assert graph.loops(found, RULE, n=2) == [LOOP]
    assert graph.loops(found, RULE, n=3) == graph.loops(found, RULE, n=4) == []


def test_a_planted_loop_of_three_is_found_and_nothing_else(text):
    _, found = text
    assert graph.loops(found, RULE, n=3) == [CYCLE]
    assert graph.loops(found, RULE, n=2) == []
    edges = edge_table(found, np.flatnonzero(is_edge(found, RULE)))
    steps = set(pairwise((*CYCLE, CYCLE[0])))
    assert set(zip(edges["feature"], edges["next_feature"], strict=True)) == steps
    assert suggested(found, RULE) in steps


def test_features_that_fire_together_follow_one_another_only_if_asked(text):
    _, found = text
    both = is_edge(found, EdgeRule(q=0.001, least_count=10, turns=False))
    pairs = {(int(found.source[i]), int(found.target[i])) for i in np.flatnonzero(both)}
    assert {TWINS, TWINS[::-1]} <= pairs
    there, back = loops_of_two(found, both)
    assert (found.source[there] == found.target[back]).all()
    assert (found.target[there] == found.source[back]).all()
    assert TWINS in set(zip(found.source[there].tolist(), found.target[there].tolist(), strict=True))


def test_the_table_of_features_begins_with_the_one_that_follows_itself_most(text):
    _, found = text
    table = feature_table(found, RULE)
    assert set(table["feature"][:3]) == {*TWINS, RUN}
    assert (table["self_lift"][:3] > 3 * table["self_shuffled_lift"][:3]).all()
    assert (table["self_q"][:3] < 1e-9).all()
    by_feature = table.set_index("feature")
    for one, other in pairwise((*CYCLE, CYCLE[0])):
        assert by_feature["next_feature"][one] == other
        assert by_feature.loc[one, ["n_next", "n_previous", "n_loops"]].tolist() == [1, 1, 0]
    others = by_feature.drop(index=[*CYCLE])
    assert others["next_feature"].isna().all()
    assert others["n_next"].sum() == 0


def test_every_column_is_declared(text):
    stretches, found = text
    rows = np.zeros((1, stretches.n_pos), np.int64)
    produced = [*feature_table(found, RULE), *edge_table(found, np.arange(2)), *loop_table(found, is_edge(found, RULE))]
    produced += list(walks.path_table(found, stretches, rows, word_tokenizer(), [CYCLE]))
    assert [name for name in produced if ALIASES.get(name, name) not in STATISTICS] == []


def test_strongest_edges_are_those_with_the_largest_lift_both_ways(text):
    _, found = text
    every = np.ones(len(found.source), bool)
    for back, own in ((False, found.source), (True, found.target)):
        best = strongest(found, every, most=2, back=back)
        for feature in set(own.tolist()):
            mine = np.flatnonzero(own == feature)
            expected = np.sort(found.lift[mine])[::-1][:2]
            np.testing.assert_array_equal(found.lift[best[own[best] == feature]], expected)


def test_surroundings_hold_two_steps_both_ways_and_the_same_places_every_time(text):
    _, found = text
    near = graph.surroundings(found, CYCLE[1], RULE)
    assert near.nodes["feature"].tolist() == sorted(CYCLE)
    assert dict(zip(near.nodes["feature"], near.nodes["step"], strict=True))[CYCLE[1]] == 0
    assert near.nodes["step"].between(-2, 2).all()
    assert len(near.edges) == 3
    assert near.nodes[["x", "y"]].to_numpy().min() >= 0
    assert near.nodes[["x", "y"]].to_numpy().max() <= 1
    again = graph.surroundings(found, CYCLE[1], RULE)
    assert again.nodes.equals(near.nodes)
    alone = graph.surroundings(found, RUN, RULE)
    assert alone.nodes["feature"].tolist() == [RUN]
    assert alone.edges[["feature", "next_feature"]].to_numpy().tolist() == [[RUN, RUN]]
    nothing = graph.surroundings(found, 0, RULE)
    assert (len(nothing.nodes), len(nothing.edges)) == (1, 0)


def test_a_graph_with_too_many_edges_keeps_one_at_each_node(monkeypatch, text):
    _, found = text
    monkeypatch.setattr(graph, "MOST_EDGES", 2)
    near = graph.surroundings(found, CYCLE[0], RULE)
    assert set(near.edges["feature"]) | set(near.edges["next_feature"]) == set(CYCLE)
    assert near.left_off == 3 - len(near.edges)


@pytest.mark.parametrize("feature", [-1, 20])
def test_a_feature_that_is_not_there_is_refused(text, feature):
    stretches, found = text
    with pytest.raises(OutOfRangeError, match="19"):
        graph.surroundings(found, feature, RULE)
    with pytest.raises(OutOfRangeError, match="19"):
        walks.paths(found, stretches, feature, RULE, n=3)


def by_hand(fires: np.ndarray, path: tuple[int, ...]) -> list[int]:
    n = len(path)
    starts = [start + i for start in range(0, len(fires), LENGTH) for i in range(LENGTH - n + 1)]
    return [at for at in starts if all(fires[at + k, feature] for k, feature in enumerate(path))]


@pytest.mark.parametrize("path", [CYCLE, (*CYCLE, CYCLE[0]), (0, 1), (RUN, RUN, RUN), (3,)])
def test_walks_are_those_of_plain_loops(text, path):
    stretches, _ = text
    fires, _ = planted()
    assert walks.walks(stretches, path).tolist() == by_hand(fires, path)


def test_paths_are_what_the_text_walks_most_often_and_shuffled_texts_do_not(text):
    stretches, found = text
    fires, _ = planted()
    followed = walks.paths(found, stretches, CYCLE[0], RULE, n=4)
    assert followed == [(*CYCLE, CYCLE[0])]
    tokens = np.arange(stretches.n_pos) % 7
    table = walks.path_table(found, stretches, tokens[None], word_tokenizer(), [(0, 1, 3), *followed])
    walked = table[table["path"] == walks.ARROW.join(map(str, followed[0]))].iloc[0]
    assert walked["path_count"] == len(by_hand(fires, followed[0])) > 100
    assert walked["path_shuffled"] < 10
    assert walked["path_lift"] == found.lift[is_edge(found, RULE)].min()
    assert table["path_count"].min() > 0
    runs = walks.paths(found, stretches, RUN, RULE, n=3)
    assert runs == [(RUN, RUN, RUN)]
    assert walks.paths(found, stretches, 0, RULE, n=3) == []


def test_chance_is_the_mean_over_texts_that_are_really_shuffled(text):
    stretches, found = text
    step = (CYCLE[0], CYCLE[1])
    mean = walks.chance_walks(stretches, [step], shuffles=60)[0]
    at = np.flatnonzero((found.source == step[0]) & (found.target == step[1]))[0]
    assert mean == pytest.approx(found.expected[at], rel=0.1)


def word_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({f"w{i}": i for i in range(7)}, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return tokenizer


def test_examples_are_the_strongest_walks_with_their_tokens_in_brackets():
    fires = np.zeros((20, 2), bool)
    acts = np.zeros((20, 2))
    for at, (one, other) in {3: (1.0, 9.0), 9: (4.0, 5.0), 14: (5.0, 1.0)}.items():
        fires[at, 0] = fires[at + 1, 1] = True
        acts[at, 0], acts[at + 1, 1] = one, other
    stretches = stretches_of(fires, [20], acts=acts)
    # Each is as strong as its weaker feature: 1/5, 5/9, 1/9.
    assert walks.strongest_walks(stretches, (0, 1), most=2).tolist() == [9, 3]
    rows = np.arange(21)[None] % 7
    text = walks.example_strings(stretches, rows, word_tokenizer(), (0, 1), most=1)[0]
    assert text.count(walks.OPEN) == 2
    assert [part.partition(walks.CLOSE)[0].strip() for part in text.split(walks.OPEN)[1:]] == ["w3", "w4"]
    assert walks.example_strings(stretches, rows, word_tokenizer(), (1, 0), most=1) == []


def test_logit_edges_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    fires = rng.random((30, 4)) < 0.4
    acts = rng.uniform(0.5, 2, (30, 4))
    stretches = stretches_of(fires, [30], acts=acts)
    rows = rng.integers(0, 6, (1, 31))
    ids = rows.ravel()[stretches.place]
    top_tokens = np.array([[0, 1], [2, 3], [4, 0], [5, 2]])
    top_values = np.array([[2.0, 1.0], [0.5, -0.5], [3.0, np.nan], [1.0, 0.25]])
    dense = np.where(fires, acts.astype(np.float32), 0).astype(float)
    expected = np.zeros((4, 4))
    for i in range(4):
        for token, weight in zip(top_tokens[i], top_values[i], strict=True):
            if weight > 0 and (ids == token).any():
                expected[i] += weight * dense[ids == token].mean(axis=0)
    promotes, means = promotion(top_tokens, top_values, 6), token_means(stretches, rows, 6)
    source, target = (side.ravel() for side in np.indices((4, 4)))
    np.testing.assert_allclose(logit_edges(promotes, means, source, target), expected.ravel(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(chance_logit_edges(promotes, means), expected.mean(axis=0), rtol=1e-12)


def test_a_rule_that_nothing_meets_gives_an_empty_automaton(text):
    _, found = text
    rule = EdgeRule(least_count=10**9)
    assert not is_edge(found, rule).any()
    assert suggested(found, rule) is None
    assert loop_table(found, is_edge(found, rule)).empty
    assert feature_table(found, rule)["n_next"].sum() == 0
    assert graph.loops(found, rule, n=2) == graph.loops(found, rule, n=3) == []
    assert isinstance(found, Transitions)
