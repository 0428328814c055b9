"""Two dictionaries with a subspace whose basis each has rotated, and two whose features have nothing in common."""

import numpy as np
from scipy import linalg

from core.stability.left_over import DRAWS, SEED, left_over
from core.stability.returning import stability
from tests.oracles.shown import Case, Known, Planted, Shown, known
from tests.stability.test_left_over import R, basis, planted
from tests.stability.test_returning import dictionary, random_rows

T, ZERO, MORE = 0.95, 0, 6
"""The threshold, a feature of A without a direction, and how many features B alone has."""
SERIES = {"span_series": "span_series", "angle_rank": "angle_rank"}


def case(folder) -> Case:
    one, other = rotated()
    strangers = random_rows(3, 9, 7), np.concatenate([random_rows(4, 12, 7), random_rows(4, 2, 7)])
    return Case([*of_two("rotated", one, other), *of_two("strangers", *strangers)], truths())


def rotated() -> list[np.ndarray]:
    """Return twelve features that both have, and a basis of five dimensions that each has rotated."""
    one, other = planted(1), planted(2)
    one[ZERO] = 0
    return [one, np.concatenate([other, basis(0)[:, 30 : 30 + MORE].T])]


def of_two(what: str, *rows: np.ndarray) -> list[Shown]:
    own, other = (dictionary(one) for one in rows)
    there, back = (stability(one, [two], threshold=T).returns[0] for one, two in ((own, other), (other, own)))
    found = left_over(own.W_dec, other.W_dec, there.left_over, back.left_over)
    given = {"directions": own.W_dec.astype(float), "others": other.W_dec.astype(float), "used": T, "used_back": T}
    given |= draws(given["others"], found)
    return [
        Shown(f"numbers of {what}", found.numbers(), given, {}),
        Shown(f"angles of {what}", found.table(), given, SERIES),
    ]


def draws(others: np.ndarray, found) -> dict[str, object]:
    """Draw once more what `left_over` draws: features of B in the order of their coordinates, then subspaces."""
    rng = np.random.default_rng(SEED)
    _, first = np.unique(others, axis=0, return_index=True)
    ordered = sorted((i for i in first if others[i].any()), key=lambda i: tuple(others[i]))
    places = np.sort(rng.choice(len(ordered), min(found.n_b, len(ordered)), replace=False))
    planes = [np.linalg.qr(rng.standard_normal((others.shape[1], found.rank_b)))[0] for _ in range(DRAWS)]
    return {"drawn": [int(ordered[place]) for place in places], "planes": planes}


def truths() -> list[Planted | Known]:
    same, at = "A's five dimensions are among the twelve of B", {"span_series": "left over"}
    turned = np.array([[np.cos(0.3), np.sin(0.3)]])
    one = {"directions": np.eye(2)[:1], "others": turned, "used": 0.99, "used_back": 0.99}
    line = {name: one[name] for name in ("directions", "others", "used")}
    axes = {"drawn": [0], "planes": [np.eye(2)[:, [0]], np.eye(2)[:, [1]]]}
    lines = one | axes | {"span_series": "random subspaces", "angle_rank": 1}
    P, Q = basis(5, 6)[:, :2], basis(6, 6)[:, :3]
    angles = np.cos(linalg.subspace_angles(P, Q))[::-1]
    spans = one | axes | {"directions": P.T, "others": Q.T, "span_series": "left over"}
    apart = {"others": -np.ones((1, 2)), "used": 0.99}
    return [
        Planted("leftover_a", R, "a basis of five", what="numbers of rotated"),
        Planted("leftover_b", R + MORE + 1, "five, six more, and what A lacks", what="numbers of rotated"),
        Planted("rank_a", R, "a basis of five: none without the others", what="numbers of rotated"),
        Planted("rank_b", R + MORE + 1, "twelve orthogonal directions, all equal", what="numbers of rotated"),
        Planted("span_overlap", 1, same, what="numbers of rotated"),
        Planted("random_overlap", 12 / 40, "twelve of forty dimensions", what="numbers of rotated"),
        Planted("principal_cosine", 1, same, at, "angles of rotated"),
        Planted("principal_low", 1, same, at, "angles of rotated"),
        Planted("principal_high", 1, same, at, "angles of rotated"),
        known("rank_a", 1, "eighteen of twenty lie along one axis", directions=along(18, 2), **apart),
        known("rank_a", 2, "seventeen of twenty are not enough", directions=along(17, 3), **apart),
        known("rank_a", 2, "of copies, one counts", directions=np.eye(2)[[0] * 20 + [1]], **apart),
        known("random_overlap_std", 8**-0.5, "cos² of a random angle varies by 1/8", **one),
        known("span_overlap", np.cos(0.3) ** 2, "two lines at 0.3", **one),
        known("overlap_of_others", np.cos(0.3) ** 2, "two lines at 0.3", **line, drawn=[0]),
        known("principal_cosine", angles[0], "as scipy has it", **spans, angle_rank=1),
        known("principal_cosine", angles[1], "as scipy has it", **spans, angle_rank=2),
        known("principal_cosine", 0.5, "one drawn is the line itself, one lies across", **lines),
        known("principal_low", 0.025, "a fortieth of the way from 0 to 1", **lines),
        known("principal_high", 0.975, "all but a fortieth of the way", **lines),
    ]


def along(n: int, m: int) -> np.ndarray:
    """Return directions of several lengths, so many along the first axis and so many along the second."""
    return np.repeat(np.eye(2), [n, m], axis=0) * np.arange(1.0, n + m + 1)[:, None]
