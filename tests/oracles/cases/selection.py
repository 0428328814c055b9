"""Forty features of which twelve are members, with numbers and texts; and eight of a topic among thirty, on text."""

import numpy as np
from scipy import stats

from core.activations.members import DRAWS, _sets, together
from core.selection.summary import summary
from tests.doubles.held_store import HeldStore
from tests.oracles.shown import Case, Known, Planted, Shown, known

N, N_MEMBERS, D_SAE = 40, 12, 30
MEMBERS = np.arange(N) < N_MEMBERS
ROW = {"compared": "compared", "compared_value": "compared_value"}
DEAD, BESIDE, ALWAYS = 7, 6, 20
"""Features that never fire, only beside others, and on every token."""
SELECTIONS = {"a topic": range(8), "any": range(10, 18), "with one that always fires": (12, 13, 14, ALWAYS)}


def case(folder) -> Case:
    given = {"numbers": numbers(), "texts": texts(), "members": MEMBERS}
    compared = summary(given["numbers"], given["texts"], MEMBERS)
    store, drawn = HeldStore(on_text()[None].astype(np.float32)), {}
    shown = [Shown("compared", compared, given, ROW)]
    for what, chosen in SELECTIONS.items():
        members = np.isin(np.arange(D_SAE), list(chosen))
        found = together(store, members, on_text().sum(axis=0)).table()
        drawn[what] = _sets(members, on_text().sum(axis=0), DRAWS, 0).T[1:] > 0
        on = {"active": on_text(), "members": members, "drawn": drawn[what]}
        shown.append(Shown(what, found, on))
    alone = np.arange(D_SAE) == 3
    assert together(store, alone, on_text().sum(axis=0)).table().empty, "a single member has no other"
    return Case(shown, planted(drawn["a topic"]))


def numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    drawn, ties = rng.normal(size=N) + 0.5 * MEMBERS, rng.integers(0, 3, N) + 1.0 * MEMBERS
    drawn[rng.random(N) < 0.2] = np.nan
    few = np.where(np.arange(N) < N_MEMBERS - 4, np.nan, ties)  # four members have it
    return {"drawn": drawn, "ties": ties, "over": MEMBERS + 0.01 * np.arange(N), "same": np.ones(N), "few": few}


def texts() -> dict[str, list[set[str]]]:
    """Return a tag of all members and no other, one of others alone, one that too few have, and tokens."""
    rng = np.random.default_rng(3)
    tags = [{"ours"} if i < N_MEMBERS else {"theirs"} if i < 30 else set() for i in range(N)]
    for i in (1, 2, 13, 14):
        tags[i].add("rare")
    return {"Tags": tags, "Token": [{f"t{int(i)}"} for i in rng.integers(0, 5, N)]}


def on_text() -> np.ndarray:
    """Members but the last two fire on the first 50 of 200 tokens alone, where one or the other always does."""
    rng = np.random.default_rng(4)
    active = rng.random((200, D_SAE)) < 0.1
    active[:50, :6] = rng.random((50, 6)) < 0.3
    active[:, ALWAYS] = True
    active[50:, :8] = active[:50, 6:8] = False
    active[:40, 0] = active[30:50, 1] = active[25:35, BESIDE] = True
    return active


def planted(drawn: np.ndarray) -> list[Planted | Known]:
    assert set(drawn.sum(axis=1)) == {6}, "as many as there are other members that fire"
    assert not drawn[:, DEAD].any(), "a feature that never fires is not drawn"
    always = {"feature": ALWAYS}
    over, same, ours = {"compared": "over"}, {"compared": "same"}, {"compared_value": "ours"}
    tiny = {"members": np.arange(12) < 6, "compared": "x", "compared_value": ""}
    values, has = np.array([3.0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 5]), [{"t"}] * 5 + [{"u"}] * 4 + [{"t"}] + [{"u"}] * 2
    p = stats.mannwhitneyu(values[:6], values[6:], method="asymptotic").pvalue
    one = tiny | {"numbers": {"x": values}, "texts": {}}
    t, u = (stats.fisher_exact(table, alternative="greater").pvalue for table in ([[5, 1], [1, 5]], [[1, 5], [5, 1]]))
    q = stats.false_discovery_control([p, t, u])
    both = one | {"texts": {"y": has}}
    four = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    on = {"active": four, "feature": 0}
    by_chance = np.array([[False, False, True], [False, True, False]])
    pair = np.array([True, True, False])
    return [
        Planted("member_median", 1.055, "1 and 0.01 for each feature, from 0 to 11", over),
        Planted("other_median", 0.255, "0.01 for each feature, from 12 to 39", over),
        Planted("member_larger", 1, "every member is over every other", over),
        Planted("member_larger", 0.5, "all are equal", same),
        Planted("log10_q_members", 0, "all are equal", same),
        Planted("member_share", 1, "all members have it", ours),
        Planted("other_share", 0, "no other has it", ours),
        Planted("n_members", 12, "all have a tag", ours),
        Planted("n_others", 18, "ten have no tag", ours),
        known("log10_q_members", np.log10(p), "as scipy has p of one test", **one),
        known("log10_q_members", np.log10(q[0]), "as scipy has q of three", **both),
        known("log10_q_members", np.log10(q[1]), "as scipy has q", **both | {"compared": "y", "compared_value": "t"}),
        Planted("member_lift", 4, "always beside others, which fire on a quarter of the tokens", {"feature": BESIDE}),
        Planted("member_lift", 1, "it fires on every token", always),
        Planted("chance_lift", 1, "it fires on every token", always),
        Planted("log10_q_together", 0, "it has this lift beside any features", always),
        known("member_lift", 2, "on one of its two tokens, of four on one", **on, members=pair),
        known("chance_lift", 1, "0 beside the one, 2 beside the other", **on, drawn=by_chance),
        known("log10_q_together", np.log10(2 / 3), "itself and one of two", **on, members=pair, drawn=by_chance),
    ]
