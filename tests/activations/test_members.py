"""Members on the tokens of others: a slow double, a planted topic, and members drawn at random."""

from fractions import Fraction

import numpy as np
import pytest

from core.activations.members import Together, _sets, together
from core.activations.token_pass import activation_pass, open_store
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import dense, planted
from tests.doubles.held_store import HeldStore
from tests.doubles.planted import planted_model

ROWS = np.random.default_rng(1).integers(0, 9, (11, 7))


def of_topics(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tokens x features in which features of one topic are active together, and the topics."""
    topic = np.arange(120) % 12
    return (rng.random((1500, 12)) < 0.1)[:, topic] & (rng.random((1500, 120)) < 0.3), topic


def found_in(active: np.ndarray, members: np.ndarray, **how) -> Together:
    return together(HeldStore(active[None]), members, active.sum(axis=0), **how)


def slow_lift(active: np.ndarray, feature: int, others: np.ndarray) -> float:
    beside = active[:, [i for i in np.flatnonzero(others) if i != feature]].any(axis=1)
    return beside[active[:, feature]].mean() / beside.mean() if beside.any() else np.nan


@pytest.mark.parametrize("n", [1, 3, 8])
def test_lifts_are_those_of_counting_tokens_for_each_member_and_each_drawn_selection(tmp_path, n):
    dictionary, model, artifacts = planted("standard"), planted_model(tmp_path), ArtifactStore(tmp_path / "cache")
    how = {"block_rows": 4, "left_out": (3,)}
    count = activation_pass(dictionary, model, ROWS, artifacts, **how).count.sum(axis=0)
    store = open_store(dictionary, model, ROWS, artifacts, **how)
    members = np.zeros(dictionary.d_sae, bool)
    members[np.random.default_rng(n).choice(dictionary.d_sae, n, replace=False)] = True
    found = together(store, members, count, n_draws=9)
    active = (dense(dictionary, model, ROWS) != 0)[ROWS != 3]
    assert found.feature.tolist() == np.flatnonzero(members & active.any(axis=0)).tolist()
    sets = _sets(members, count, 9, 0)
    assert (sets[:, 1:].sum(axis=0) == len(found.feature) - 1).all()
    for place, feature in enumerate(found.feature):
        mine, *drawn = (slow_lift(active, feature, column > 0) for column in sets.T)
        np.testing.assert_allclose(found.lift[place], mine)
        known = np.array(drawn)[~np.isnan(drawn)]
        np.testing.assert_allclose(found.chance[place], np.median(known) if len(known) else np.nan)
        reached = (known >= mine - 1e-12).sum()
        assert found.p[place] == pytest.approx(1.0 if np.isnan(mine) else (1 + reached) / 10)


def test_drawn_selections_with_the_same_lift_count_as_reaching_it():
    active = np.random.default_rng(5).random((110, 30)) < 0.1
    members = np.arange(30) < 4
    found, sets = found_in(active, members), _sets(members, active.sum(axis=0), 199, 0).T > 0

    def exact(feature: int, others: np.ndarray) -> Fraction:
        beside = active[:, [i for i in np.flatnonzero(others) if i != feature]].any(axis=1)
        return Fraction(int(beside[active[:, feature]].sum()), int(beside.sum()))

    for place, feature in enumerate(found.feature):
        mine, *drawn = (exact(feature, others) for others in sets)
        assert found.p[place] == (1 + sum(lift >= mine for lift in drawn)) / 200


def test_members_of_one_topic_are_found_together_beside_chance():
    active, topic = of_topics(np.random.default_rng(4))
    active[:, 119] = False
    table = found_in(active, topic == 11).table()
    assert sorted(table["feature"]) == [i for i in range(119) if topic[i] == 11]
    assert (table["log10_q_together"] <= np.log10(0.05)).all()
    assert (table["member_lift"] > 2 * table["chance_lift"]).all()


def test_of_members_drawn_at_random_few_seem_to_be_active_together():
    rng = np.random.default_rng(5)
    active, _ = of_topics(rng)
    members, false = 0, 0
    for _ in range(25):
        drawn = np.zeros(120, bool)
        drawn[rng.choice(120, 8, replace=False)] = True
        found = found_in(active, drawn, n_draws=99)
        members, false = members + len(found.p), false + int((found.p <= 0.05).sum())
    assert members == 200
    assert false <= 24  # 10 expected; members of one draw go together


def test_it_is_stored_by_the_pass_the_members_and_the_seed(tmp_path):
    keys = {
        Together.key("d", "m", "r", "a"),
        Together.key("d", "m", "s", "a"),
        Together.key("d", "m", "r", "b"),
        Together.key("d", "m", "r", "a", seed=1),
        Together.key("d", "m", "r", "a", left_out=(3,)),
    }
    assert len(keys) == 5
    active, topic = of_topics(np.random.default_rng(4))
    found, store = found_in(active, topic == 0, n_draws=9), ArtifactStore(tmp_path)
    store.save(found, Together.key("d", "m", "r", "a"))
    np.testing.assert_array_equal(store.load(Together, Together.key("d", "m", "r", "a")).lift, found.lift)
