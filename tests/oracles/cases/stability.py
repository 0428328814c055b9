"""Eleven features and a copy of one in a permuted copy, in a noisy copy of half, and in a random dictionary."""

import numpy as np

from core.oracles.stability import return_threshold
from core.stability.returning import stability
from tests.oracles.shown import Case, Known, Planted, Shown, known
from tests.stability.test_returning import dictionary, noisy, random_rows

N, D, ZERO, COPY, T = 12, 10, 4, 11, 0.7
NAMES = ["copy", "half", "random"]


def case(folder) -> Case:
    rows = all_rows()
    own, *others = [dictionary(one) for one in rows]
    found = stability(own, others, threshold=T)
    directions = [one.W_dec.astype(float) for one in (own, *others)]
    given = {"directions": directions[0], "others": directions[1:], "threshold": T}
    given["used"] = [return_threshold(**given, other=other) for other in range(3)]
    counts, title = {"times": "return_count"}, {"returned_in": "the title of B"}
    return Case(
        [
            Shown("features", found.table(), given),
            Shown("counts", found.histogram(), given, counts),
            Shown("others", found.by_other(NAMES), given, {"other": "#"}, not_held=title),
        ],
        planted(),
    )


def all_rows() -> list[np.ndarray]:
    own = random_rows(0, N, D)
    own[ZERO], own[COPY] = 0, own[0]
    half = random_rows(2, N, D)
    kept = [0, 1, 2, 3, 5, 6]
    half[kept] = noisy(own[kept], 0.05, 3)
    half[8:10] = half[0]
    return [own, np.random.default_rng(1).permutation(own), half, random_rows(4, N, D)]


def planted() -> list[Planted | Known]:
    copy, plane = "a permuted copy", np.array([[1.0, 0], [0, 1]])
    two = {"directions": plane, "others": [plane, plane], "used": [0.999, 0.999]}
    near, least = {"directions": plane, "others": [plane, np.array([[0.8, 0.6]])]}, 2 / (2 + 1.959963984540054**2)
    even, quarter = {"directions": plane, "others": [plane]}, {"used": [0.5**0.5]}
    twice = {"others": [plane[[0, 1, 1]]]}
    return [
        Planted("returned_share", 1, copy, {"returned_in": "copy"}),
        Planted("returned_share", 7 / 11, "seven of eleven were copied, one of them twice", {"returned_in": "half"}),
        Planted("return_count", None, "it has no direction", {"feature": ZERO}),
        Planted("return_count", 2, "in both copies", {"feature": 0}),
        Planted("return_count", 2, "it is feature 0 once more", {"feature": COPY}),
        Planted("return_share", 1 / 3, "in the permuted copy alone", {"feature": 7}),
        Planted("returning_features", 7, "in both copies", {"return_count": 2}),
        known("mean_return_cosine", 0.9, "1 and 0.8", **near, feature=0),
        known("return_low", least, "two of two: n over n + z²", **two, feature=0),
        known("return_high", 1, "two of two", **two, feature=0),
        known("returned_low", least, "two of two", **two, other=0),
        known("returned_high", 1, "two of two", **two, other=0),
        known("return_chance", 1 - 0.75**2, "in a plane a quarter is over √½", **even, **quarter, feature=0),
        known("random_share", 1 - 0.75**2, "in a plane a quarter is over √½", **even, **quarter, other=0),
        known("random_share", 1 - 0.75**2, "a copy is not drawn", **even | twice, **quarter, other=0),
        known("random_features", 2 * 0.75**2, "both in none", **even, **quarter, times=0),
        known("chance_threshold", 1.0, "in a plane even 0.9995 is reached more often", **even, other=0),
        known("return_threshold", 1.0, "that by chance", **even, threshold=0.7, other=0),
    ]
